//! Usage in the columns of FOCUS 1.0 (FinOps Open Cost and Usage Specification).
//!
//! Source: the FOCUS 1.0 column list, as cloud billing exports document it. What does not exist here
//! (regions, commitments, invoices) is null, as the specification allows.

use std::collections::BTreeMap;

use tidegate_store::usage::Row;
use tidegate_types::window::{Calendar, Every, WindowSpec};
use tidegate_types::{NanoUsd, Timestamp};

use super::export::Known;
use super::table::{Cell, Column, Kind};

/// FOCUS 1.0, in the order of its list.
pub(super) const COLUMNS: &[Column] = &[
    ("AvailabilityZone", Kind::Text),
    ("BilledCost", Kind::Money),
    ("BillingAccountId", Kind::Text),
    ("BillingAccountName", Kind::Text),
    ("BillingCurrency", Kind::Text),
    ("BillingPeriodEnd", Kind::Time),
    ("BillingPeriodStart", Kind::Time),
    ("ChargeCategory", Kind::Text),
    ("ChargeClass", Kind::Text),
    ("ChargeDescription", Kind::Text),
    ("ChargeFrequency", Kind::Text),
    ("ChargePeriodEnd", Kind::Time),
    ("ChargePeriodStart", Kind::Time),
    ("CommitmentDiscountCategory", Kind::Text),
    ("CommitmentDiscountId", Kind::Text),
    ("CommitmentDiscountName", Kind::Text),
    ("CommitmentDiscountStatus", Kind::Text),
    ("CommitmentDiscountType", Kind::Text),
    ("ConsumedQuantity", Kind::Count),
    ("ConsumedUnit", Kind::Text),
    ("ContractedCost", Kind::Money),
    ("ContractedUnitPrice", Kind::Money),
    ("EffectiveCost", Kind::Money),
    ("InvoiceIssuerName", Kind::Text),
    ("ListCost", Kind::Money),
    ("ListUnitPrice", Kind::Money),
    ("PricingCategory", Kind::Text),
    ("PricingQuantity", Kind::Count),
    ("PricingUnit", Kind::Text),
    ("ProviderName", Kind::Text),
    ("PublisherName", Kind::Text),
    ("RegionId", Kind::Text),
    ("RegionName", Kind::Text),
    ("ResourceId", Kind::Text),
    ("ResourceName", Kind::Text),
    ("ResourceType", Kind::Text),
    ("ServiceCategory", Kind::Text),
    ("ServiceName", Kind::Text),
    ("SkuId", Kind::Text),
    ("SkuPriceId", Kind::Text),
    ("SubAccountId", Kind::Text),
    ("SubAccountName", Kind::Text),
    ("Tags", Kind::Text),
];

/// A row of a report by day, team, key, model, provider and credential type.
pub(super) fn row(row: &Row, known: &Known, calendar: &Calendar) -> Vec<Cell> {
    let window = |every, at| calendar.window(WindowSpec::Recurring { every }, at);
    let start = row.start.unwrap_or(Timestamp::from_micros(0));
    let (day, month) = (window(Every::Day, start), window(Every::Month, start));
    let at = |time: Option<Timestamp>| time.map_or(Cell::Null, Cell::Time);
    let text = |text: &str| Cell::Text(text.to_owned());
    let tokens = row.usage.input_tokens + row.usage.output_tokens;
    let (quantity, unit) = if tokens > 0 { (tokens, "Tokens") } else { (row.request_count, "Requests") };
    // What the organization pays its provider itself is on that provider's invoice, not on ours.
    let billed = row.total_cost - row.byok_cost;
    let model = known.name("model", row.model_id);
    let provider = known.name("provider", row.provider_id);
    let value = |name: &str| -> Cell {
        match name {
            "BilledCost" | "EffectiveCost" => Cell::Money(billed),
            "ContractedCost" | "ListCost" => Cell::Money(row.total_cost),
            "BillingAccountId" => Cell::Text(known.organization_id.to_string()),
            "BillingAccountName" => Cell::Text(known.organization.clone()),
            "BillingCurrency" => text("USD"),
            "BillingPeriodStart" => at(month.map(|month| month.start)),
            "BillingPeriodEnd" => at(month.map(|month| month.end)),
            "ChargePeriodStart" => at(row.start),
            "ChargePeriodEnd" => at(day.map(|day| day.end)),
            "ChargeCategory" => text("Usage"),
            "ChargeFrequency" => text("Usage-Based"),
            "ChargeDescription" => Cell::Text(format!("{} at {}", named(&model), named(&provider))),
            "ConsumedQuantity" | "PricingQuantity" => Cell::count(quantity),
            "ConsumedUnit" | "PricingUnit" => text(unit),
            "PricingCategory" => text("Standard"),
            "InvoiceIssuerName" if billed == NanoUsd::ZERO && row.byok_cost != NanoUsd::ZERO => {
                Cell::text(provider.clone())
            }
            "InvoiceIssuerName" => text("Tidegate"),
            "ProviderName" => Cell::text(provider.clone()),
            "PublisherName" => Cell::text(model.as_deref().and_then(|model| model.split('/').next())),
            "ResourceId" => Cell::text(row.key_id),
            "ResourceName" => Cell::text(known.name("key", row.key_id)),
            "ResourceType" => text("Virtual Key"),
            "ServiceCategory" => text("AI and Machine Learning"),
            "ServiceName" | "SkuId" => Cell::text(model.clone()),
            "SubAccountId" => Cell::text(row.team_id),
            "SubAccountName" => Cell::text(known.name("team", row.team_id)),
            "Tags" => Cell::Text(tags(row)),
            _ => Cell::Null,
        }
    };
    COLUMNS.iter().map(|(name, _)| value(name)).collect()
}

fn named(name: &Option<String>) -> &str {
    name.as_deref().unwrap_or("unknown")
}

/// A JSON object, as the specification wants it.
fn tags(row: &Row) -> String {
    let mut tags = BTreeMap::new();
    if let Some(kind) = &row.credential_type {
        tags.insert("credential_type", kind.as_str());
    }
    serde_json::to_string(&tags).unwrap_or_default()
}
