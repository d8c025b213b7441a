//! `POST /catalogue/import`

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tidegate_catalogue::{Catalogue, Existing, Plan, plan};
use tidegate_store::{AuditNote, Change, models, offerings, providers, resources};
use tidegate_types::resource::{Model, Offering, Price, Provider, Resource, ResourceKind};
use utoipa::{IntoParams, ToSchema};

use crate::body::Query;
use crate::idempotency::Posted;
use crate::problem::Problem;
use crate::state::App;
use crate::write::{Halt, Write};

/// Names that an answer lists of each kind; more are counted only.
const MOST_NAMES: usize = 1_000;

/// How to import.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportQuery {
    /// Change nothing; only say what would change.
    dry_run: bool,
}

/// What was made, or would be.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Imported {
    /// Whether nothing was stored.
    dry_run: bool,
    /// Slugs of new providers.
    providers: Vec<String>,
    /// Names of new models.
    models: Vec<String>,
    /// New offerings, as `creator/model at provider`.
    offerings: Vec<String>,
    /// Offerings that got new prices.
    prices: Vec<String>,
    /// Offerings that needed nothing.
    unchanged: usize,
}

/// The system's catalogue as it is.
#[derive(Debug, Default)]
struct Held {
    providers: Vec<Provider>,
    models: Vec<Model>,
    offerings: Vec<Offering>,
}

impl Held {
    async fn of(change: &mut Change) -> Result<Self, Problem> {
        let mut held = Self::default();
        let kinds = [ResourceKind::Provider, ResourceKind::Model, ResourceKind::Offering];
        for resource in resources(change, &kinds).await? {
            match resource {
                Resource::Provider(provider) => held.providers.push(provider),
                Resource::Model(model) => held.models.push(model),
                Resource::Offering(offering) => held.offerings.push(offering),
                _ => {}
            }
        }
        Ok(held)
    }

    fn existing(&self) -> Existing<'_> {
        Existing { providers: &self.providers, models: &self.models, offerings: &self.offerings }
    }
}

/// Imports a catalogue document into the shared catalogue: all of it, or nothing.
#[utoipa::path(post, path = "/catalogue/import", tag = "catalogue", operation_id = "catalogue_import",
    params(ImportQuery),
    request_body(content = Object, description = "A catalogue document: `providers`, `models`, `offerings` with `prices`", content_type = "application/json"),
    responses((status = OK, description = "What was made", body = Imported)))]
pub(super) async fn import(
    State(app): State<App>,
    Query(query): Query<ImportQuery>,
    posted: Posted<Catalogue>,
) -> Result<Response, Halt> {
    let catalogue = posted.body;
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let held = Held::of(&mut write).await?;
    let plan = plan(&catalogue, held.existing());
    let imported = summary(&plan, &held, query.dry_run);
    let made = Made::of(&app, &plan, &held);
    made.compile(&held)?;
    if query.dry_run {
        return Ok((StatusCode::OK, axum::Json(imported)).into_response());
    }
    made.store(&mut write).await?;
    let after = serde_json::to_value(&imported).map_err(|_| Problem::internal())?;
    let note = AuditNote {
        action: "catalogue.import",
        object: "catalogue".to_owned(),
        before: None,
        after: Some(after),
    };
    Ok(write.finish(note, imported, StatusCode::OK, None).await?.into_response())
}

fn summary(plan: &Plan<'_>, held: &Held, dry_run: bool) -> Imported {
    let place =
        |model: &dyn std::fmt::Display, provider: &dyn std::fmt::Display| format!("{model} at {provider}");
    let changed = |id| held.offerings.iter().find(|offering| offering.id == id);
    let prices = plan.prices.iter().filter_map(|(id, _)| changed(*id));
    Imported {
        dry_run,
        providers: plan.providers.iter().take(MOST_NAMES).map(|entry| entry.slug.to_string()).collect(),
        models: plan.models.iter().take(MOST_NAMES).map(|entry| entry.name.to_string()).collect(),
        offerings: plan
            .offerings
            .iter()
            .take(MOST_NAMES)
            .map(|entry| place(&entry.model, &entry.provider))
            .collect(),
        prices: prices.take(MOST_NAMES).map(|offering| place(&offering.model, &offering.provider)).collect(),
        unchanged: plan.unchanged,
    }
}

/// What is stored.
struct Made {
    providers: Vec<Provider>,
    models: Vec<Model>,
    offerings: Vec<Offering>,
    /// Offerings with further prices.
    priced: Vec<Offering>,
}

impl Made {
    fn of(app: &App, plan: &Plan<'_>, held: &Held) -> Self {
        let now = app.clock.now();
        let prices = |entries: &mut dyn Iterator<Item = &tidegate_catalogue::PriceEntry>| -> Vec<Price> {
            entries.map(|entry| entry.price(app.new_id(), now)).collect()
        };
        let priced = plan.prices.iter().filter_map(|(id, entries)| {
            let mut offering = held.offerings.iter().find(|offering| offering.id == *id)?.clone();
            offering.prices.extend(prices(&mut entries.iter().copied()));
            offering.prices.sort_by_key(|price| (price.valid_from, price.recorded_at));
            Some(offering)
        });
        Self {
            providers: plan.providers.iter().map(|entry| entry.provider(app.new_id())).collect(),
            models: plan.models.iter().map(|entry| entry.model(app.new_id())).collect(),
            offerings: plan
                .offerings
                .iter()
                .map(|entry| entry.offering(app.new_id(), prices(&mut entry.prices.iter())))
                .collect(),
            priced: priced.collect(),
        }
    }

    /// Refuses with 422 what nodes could not compile beside what exists and what else is new.
    fn compile(&self, held: &Held) -> Result<(), Problem> {
        let providers = held.providers.iter().chain(&self.providers).cloned().map(Resource::Provider);
        let models = held.models.iter().chain(&self.models).cloned().map(Resource::Model);
        let around: Vec<Resource> = providers.chain(models).collect();
        let new_providers = self.providers.iter().cloned().map(Resource::Provider);
        let new_models = self.models.iter().cloned().map(Resource::Model);
        let offerings = self.offerings.iter().chain(&self.priced).cloned().map(Resource::Offering);
        for candidate in new_providers.chain(new_models).chain(offerings) {
            crate::compile::judge(&around, &candidate)?;
        }
        Ok(())
    }

    async fn store(&self, write: &mut Write) -> Result<(), Problem> {
        for provider in &self.providers {
            providers::insert(write, provider).await?;
        }
        for model in &self.models {
            models::insert(write, model).await?;
        }
        for offering in &self.offerings {
            offerings::insert(write, offering).await?;
        }
        for offering in &self.priced {
            offerings::update(write, offering, None, false).await?;
        }
        Ok(())
    }
}
