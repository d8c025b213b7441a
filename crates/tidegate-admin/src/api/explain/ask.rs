//! `POST /explain`

use axum::Json;
use axum::extract::State;
use tidegate_policy::{CallFacts, Sort, Unmeasured, View, Wishes, plan};
use tidegate_store::{StoreError, SystemActor, keys, resources};
use tidegate_telemetry::entropy;
use tidegate_types::LabelHash;
use tidegate_types::label::LabelKind;
use tidegate_types::resource::{Area, Capabilities, Resource, ResourceKind, ZdrTier};
use tidegate_types::{OrganizationId, Timestamp};

use super::tell::Explained;
use super::{Change, Explanation, Options, Question, Region, world};
use crate::compile;
use crate::idempotency::Posted;
use crate::problem::Problem;
use crate::state::App;

/// Everything that a plan looks at, parents first.
const LOOKED_AT: [ResourceKind; 9] = [
    ResourceKind::Organization,
    ResourceKind::Team,
    ResourceKind::Policy,
    ResourceKind::Budget,
    ResourceKind::Provider,
    ResourceKind::Model,
    ResourceKind::Offering,
    ResourceKind::Credential,
    ResourceKind::Route,
];

/// Explains what would happen to a call, without calling anybody. The measurements of nodes (what
/// is down, slow, cooling down) are not known here.
#[utoipa::path(post, path = "/explain", tag = "explain", operation_id = "explain_ask", request_body = Question,
    responses((status = OK, description = "What would happen", body = Explanation)))]
pub(super) async fn ask(
    State(app): State<App>,
    posted: Posted<Question>,
) -> Result<Json<Explanation>, Problem> {
    let Posted { caller, body: question, .. } = posted;
    super::super::needs_organization(&caller)?;
    question.options.check()?;
    let organization = caller.organization_id();
    let mut tx = app.store.begin(caller.actor()).await?;
    let mut held = resources(&mut tx, &LOOKED_AT).await?;
    if let Some(id) = question.key_id {
        match keys::get(&mut tx, id).await {
            Ok(stored) => held.push(Resource::Key(stored.value)),
            Err(StoreError::NotFound) => return Err(Problem::field("key_id", "there is no such key")),
            Err(error) => return Err(error.into()),
        }
    }
    drop(tx);
    // Organizations do not see the operator's credentials; the plan asks only whether there are any.
    let system = SystemActor::new("explain").acting_for(OrganizationId::SYSTEM);
    let mut tx = app.store.begin(&system).await?;
    held.extend(resources(&mut tx, &[ResourceKind::Credential]).await?);
    drop(tx);
    let (key, added) = match question.key_id {
        Some(id) => (id, Vec::new()),
        None => world::anybody(organization, &app),
    };
    held.extend(added);
    let (now, draw) = (app.clock.now(), entropy::random_u128() as u64);
    let explain = |held: Vec<Resource>| {
        let view = world::view(held, key).ok_or_else(|| Problem::not_found("key"))?;
        Ok::<_, Problem>(question.explain(&view, now, draw))
    };
    let changed = match &question.change {
        None => None,
        Some(change) => {
            let candidate = change.resource(organization, &held, &app)?;
            compile::judge(&held, &candidate)?;
            let mut held: Vec<_> =
                held.iter().filter(|resource| resource.key() != candidate.key()).cloned().collect();
            held.push(candidate);
            Some(explain(held)?)
        }
    };
    Ok(Json(Explanation { now: explain(held)?, changed }))
}

impl Question {
    fn explain(&self, view: &View, now: Timestamp, draw: u64) -> Explained {
        let options = &self.options;
        let label_key = &view.organization().organization().label_key;
        let session = |text: &String| {
            let hash = LabelHash::of(label_key, LabelKind::Session, text);
            u128::from_be_bytes(*hash.as_bytes()) as u64
        };
        let facts = CallFacts {
            kind: self.surface.operation().model_kind(),
            operation: Some(self.surface.operation()),
            dialect: Some(self.surface.dialect()),
            needs: self.needs,
            max_output_tokens: self.max_output_tokens,
            input_bytes: u64::from(self.input_tokens) * 4,
            zdr_asked: match (options.zero_data_retention, options.disallow_prompt_training) {
                (true, _) => ZdrTier::Zdr,
                (false, true) => ZdrTier::NoTraining,
                (false, false) => ZdrTier::None,
            },
            wishes: options.wishes(),
            measured: &Unmeasured,
            ..CallFacts::of_model(&self.model)
        };
        let draw = self.session.as_ref().map_or(draw, session);
        Explained::of(plan(view, &facts, now, draw))
    }
}

impl Options {
    fn check(&self) -> Result<(), Problem> {
        const KNOWN: [&str; 4] = ["tool-use", "vision", "reasoning", "structured-output"];
        if self.sort.as_deref().is_some_and(|sort| Sort::from_word(sort).is_none()) {
            return Err(Problem::field("options.sort", "must be cost, ttft or tps"));
        }
        if !self.has.iter().all(|name| KNOWN.contains(&&**name)) {
            return Err(Problem::field("options.has", format!("must be one of: {}", KNOWN.join(", "))));
        }
        let excluded = self.headquarters.iter().filter(|code| code.starts_with('!')).count();
        if excluded != 0 && excluded != self.headquarters.len() {
            return Err(Problem::field("options.headquarters", "all plain, or all excluded with `!`"));
        }
        if self.inference_region.as_ref().is_some_and(|region| region.area().is_none()) {
            return Err(Problem::field("options.inferenceRegion.geoRegion", "must be us or eu"));
        }
        if self.models.len() > 16 {
            return Err(Problem::field("options.models", "must have at most 16 entries"));
        }
        Ok(())
    }

    fn wishes(&self) -> Wishes<'_> {
        let has = |name: &str| self.has.iter().any(|asked| asked == name);
        Wishes {
            only: &self.only,
            order: &self.order,
            sort: self.sort.as_deref().and_then(Sort::from_word),
            models: &self.models,
            has: Capabilities {
                tools: has("tool-use"),
                vision: has("vision"),
                reasoning: has("reasoning"),
                structured_output: has("structured-output"),
            },
            headquarters: &self.headquarters,
            within: self
                .inference_region
                .as_ref()
                .filter(|region| !region.is_global())
                .and_then(Region::area),
        }
    }
}

impl Region {
    fn area(&self) -> Option<Area> {
        Area::from_word(&self.geo_region).filter(|area| matches!(area, Area::Us | Area::Eu))
    }

    fn is_global(&self) -> bool {
        self.scope.as_deref() == Some("global")
    }
}

impl Change {
    /// The resource as it would be, under the id of the one whose place it takes.
    fn resource(
        &self,
        organization: OrganizationId,
        held: &[Resource],
        app: &App,
    ) -> Result<Resource, Problem> {
        match self {
            Self::Policy(spec) => {
                let id = held.iter().find_map(|resource| match resource {
                    Resource::Policy(policy) if policy.name == spec.name() => Some(policy.id),
                    _ => None,
                });
                let id = id.unwrap_or_else(|| app.new_id());
                (**spec).clone().into_policy(organization, id).map(Resource::Policy)
            }
            Self::Route(spec) => {
                let id = held.iter().find_map(|resource| match resource {
                    Resource::Route(route) if route.name == spec.name() => Some(route.id),
                    _ => None,
                });
                let id = id.unwrap_or_else(|| app.new_id());
                (**spec).clone().into_route(organization, id).map(Resource::Route)
            }
        }
    }
}
