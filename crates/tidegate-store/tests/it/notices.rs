//! Alerts: each percentage of each window is told once, whoever books the spend, however often.

use std::collections::BTreeSet;

use tidegate_store::intake::{Record, ingest};
use tidegate_store::notices::{self, NoticeKind, StoredNotice};
use tidegate_store::webhooks::{self, SealedKey, Tried, Webhook, WebhookId};
use tidegate_store::{StoreError, budgets};
use tidegate_types::resource::{Budget, Scope};
use tidegate_types::usage::{CallOutcome, EventKind, Outcome, RefusalCause};
use tidegate_types::window::{True, WindowSpec};
use tidegate_types::{NanoUsd, Timestamp};

use crate::fixture::{Fixture, NOW, Tenant, commit, new_id};
use crate::samples::{BUDGET, billed, budget, call_record, event, node, shipped};

/// A lifetime budget of 1,000 nano-USD that asks for alerts at 50, 80 and 100 percent.
async fn cap(f: &Fixture, tenant: &Tenant) -> Budget {
    let cap = Budget {
        id: BUDGET,
        limit: NanoUsd::new(1_000),
        window: WindowSpec::Lifetime { lifetime: True },
        scope: Scope::default(),
        alert_at_percent: vec![50, 80, 100],
        ..budget(tenant.organization.id, tenant.team.id)
    };
    let mut change = f.store.change(&tenant.actor, NOW).await.unwrap();
    budgets::insert(&mut change, &cap).await.unwrap();
    commit(change).await;
    cap
}

async fn hook(f: &Fixture, tenant: &Tenant, name: &str, kinds: Vec<NoticeKind>) -> WebhookId {
    let webhook = Webhook {
        id: new_id(),
        name: name.to_owned(),
        url: "https://x.example/".into(),
        kinds,
        enabled: true,
    };
    let secret = SealedKey { secret_version: 1, data_key_version: 1, bytes: vec![1] };
    let mut change = f.store.change(&tenant.actor, NOW).await.unwrap();
    webhooks::insert(&mut change, &webhook, &secret).await.unwrap();
    commit(change).await;
    webhook.id
}

async fn told(f: &Fixture, tenant: &Tenant) -> Vec<StoredNotice> {
    let mut tx = f.store.begin(&tenant.actor).await.unwrap();
    notices::list(&mut tx, None, 100).await.unwrap().data
}

fn percents(notices: &[StoredNotice]) -> BTreeSet<u64> {
    let thresholds = notices.iter().filter(|notice| notice.kind == "budget.threshold");
    thresholds.map(|notice| notice.data["percent"].as_u64().unwrap()).collect()
}

fn charge(tenant: &Tenant, cost: i64) -> Record {
    billed(event(tenant, new_id(), EventKind::Final, Outcome::Completed, cost))
}

#[tokio::test]
async fn a_percentage_is_told_once_when_it_is_reached_and_not_before() {
    let f = Fixture::new().await;
    cap(&f, &f.acme).await;
    let node = node(&f.store).await;
    let batch = shipped(
        node,
        1,
        [charge(&f.acme, 499), charge(&f.acme, 1), charge(&f.acme, 1), charge(&f.acme, 400)],
    );
    ingest(&f.store, node, &batch[..1], NOW).await.unwrap();
    assert!(told(&f, &f.acme).await.is_empty());
    for _ in 0..2 {
        ingest(&f.store, node, &batch[..2], NOW).await.unwrap();
        ingest(&f.store, node, &batch[..3], NOW).await.unwrap();
    }
    let found = told(&f, &f.acme).await;
    assert_eq!(percents(&found), BTreeSet::from([50]));
    let data = &found[0].data;
    assert_eq!((data["limit"].as_str(), data["spent"].as_str()), (Some("0.000001"), Some("0.0000005")));
    assert_eq!((data["budget"].as_str(), data["window_end"].is_null()), (Some("cap"), true));
    ingest(&f.store, node, &batch, NOW).await.unwrap();
    assert_eq!(percents(&told(&f, &f.acme).await), BTreeSet::from([50, 80]));
    assert!(told(&f, &f.umbrella).await.is_empty());
}

