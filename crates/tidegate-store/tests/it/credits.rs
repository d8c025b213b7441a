//! Credit: the cap follows what is put in, charges follow the spend, and the ledger knows it all.

use tidegate_store::credits::{self, Allowance, EntryKind, NewEntry, Setup};
use tidegate_store::intake::ingest;
use tidegate_store::ledger::{self, Total};
use tidegate_store::{StoreError, budgets};
use tidegate_types::resource::Budget;
use tidegate_types::usage::{EventKind, HeldBudget, Outcome};
use tidegate_types::window::Every;
use tidegate_types::{BudgetId, NanoUsd, NodeId, OrganizationId, Timestamp};

use crate::fixture::{Fixture, NOW, commit, new_id};
use crate::samples::{billed, event, node, shipped};

/// 2026-12-01T00:00:00Z, the first instant after the month of NOW.
const DECEMBER: Timestamp = Timestamp::from_seconds(1_796_083_200);

async fn set_up(f: &Fixture, markup_bps: u32, allowance: Option<i64>, at: Timestamp) -> Budget {
    let allowance = allowance.map(|amount| Allowance {
        amount: NanoUsd::new(amount),
        every: Every::Month,
        ends_with_top_up: true,
    });
    let mut change = f.store.change(&f.acme.actor, at).await.unwrap();
    let cap = credits::set_up(&mut change, &Setup { markup_bps, allowance }, None).await.unwrap();
    commit(change).await;
    cap
}

async fn put(f: &Fixture, kind: EntryKind, amount: i64, reference: &str) -> Result<Budget, StoreError> {
    let entry = NewEntry { kind, amount: NanoUsd::new(amount), reference, note: "", corrects: None };
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    let (_, cap) = credits::book(&mut change, &entry).await?;
    commit(change).await;
    Ok(cap)
}

/// Charges `cost` under these budgets' windows.
async fn spend(f: &Fixture, node: NodeId, place: u64, cost: i64, held: &[(BudgetId, Timestamp, Timestamp)]) {
    let mut charged = event(&f.acme, new_id(), EventKind::Final, Outcome::Completed, cost);
    let hold = |(budget_id, window_start, window_end): &(BudgetId, Timestamp, Timestamp)| HeldBudget {
        budget_id: *budget_id,
        window_start: *window_start,
        window_end: *window_end,
        amount: NanoUsd::new(cost),
    };
    charged.holds = held.iter().map(hold).collect();
    ingest(&f.store, node, &shipped(node, place, [billed(charged)]), NOW).await.unwrap();
}

const FOR_EVER: (Timestamp, Timestamp) = (Timestamp::from_micros(0), Timestamp::from_micros(i64::MAX));

async fn credit(f: &Fixture, at: Timestamp) -> credits::Credit {
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    ledger::check(&mut tx).await.unwrap();
    credits::get(&mut tx, at).await.unwrap().unwrap()
}

async fn account(f: &Fixture, name: &str) -> i64 {
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    let totals: Vec<Total> = ledger::totals(&mut tx).await.unwrap();
    totals.iter().filter(|total| total.account == name).map(|total| total.sum.get()).sum()
}

async fn cap_now(f: &Fixture, id: BudgetId) -> Budget {
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    budgets::get(&mut tx, id).await.unwrap().value
}

#[tokio::test]
async fn a_top_up_raises_the_cap_and_spending_does_not_move_it() {
    let f = Fixture::new().await;
    let node = node(&f.store).await;
    let cap = set_up(&f, 0, None, NOW).await;
    assert_eq!(cap.limit, NanoUsd::ZERO, "nothing may be spent before something is paid");
    let cap = put(&f, EntryKind::TopUp, 1_000, "invoice-1").await.unwrap();
    assert_eq!(cap.limit.get(), 1_000);
    spend(&f, node, 1, 300, &[(cap.id, FOR_EVER.0, FOR_EVER.1)]).await;
    assert_eq!(cap_now(&f, cap.id).await.limit.get(), 1_000);
    let left = credit(&f, NOW).await;
    assert_eq!((left.balance.get(), left.drawn.get()), (700, 300));
    assert_eq!(put(&f, EntryKind::TopUp, 500, "invoice-2").await.unwrap().limit.get(), 1_500);
    assert!(
        matches!(put(&f, EntryKind::TopUp, 500, "invoice-2").await, Err(StoreError::Taken(_))),
        "booked once"
    );
    // Taken back below what was spent: the cap is what was spent.
    assert_eq!(put(&f, EntryKind::Adjustment, -1_400, "refund").await.unwrap().limit.get(), 300);
    assert_eq!(credit(&f, NOW).await.balance.get(), -200);
    assert_eq!((account(&f, "credit").await, account(&f, "charges_paid").await), (200, -300));
    assert_eq!((account(&f, "payments").await, account(&f, "markup").await), (100, 0));
}

