//! The ledger: double-entry postings, written by the intake, never changed.

use tidegate_types::{NanoUsd, ProviderId};
use uuid::Uuid;

use crate::tenant::TenantTx;
use crate::{Result, StoreError};

/// Sum of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    /// `charges`, `providers`, `byok`, `byok_providers`, `credit`, `payments`, `allowances`, `charges_paid`, `markup`
    /// or `cache`.
    pub account: String,
    /// The provider, for accounts that are per provider.
    pub provider_id: Option<ProviderId>,
    /// Debits minus credits.
    pub sum: NanoUsd,
}

/// Sums of the bound organization's accounts. Together they are zero.
///
/// # Errors
/// When the database is away.
pub async fn totals(tx: &mut TenantTx) -> Result<Vec<Total>> {
    let rows: Vec<(String, Uuid, i64)> = sqlx::query_as(
        "SELECT account, provider_id, sum(nano_usd)::bigint FROM ledger_postings
         WHERE organization_id = $1 GROUP BY account, provider_id ORDER BY account, provider_id",
    )
    .bind(tx.organization())
    .fetch_all(tx.connection())
    .await?;
    let totals = rows.into_iter().map(|(account, provider, sum)| Total {
        account,
        provider_id: (!provider.is_nil()).then(|| ProviderId::from_uuid(provider)),
        sum: NanoUsd::new(sum),
    });
    Ok(totals.collect())
}

/// What the bound organization owes for calls over system credentials.
///
/// # Errors
/// When the database is away.
pub async fn charged(tx: &mut TenantTx) -> Result<NanoUsd> {
    let found = totals(tx).await?.into_iter().find(|total| total.account == "charges");
    Ok(found.map_or(NanoUsd::ZERO, |total| total.sum))
}

/// Whether the ledger, the roll-ups and the events of the bound organization agree.
///
/// # Errors
/// [`StoreError::Unreadable`] names what does not.
pub async fn check(tx: &mut TenantTx) -> Result<()> {
    let (balanced, posted, rolled): (bool, bool, bool) = sqlx::query_as(
        "WITH last AS (
             SELECT DISTINCT ON (call_id, attempt) outcome, cost, credential_type FROM billing_events
             WHERE organization_id = $1 AND kind <> 'intent' ORDER BY call_id, attempt, kind),
         billed AS (SELECT coalesce(sum(cost), 0)
             + (SELECT coalesce(sum(amount), 0) FROM charge_adjustments WHERE organization_id = $1) AS cost
             FROM last WHERE outcome IN ('completed', 'interrupted'))
         SELECT (SELECT coalesce(sum(nano_usd), 0) = 0 FROM ledger_postings WHERE organization_id = $1),
                (SELECT coalesce(sum(nano_usd), 0) FROM ledger_postings
                     WHERE organization_id = $1 AND account IN ('charges', 'byok')) = (SELECT cost FROM billed),
                (SELECT coalesce(sum(cost), 0) FROM usage_hourly WHERE organization_id = $1) = (SELECT cost FROM billed)",
    )
    .bind(tx.organization())
    .fetch_one(tx.connection())
    .await?;
    match (balanced, posted, rolled) {
        (false, ..) => Err(StoreError::Unreadable("ledger: debits and credits differ")),
        (_, false, _) => Err(StoreError::Unreadable("ledger: postings and events differ")),
        (_, _, false) => Err(StoreError::Unreadable("roll-ups: sums and events differ")),
        _ => Ok(()),
    }
}
