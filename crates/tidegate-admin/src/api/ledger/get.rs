//! `GET /ledger`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tidegate_store::ledger::{self, Total};
use tidegate_types::{NanoUsd, ProviderId};
use utoipa::ToSchema;

use crate::actor::Caller;
use crate::problem::Problem;
use crate::state::App;

/// Sum of one account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerAccount)]
pub(crate) struct AccountView {
    /// `charges`, `providers`, `byok`, `byok_providers`, `credit`, `payments`, `allowances`, `charges_paid`,
    /// `markup` or `cache`.
    account: String,
    /// The provider, for accounts that are per provider.
    #[schema(value_type = Option<String>)]
    provider_id: Option<ProviderId>,
    /// Debits minus credits, USD.
    #[schema(value_type = String)]
    sum: NanoUsd,
}

/// Sums of all accounts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ledger)]
pub(crate) struct LedgerView {
    /// The accounts; together they are zero.
    data: Vec<AccountView>,
}

impl From<Total> for AccountView {
    fn from(total: Total) -> Self {
        Self { account: total.account, provider_id: total.provider_id, sum: total.sum }
    }
}

/// Sums of the organization's accounts: double entry, append-only, in nano-USD.
#[utoipa::path(get, path = "/ledger", tag = "ledger", operation_id = "ledger_get",
    responses((status = OK, description = "The accounts", body = LedgerView)))]
pub(super) async fn get(State(app): State<App>, caller: Caller) -> Result<Json<LedgerView>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let totals = ledger::totals(&mut tx).await?;
    Ok(Json(LedgerView { data: totals.into_iter().map(AccountView::from).collect() }))
}
