//! Which pools serve an organization: what a change of that asks for, and what stands in its way.

use tidegate_store::{Change, TenantTx, placement};

use crate::api::credentials;
use crate::problem::Problem;
use crate::state::App;

/// Places the organization of the change. Credentials are sealed for the pools that serve it from now
/// on; the caller writes the organization's document and commits.
///
/// Counters of one budget in several pools do not know of one another, so an organization with a hard
/// budget has one pool. Moving it is safe: its counters open in the new pool from the books, once every
/// node of the old one has shipped.
pub(super) async fn place(app: &App, change: &mut Change, pools: &[String]) -> Result<(), Problem> {
    let present = placement::hold_pools(change).await?;
    for (place, pool) in pools.iter().enumerate() {
        if !present.contains(pool) {
            let unknown = "The request refers to something that does not exist.";
            let problem = Problem::unprocessable("unknown_reference", unknown);
            return Err(problem.with(format!("pools[{place}]"), "there is no such pool"));
        }
    }
    if pools.len() > 1 {
        let hard = placement::hard_budgets(change).await?;
        if let Some(first) = hard.first() {
            let detail = format!(
                "With several pools an organization may have no hard budget, and it has {}: {first:?}{}. Give it one pool, or make them soft.",
                hard.len(),
                if hard.len() > 1 { " and others" } else { "" },
            );
            return Err(several_pools(detail).with("pools", "must be one pool while there are hard budgets"));
        }
    }
    credentials::seal_for(app, change, pools).await?;
    placement::place(change, pools).await?;
    Ok(())
}

/// Refuses a hard budget where several pools serve the organization.
pub(crate) async fn refuse_several_pools(tx: &mut TenantTx) -> Result<(), Problem> {
    let pools = placement::of(tx).await?;
    if pools.len() < 2 {
        return Ok(());
    }
    let detail = format!(
        "The organization is served by {} pools ({}), whose counters do not know of one another: a hard budget could be spent once in each. Make the budget soft, or have a platform administrator give the organization one pool.",
        pools.len(),
        pools.join(", "),
    );
    Err(several_pools(detail).with("enforcement", "must be soft while several pools serve the organization"))
}

fn several_pools(detail: String) -> Problem {
    Problem::unprocessable("hard_budget_needs_one_pool", detail)
}
