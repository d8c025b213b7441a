//! `POST /ledger/rerate`

use std::collections::{BTreeSet, HashMap, HashSet};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tidegate_pricing::{Tariff, cost, share};
use tidegate_store::rerate::{self, Adjustment, Line};
use tidegate_store::{AuditNote, epochs};
use tidegate_types::resource::Price;
use tidegate_types::{CallId, NanoUsd, OrganizationId, PriceId, Timestamp};
use utoipa::ToSchema;

use crate::checks::Checks;
use crate::idempotency::Posted;
use crate::problem::Problem;
use crate::state::App;
use crate::write::{Halt, Write};

/// Lines read at once.
const PART: u16 = 1_000;
/// Differences that an answer lists; more are counted only.
const MOST_DIFFERENCES: usize = 1_000;
/// A node not heard of for so long is away: its pool's counters are left alone.
const AWAY_MS: i64 = 90_000;
/// Longest span of one request.
const MOST_MS: i64 = 32 * 86_400_000;

/// By which prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Prices {
    /// By the price of each charge itself: the same must come out.
    #[default]
    Charged,
    /// By what is known by now of the prices at the time of the call: a price that was recorded later
    /// changes what comes out.
    Known,
}

/// What to compute again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rerate {
    /// Calls begun from this time on.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Calls begun before this time; at most 32 days later.
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    /// By which prices; `charged` when absent.
    #[serde(default)]
    prices: Prices,
    /// Adjust what comes out otherwise. Without it, differences are only told.
    #[serde(default)]
    #[schema(default = false)]
    apply: bool,
}

/// A charge that comes out otherwise.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = RerateDifference)]
pub(crate) struct Differs {
    /// The call.
    #[schema(value_type = String)]
    call_id: CallId,
    /// Which attempt of it.
    attempt: u16,
    /// Whose.
    #[schema(value_type = String)]
    organization_id: OrganizationId,
    /// As booked, adjustments included, USD.
    #[schema(value_type = String)]
    booked: NanoUsd,
    /// As computed, USD.
    #[schema(value_type = String)]
    computed: NanoUsd,
    /// The price that says so.
    #[schema(value_type = Option<String>)]
    price_id: Option<PriceId>,
}

/// What came of it.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub(crate) struct Rerated {
    /// Charges looked at.
    lines: u64,
    /// Charges that come out as they are booked.
    reproduced: u64,
    /// Charges that a provider's bill decided: nothing to compute.
    billed: u64,
    /// Charges whose price is not known any more.
    unpriced: u64,
    /// Charges that come out otherwise.
    differing: u64,
    /// The first 1,000 of them.
    differences: Vec<Differs>,
    /// Charges adjusted.
    adjusted: u64,
    /// Organizations whose live counters are being written anew.
    #[schema(value_type = Vec<String>)]
    reopened: Vec<OrganizationId>,
}

/// Computes booked charges of a time again (platform administrators): all organizations', or one's
/// with `?organization=`. Asking again changes nothing.
#[utoipa::path(post, path = "/ledger/rerate", tag = "ledger", operation_id = "ledger_rerate", request_body = Rerate,
    responses((status = OK, description = "What came of it", body = Rerated)))]
