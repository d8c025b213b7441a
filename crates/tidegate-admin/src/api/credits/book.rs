//! `POST /credits/top-ups`, `POST /credits/adjustments`

use axum::extract::State;
use serde::Deserialize;
use tidegate_store::credits::{self, EntryId, EntryKind, NewEntry};
use tidegate_types::NanoUsd;
use tidegate_types::resource::Resource;
use utoipa::ToSchema;

use super::EntryView;
use crate::checks::Checks;
use crate::idempotency::Posted;
use crate::problem::Problem;
use crate::state::App;
use crate::write::{Done, Halt, Write};

/// A payment that came in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopUp {
    /// USD, more than 0.
    #[schema(value_type = String, example = "100")]
    amount: NanoUsd,
    /// The payment's own name, an invoice's number for example: booked once.
    reference: String,
    /// Why, for people.
    #[serde(default)]
    #[schema(default = "")]
    note: String,
}

/// A correction of an entry.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Adjustment {
    /// USD; below zero: taken back.
    #[schema(value_type = String, example = "-10")]
    amount: NanoUsd,
    /// Its own name: booked once.
    reference: String,
    /// The entry that it corrects.
    #[schema(value_type = String)]
    corrects: EntryId,
    /// Why, for people.
    note: String,
}

/// Books a top-up (platform administrators). The organization can spend it at once.
#[utoipa::path(post, path = "/credits/top-ups", tag = "credits", operation_id = "credits_top_up", request_body = TopUp,
    responses((status = CREATED, description = "The entry", body = EntryView)))]
pub(super) async fn top_up(State(app): State<App>, posted: Posted<TopUp>) -> Done<EntryView> {
    let TopUp { amount, reference, note } = &posted.body;
    Checks::default().that(*amount > NanoUsd::ZERO, "amount", "must be more than 0").done()?;
    let entry = NewEntry { kind: EntryKind::TopUp, amount: *amount, reference, note, corrects: None };
    book(&app, &posted, &entry).await
}

/// Books a correction of an entry (platform administrators). The entry itself stays.
#[utoipa::path(post, path = "/credits/adjustments", tag = "credits", operation_id = "credits_adjust",
    request_body = Adjustment, responses((status = CREATED, description = "The entry", body = EntryView)))]
pub(super) async fn adjust(State(app): State<App>, posted: Posted<Adjustment>) -> Done<EntryView> {
    let Adjustment { amount, reference, corrects, note } = &posted.body;
    Checks::default().that(*amount != NanoUsd::ZERO, "amount", "must not be 0").name("note", note).done()?;
    let kind = EntryKind::Adjustment;
    let entry = NewEntry { kind, amount: *amount, reference, note, corrects: Some(*corrects) };
    book(&app, &posted, &entry).await
}

async fn book<T>(app: &App, posted: &Posted<T>, entry: &NewEntry<'_>) -> Done<EntryView> {
    let mut checks = Checks::default();
    checks.name("reference", entry.reference).text("note", entry.note, 500);
    checks.that(entry.amount.get().abs() <= 1 << 53, "amount", "must be at most 9007199.254740992").done()?;
    let mut write = Write::begin_once(app, &posted.caller, posted.once.clone()).await?;
    let (id, cap) = credits::book(&mut write, entry).await.map_err(not_set_up)?;
    write.compile(&Resource::Budget(cap)).await?;
    let booked = credits::entry(&mut write, id).await?;
    write.created("credit.book", id.to_string(), EntryView::from(&booked)).await
}

fn not_set_up(error: tidegate_store::StoreError) -> Halt {
    match error {
        tidegate_store::StoreError::NotFound => Problem::conflict(
            "credit_not_set_up",
            "This organization has no credit. Set it up first: PATCH /credits.",
        )
        .into(),
        other => other.into(),
    }
}
