//! `/credits`: what an organization has paid in advance, or is given; it acts as a cap.

mod book;
mod entries;
mod get;
mod update;

use serde::{Deserialize, Serialize};
use tidegate_store::TenantTx;
use tidegate_store::credits::{self, Allowance, Credit, Entry, EntryId, EntryKind, Setup};
use tidegate_types::window::Every;
use tidegate_types::{BudgetId, NanoUsd, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::checks::Checks;
use crate::problem::Problem;
use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get::get, update::update))
        .routes(routes!(book::top_up))
        .routes(routes!(book::adjust))
        .routes(routes!(entries::entries))
}

/// What is given each period.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Allowance)]
pub(crate) struct AllowanceSpec {
    /// For each period, USD. What is not used lapses with it; it is spent before what was paid.
    #[schema(value_type = String, example = "5")]
    amount: NanoUsd,
    /// `hour`, `day`, `week`, `month`, `quarter` or `year`, in the organization's calendar.
    #[schema(value_type = String, example = "month")]
    every: Every,
    /// Whether the first top-up ends it.
    #[serde(default)]
    #[schema(default = false)]
    ends_with_top_up: bool,
}

/// How credit is set up.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = CreditSpec)]
pub(crate) struct CreditSpec {
    /// On top of each charge, percent with at most two places; `0` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "5.00")]
    markup_percent: Option<String>,
    /// What is given each period.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    allowance: Option<AllowanceSpec>,
}

/// An organization's credit.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Credit)]
pub(crate) struct CreditView {
    /// Whether it is set up: then the organization spends what it has, and no more.
    enabled: bool,
    /// Everything that is left, USD: paid and allowance. What runs at this moment is still in it.
    #[schema(value_type = String)]
    balance: NanoUsd,
    /// Of it left of this period's allowance, USD.
    #[schema(value_type = String)]
    allowance_left: NanoUsd,
    /// When that lapses.
    #[schema(value_type = Option<String>, format = DateTime)]
    period_end: Option<Timestamp>,
    /// What charges have taken so far, markup included, USD.
    #[schema(value_type = String)]
    drawn: NanoUsd,
    /// The budget that caps it; nobody changes it but by credit.
    #[schema(value_type = Option<String>)]
    budget_id: Option<BudgetId>,
    /// How it is set up.
    #[serde(flatten)]
    spec: CreditSpec,
}

/// An entry of credit.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = CreditEntry)]
pub(crate) struct EntryView {
    /// Identity.
    #[schema(value_type = String)]
    id: EntryId,
    /// `top_up`, `adjustment`, `allowance` or `expiry`.
    #[schema(value_type = String)]
    kind: EntryKind,
    /// Put in, USD; below zero: taken back.
    #[schema(value_type = String)]
    amount: NanoUsd,
    /// When it was booked.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The payer's name for it.
    reference: String,
    /// Why.
    note: String,
    /// The entry that it corrects.
    #[schema(value_type = Option<String>)]
    corrects: Option<EntryId>,
    /// Who booked it.
    actor: String,
}

impl CreditSpec {
    fn setup(&self) -> Result<Setup, Problem> {
        let mut checks = Checks::default();
        let markup = self.markup_percent.as_deref().map_or(Some(0), hundredths);
        checks.that(
            markup.is_some_and(|markup| markup <= 100_000),
            "markup_percent",
            "must be 0 to 1000 with at most two places",
        );
        if let Some(allowance) = &self.allowance {
            let fits = NanoUsd::ZERO < allowance.amount && allowance.amount.get() <= 1 << 53;
            checks.that(fits, "allowance.amount", "must be more than 0 and at most 9007199.254740992");
            checks.that(allowance.every != Every::Minute, "allowance.every", "must be an hour at least");
        }
        checks.done()?;
        let allowance = self.allowance.map(|spec| Allowance {
            amount: spec.amount,
            every: spec.every,
            ends_with_top_up: spec.ends_with_top_up,
        });
        Ok(Setup { markup_bps: markup.unwrap_or(0), allowance })
    }

    fn of(setup: &Setup) -> Self {
        let (whole, rest) = (setup.markup_bps / 100, setup.markup_bps % 100);
        Self {
            markup_percent: Some(format!("{whole}.{rest:02}")),
            allowance: setup.allowance.map(|allowance| AllowanceSpec {
                amount: allowance.amount,
                every: allowance.every,
                ends_with_top_up: allowance.ends_with_top_up,
            }),
        }
    }
}

/// A percentage in hundredths; `None` when it is not one.
fn hundredths(text: &str) -> Option<u32> {
    // As nano-USD it is a decimal text like any other.
    let nano = text.parse::<NanoUsd>().ok()?.get();
    let whole = (nano % 10_000_000 == 0).then_some(nano / 10_000_000)?;
    u32::try_from(whole).ok()
}

impl CreditView {
    fn of(credit: Option<&Credit>) -> Self {
        Self {
            enabled: credit.is_some(),
            balance: credit.map_or(NanoUsd::ZERO, |credit| credit.balance),
            allowance_left: credit.map_or(NanoUsd::ZERO, |credit| credit.allowance_left),
            period_end: credit.and_then(|credit| credit.period_end),
            drawn: credit.map_or(NanoUsd::ZERO, |credit| credit.drawn),
            budget_id: credit.map(|credit| credit.budget_id),
            spec: credit.map_or_else(CreditSpec::default, |credit| CreditSpec::of(&credit.setup)),
        }
    }
}

impl From<&Entry> for EntryView {
    fn from(entry: &Entry) -> Self {
        Self {
            id: entry.id,
            kind: entry.kind,
            amount: entry.amount,
            at: entry.at,
            reference: entry.reference.clone(),
            note: entry.note.clone(),
            corrects: entry.corrects,
            actor: entry.actor.clone(),
        }
    }
}

/// The bound organization's credit and its version.
async fn view(app: &App, tx: &mut TenantTx) -> Result<(CreditView, i64), Problem> {
    let credit = credits::get(tx, app.clock.now()).await?;
    Ok((CreditView::of(credit.as_ref()), credit.map_or(0, |credit| credit.version)))
}