pub(super) async fn rerate(State(app): State<App>, posted: Posted<Rerate>) -> Result<Response, Halt> {
    let asked = &posted.body;
    let span = asked.to.as_millis().saturating_sub(asked.from.as_millis());
    Checks::default()
        .that((1..=MOST_MS).contains(&span), "to", "must be after from, at most 32 days")
        .done()?;
    let organization = posted.caller.organization_id();
    let of = (organization != OrganizationId::SYSTEM).then_some(organization);
    let write = Write::begin_once(&app, &posted.caller, posted.once.clone()).await?;
    let actor = posted.caller.actor().who().to_string();
    let mut work = Work { app: &app, asked, actor, found: Rerated::default(), changed: BTreeSet::new() };
    let mut after = None;
    loop {
        let lines = rerate::lines(&app.store, of, (asked.from, asked.to), after, PART).await?;
        let Some(last) = lines.last() else { break };
        after = Some((last.organization_id, last.call_id, last.attempt));
        work.part(&lines).await?;
    }
    let (mut found, changed, now) = (work.found, work.changed, app.clock.now());
    for organization in changed {
        let pools = epochs::reopen(&app.store, organization, now.plus_millis(-AWAY_MS), now).await?;
        found.reopened.extend((!pools.is_empty()).then_some(organization));
    }
    if !asked.apply {
        return Ok((StatusCode::OK, axum::Json(found)).into_response());
    }
    let told = Rerated { differences: Vec::new(), ..found.clone() };
    let after = Some(serde_json::to_value(told).map_err(|_| Problem::internal())?);
    let object = format!("{}/{}", asked.from, asked.to);
    let note = AuditNote { action: "ledger.rerate", object, before: None, after };
    Ok(write.finish(note, found, StatusCode::OK, None).await?.into_response())
}

struct Work<'a> {
    app: &'a App,
    asked: &'a Rerate,
    actor: String,
    found: Rerated,
    changed: BTreeSet<OrganizationId>,
}

impl Work<'_> {
    async fn part(&mut self, lines: &[Line]) -> Result<(), Problem> {
        let ids: HashSet<PriceId> = lines.iter().filter_map(|line| line.price_id).collect();
        let ids: Vec<PriceId> = ids.into_iter().collect();
        let prices = rerate::relatives(&self.app.store, &ids).await?;
        for line in lines {
            self.found.lines += 1;
            match computed(line, &prices, self.asked.prices) {
                _ if line.billed => self.found.billed += 1,
                None => self.found.unpriced += 1,
                Some((charge, _)) if charge == line.cost + line.adjusted => self.found.reproduced += 1,
                Some((charge, price_id)) => self.differs(line, charge, price_id).await?,
            }
        }
        Ok(())
    }

    async fn differs(
        &mut self,
        line: &Line,
        charge: NanoUsd,
        price_id: Option<PriceId>,
    ) -> Result<(), Problem> {
        self.found.differing += 1;
        if self.found.differences.len() < MOST_DIFFERENCES {
            self.found.differences.push(Differs {
                call_id: line.call_id,
                attempt: line.attempt,
                organization_id: line.organization_id,
                booked: line.cost + line.adjusted,
                computed: charge,
                price_id,
            });
        }
        if self.asked.apply {
            let to = Adjustment { charge, price_id, actor: &self.actor, reason: "re-rated" };
            if rerate::adjust(&self.app.store, line, &to, self.app.clock.now()).await? {
                self.found.adjusted += 1;
                self.changed.insert(line.organization_id);
            }
        }
        Ok(())
    }
}

/// What a charge should be, and the price that says so; `None`: its price is not known any more.
fn computed(
    line: &Line,
    prices: &HashMap<PriceId, Vec<Price>>,
    by: Prices,
) -> Option<(NanoUsd, Option<PriceId>)> {
    let part = |whole: NanoUsd| line.cached_percent.map_or(whole, |percent| share(whole, percent));
    let Some(id) = line.price_id else {
        let ceiling = Tariff::Ceiling(line.ceiling?);
        return Some((part(ceiling.cost(&line.usage)), None));
    };
    let family = prices.get(&id)?;
    let price = match by {
        Prices::Charged => family.iter().find(|price| price.id == id)?,
        Prices::Known => {
            let at = Timestamp::from_millis(i64::try_from(line.call_id.unix_ms()).unwrap_or(i64::MAX));
            let in_force = family.iter().filter(|price| price.valid_from <= at);
            in_force.max_by_key(|price| (price.valid_from, price.recorded_at, price.id))?
        }
    };
    Some((part(cost(price, &line.usage)), Some(price.id)))
}
