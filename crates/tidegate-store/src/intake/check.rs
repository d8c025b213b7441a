//! Records that can never be stored. Nodes are not trusted: one absurd record must not stop a
//! lane, let alone spoil the books.

use std::collections::HashSet;

use tidegate_types::OrganizationId;
use tidegate_types::usage::{BillingEvent, HeldBudget};

use super::{Record, Shipped, organization_of};

/// One attempt above a million dollars, or a trillion tokens, is not one.
const MOST_NANO_USD: i64 = 1_000_000_000_000_000;
const MOST_TOKENS: u64 = 1_000_000_000_000;
const MOST_HOLDS: usize = 256;
/// Call ids carry their time: between 2020 and 2200.
const FIRST_MS: u64 = 1_577_836_800_000;
const LAST_MS: u64 = 7_258_118_400_000;

/// What is wrong with a record, if anything.
pub(super) fn fault(shipped: &Shipped, known: &HashSet<OrganizationId>) -> Option<&'static str> {
    let organization = organization_of(&shipped.record);
    if organization == OrganizationId::SYSTEM || !known.contains(&organization) {
        return Some("unknown_organization");
    }
    let (call_id, usage, costs) = match &shipped.record {
        Record::Event { event, cost } => (event.call_id, &event.usage, [cost.get(), event.cost.get()]),
        Record::Call(call) => (call.call_id, &call.usage, [call.cost.get(), 0]),
    };
    if !(FIRST_MS..LAST_MS).contains(&call_id.unix_ms()) {
        return Some("call_id_out_of_time");
    }
    if costs.iter().any(|cost| !(0..=MOST_NANO_USD).contains(cost)) {
        return Some("cost_out_of_range");
    }
    if usage.counts().into_iter().any(|count| count > MOST_TOKENS) {
        return Some("usage_out_of_range");
    }
    match &shipped.record {
        Record::Event { event, .. } => bad_holds(event),
        Record::Call(_) => None,
    }
}

fn bad_holds(event: &BillingEvent) -> Option<&'static str> {
    let bad = |held: &HeldBudget| {
        held.window_start >= held.window_end || !(0..=MOST_NANO_USD).contains(&held.amount.get())
    };
    (event.holds.len() > MOST_HOLDS || event.holds.iter().any(bad)).then_some("holds_out_of_range")
}
