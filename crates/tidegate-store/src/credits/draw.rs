//! Charges that credit pays: booked with the spend of the budget that caps it.

use sqlx::postgres::PgConnection;
use tidegate_types::Timestamp;
use uuid::Uuid;

use super::amounts::Terms;
use crate::Result;
use crate::convert::time;
use crate::notices::Window;

#[derive(sqlx::FromRow)]
struct Row {
    organization_id: Uuid,
    budget_id: Uuid,
    markup_bps: i32,
    since_cost: i64,
    since_charged: i64,
    cost: i64,
    charged: i64,
}

/// Takes what these windows have spent by now from the credit of those organizations whose cap they
/// are. The windows' rows are locked by the caller's transaction.
pub(crate) async fn draw(connection: &mut PgConnection, windows: &[Window], now: Timestamp) -> Result<()> {
    let organizations: Vec<Uuid> = windows.iter().map(|window| window.organization_id).collect();
    let budgets: Vec<Uuid> = windows.iter().map(|window| window.budget_id).collect();
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT a.organization_id, a.budget_id, a.markup_bps, a.since_cost, a.since_charged, d.cost, d.charged
         FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, budget_id)
         JOIN credit_accounts a ON a.organization_id = k.organization_id AND a.budget_id = k.budget_id
         JOIN credit_draws d ON d.organization_id = a.organization_id
         ORDER BY a.organization_id FOR UPDATE OF d",
    )
    .bind(&organizations)
    .bind(&budgets)
    .fetch_all(&mut *connection)
    .await?;
    for row in rows {
        let of_row = |window: &&Window| {
            window.organization_id == row.organization_id && window.budget_id == row.budget_id
        };
        let Some(window) = windows.iter().find(of_row) else { continue };
        let terms = Terms {
            markup_bps: row.markup_bps,
            since_cost: row.since_cost,
            since_charged: row.since_charged,
        };
        let charged = terms.charged(window.spent);
        if (window.spent, charged) != (row.cost, row.charged) {
            post(connection, &row, window.spent, charged, now).await?;
        }
    }
    Ok(())
}

async fn post(
    connection: &mut PgConnection,
    row: &Row,
    cost: i64,
    charged: i64,
    now: Timestamp,
) -> Result<()> {
    let (batch,): (i64,) = sqlx::query_as(
        "INSERT INTO ledger_batches (organization_id, node_id, recorded_at, kind) VALUES ($1, $2, $3, 'draw')
         RETURNING batch_id",
    )
    .bind(row.organization_id)
    .bind(Uuid::nil())
    .bind(time(now))
    .fetch_one(&mut *connection)
    .await?;
    let (cost_more, charged_more) = (cost - row.cost, charged - row.charged);
    sqlx::query(
        "INSERT INTO ledger_postings (organization_id, batch_id, account, provider_id, nano_usd)
         SELECT $1, $2, account, $6, amount FROM (VALUES ('credit', $3::bigint), ('charges_paid', $4), ('markup', $5))
             AS p (account, amount) WHERE amount <> 0",
    )
    .bind(row.organization_id)
    .bind(batch)
    .bind(charged_more)
    .bind(-cost_more)
    .bind(cost_more - charged_more)
    .bind(Uuid::nil())
    .execute(&mut *connection)
    .await?;
    sqlx::query("UPDATE credit_draws SET cost = $2, charged = $3 WHERE organization_id = $1")
        .bind(row.organization_id)
        .bind(cost)
        .bind(charged)
        .execute(connection)
        .await?;
    Ok(())
}