#[tokio::test]
async fn a_markup_lowers_what_a_balance_affords_and_is_told_apart_in_the_ledger() {
    let f = Fixture::new().await;
    let node = node(&f.store).await;
    set_up(&f, 2_500, None, NOW).await;
    let cap = put(&f, EntryKind::TopUp, 1_000, "i").await.unwrap();
    assert_eq!(cap.limit.get(), 800);
    let hold = [(cap.id, FOR_EVER.0, FOR_EVER.1)];
    spend(&f, node, 1, 100, &hold).await;
    spend(&f, node, 2, 101, &hold).await;
    // 201 x 1.25 = 251.25: rounded up once, not twice.
    assert_eq!(credit(&f, NOW).await.drawn.get(), 252);
    assert_eq!((account(&f, "markup").await, account(&f, "charges_paid").await), (-51, -201));
    // Half the markup from here on: what was charged stays.
    let cap = set_up(&f, 0, None, NOW).await;
    assert_eq!(cap.limit.get(), 201 + 748);
    spend(&f, node, 3, 48, &hold).await;
    assert_eq!(credit(&f, NOW).await.balance.get(), 700);
}

#[tokio::test]
async fn an_allowance_is_spent_first_lapses_with_its_month_and_comes_again() {
    let f = Fixture::new().await;
    let node = node(&f.store).await;
    let cap = set_up(&f, 0, Some(1_000), NOW).await;
    assert_eq!((cap.limit.get(), cap.raises.len()), (0, 1));
    assert_eq!((cap.raises[0].amount.get(), cap.raises[0].until), (1_000, DECEMBER));
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    let counter = budgets::list(&mut tx, None, 10).await.unwrap().data;
    let counter = counter.iter().find(|found| found.value.id != cap.id).unwrap().value.clone();
    drop(tx);
    let november = Timestamp::from_seconds(1_793_491_200);
    let hold = [(cap.id, FOR_EVER.0, FOR_EVER.1), (counter.id, november, DECEMBER)];
    spend(&f, node, 1, 400, &hold).await;
    let left = credit(&f, NOW).await;
    assert_eq!((left.balance.get(), left.allowance_left.get(), left.period_end), (600, 600, Some(DECEMBER)));
    assert_eq!(credits::roll(&f.store, NOW).await.unwrap().done, 0, "nothing is due within the month");

    assert_eq!(credits::roll(&f.store, DECEMBER).await.unwrap().done, 1);
    let left = credit(&f, DECEMBER).await;
    assert_eq!((left.balance.get(), left.allowance_left.get()), (1_000, 1_000));
    let cap = cap_now(&f, cap.id).await;
    assert_eq!((cap.limit.get(), cap.raises[0].amount.get()), (400, 1_000));
    assert_eq!(credits::roll(&f.store, DECEMBER).await.unwrap().done, 0, "once");

    // A charge of November comes in late: less has lapsed, the balance of December is the same.
    spend(&f, node, 2, 100, &hold).await;
    assert_eq!(credit(&f, DECEMBER).await.balance.get(), 900);
    assert_eq!(credits::roll(&f.store, DECEMBER).await.unwrap().done, 1);
    assert_eq!(credit(&f, DECEMBER).await.balance.get(), 1_000);
    assert_eq!(cap_now(&f, cap.id).await.limit.get(), 500);
    assert_eq!(account(&f, "allowances").await, 1_000 + 500);
}

#[tokio::test]
async fn the_first_top_up_ends_an_allowance_that_says_so() {
    let f = Fixture::new().await;
    set_up(&f, 0, Some(1_000), NOW).await;
    let cap = put(&f, EntryKind::TopUp, 70, "i").await.unwrap();
    assert_eq!((cap.limit.get(), cap.raises.len()), (70, 0));
    let left = credit(&f, NOW).await;
    assert_eq!((left.balance.get(), left.setup.allowance), (70, None));
    assert_eq!(credits::roll(&f.store, DECEMBER).await.unwrap().done, 0);
}

#[tokio::test]
async fn only_the_platform_moves_credit_and_nobody_its_cap() {
    let f = Fixture::new().await;
    set_up(&f, 0, None, NOW).await;
    let cap = put(&f, EntryKind::TopUp, 10, "i").await.unwrap();
    // The app login without the platform's mark, as it serves a tenant.
    let app = sqlx::PgPool::connect(&f.database.app_url).await.unwrap();
    let mut tx = app.begin().await.unwrap();
    sqlx::query("SELECT set_config('app.organization_id', $1, true)")
        .bind(f.acme.organization.id.to_uuid().to_string())
        .execute(&mut *tx)
        .await
        .unwrap();
    let forged = "INSERT INTO ledger_batches (organization_id, node_id, recorded_at, kind) VALUES ($1, $1, now(), 'credit')";
    let refused =
        sqlx::query(forged).bind(f.acme.organization.id.to_uuid()).execute(&mut *tx).await.unwrap_err();
    assert!(refused.to_string().contains("row-level security"), "{refused}");
    drop(tx);
    // What is booked is never changed, not even by the owner of the tables.
    let superuser = sqlx::PgPool::connect(&f.database.superuser_url).await.unwrap();
    for statement in [
        "UPDATE credit_entries SET amount = 1",
        "DELETE FROM credit_entries",
        "TRUNCATE credit_entries CASCADE",
        "UPDATE ledger_postings SET nano_usd = 0",
        "DELETE FROM ledger_batches",
        "TRUNCATE ledger_postings",
    ] {
        let refused = sqlx::raw_sql(statement).execute(&superuser).await;
        assert!(refused.unwrap_err().to_string().contains("immutable"), "{statement}");
    }
    assert_eq!(credit(&f, NOW).await.budget_id, cap.id);
    assert_ne!(f.acme.organization.id, OrganizationId::SYSTEM);
}