#[tokio::test]
async fn two_control_planes_that_book_at_once_tell_once() {
    let f = Fixture::new().await;
    cap(&f, &f.acme).await;
    let hook = hook(&f, &f.acme, "all", vec![]).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let node = node(&f.store).await;
        let batch = shipped(node, 1, (0..25).map(|_| charge(&f.acme, 10)));
        let store = f.database.store().await.unwrap();
        tasks.spawn(async move {
            for chunk in batch.chunks(3) {
                ingest(&store, node, chunk, NOW).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let found = told(&f, &f.acme).await;
    assert_eq!((found.len(), percents(&found)), (3, BTreeSet::from([50, 80, 100])));
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    assert_eq!(webhooks::deliveries(&mut tx, hook, None, 100).await.unwrap().data.len(), 3);
}

#[tokio::test]
async fn a_lowered_limit_tells_what_it_makes_due() {
    let f = Fixture::new().await;
    let cap = cap(&f, &f.acme).await;
    let node = node(&f.store).await;
    ingest(&f.store, node, &shipped(node, 1, [charge(&f.acme, 450)]), NOW).await.unwrap();
    assert!(told(&f, &f.acme).await.is_empty());
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    budgets::update(&mut change, &Budget { limit: NanoUsd::new(500), ..cap }, None, true).await.unwrap();
    commit(change).await;
    assert_eq!(percents(&told(&f, &f.acme).await), BTreeSet::from([50, 80]));
}

#[tokio::test]
async fn the_first_refusal_of_a_window_is_told_to_the_webhooks_that_want_it() {
    let f = Fixture::new().await;
    cap(&f, &f.acme).await;
    let wants = hook(&f, &f.acme, "wants", vec![NoticeKind::BudgetExhausted]).await;
    let other = hook(&f, &f.acme, "other", vec![NoticeKind::CredentialFailing]).await;
    let node = node(&f.store).await;
    let refusal = || {
        let mut call = call_record(&f.acme, new_id(), true);
        call.outcome = CallOutcome::Refused { cause: RefusalCause::Budget, budget_id: Some(BUDGET) };
        Record::Call(call)
    };
    let mut elsewhere = call_record(&f.acme, new_id(), true);
    elsewhere.outcome = CallOutcome::Refused { cause: RefusalCause::Budget, budget_id: Some(new_id()) };
    let batch = shipped(node, 1, [refusal(), refusal(), Record::Call(elsewhere), refusal()]);
    ingest(&f.store, node, &batch[..2], NOW).await.unwrap();
    ingest(&f.store, node, &batch, NOW).await.unwrap();
    let found = told(&f, &f.acme).await;
    assert_eq!(found.iter().map(|notice| notice.kind.as_str()).collect::<Vec<_>>(), ["budget.exhausted"]);
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    assert_eq!(webhooks::deliveries(&mut tx, wants, None, 9).await.unwrap().data.len(), 1);
    assert!(webhooks::deliveries(&mut tx, other, None, 9).await.unwrap().data.is_empty());
}

#[tokio::test]
async fn a_claimed_delivery_is_nobody_elses_until_the_claim_runs_out() {
    let f = Fixture::new().await;
    cap(&f, &f.acme).await;
    let hook = hook(&f, &f.acme, "all", vec![]).await;
    let node = node(&f.store).await;
    ingest(&f.store, node, &shipped(node, 1, [charge(&f.acme, 600)]), NOW).await.unwrap();
    let later = |seconds: i64| NOW.plus_millis(seconds * 1000);
    let claim = async |at: Timestamp, until| webhooks::claim(&f.store, at, until, 10).await.unwrap();
    let first = claim(NOW, later(60)).await;
    assert_eq!((first.len(), first[0].attempts, first[0].webhook_id), (1, 1, hook));
    assert!(claim(later(59), later(119)).await.is_empty());
    let second = claim(later(60), later(120)).await;
    assert_eq!((second.len(), second[0].attempts), (1, 2));
    assert_eq!(second[0].notice_id, first[0].notice_id, "the receiver knows a repetition by its id");
    // What the first one records now is out of date.
    webhooks::record(&f.store, &first[0], Tried::Failed { status: None, error: "dns", gone: true })
        .await
        .unwrap();
    webhooks::record(&f.store, &second[0], Tried::Delivered { status: 204 }).await.unwrap();
    assert!(claim(later(1_000), later(2_000)).await.is_empty());
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    let shown = webhooks::deliveries(&mut tx, hook, None, 9).await.unwrap().data;
    assert_eq!((shown[0].last_status, shown[0].attempts), (Some(204), 2));
    drop(tx);
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    webhooks::redeliver(&mut change, hook, shown[0].notice_id).await.unwrap();
    assert!(matches!(webhooks::redeliver(&mut change, hook, new_id()).await, Err(StoreError::NotFound)));
    commit(change).await;
    assert_eq!(claim(NOW, later(60)).await.len(), 1);
}
