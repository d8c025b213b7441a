//! Credentials that a provider does not accept: noted, told once, over when it answers again.

use tidegate_store::failures;
use tidegate_store::intake::{Record, ingest};
use tidegate_store::{SystemActor, credentials, notices, uses};
use tidegate_types::usage::CallRecord;
use tidegate_types::{CredentialId, OrganizationId};

use crate::fixture::{Fixture, NOW, Tenant, commit, new_id};
use crate::samples::{call_record, credential, node, shipped};

/// A call that was tried with this credential `ms` after [`NOW`] minus an hour, and how that went.
fn tried(tenant: &Tenant, id: CredentialId, status: u16, ms: i64) -> Record {
    let mut call: CallRecord = call_record(tenant, new_id(), false);
    call.at = NOW.plus_millis(ms - 3_600_000);
    call.attempts[0].credential_id = Some(id);
    call.attempts[0].status = status;
    Record::Call(call)
}

async fn owned(f: &Fixture, tenant: &Tenant) -> CredentialId {
    let (credential, envelope) = credential(tenant.organization.id);
    let mut change = f.store.change(&tenant.actor, NOW).await.unwrap();
    credentials::insert(&mut change, &credential, &envelope).await.unwrap();
    commit(change).await;
    credential.id
}

async fn failure(f: &Fixture, tenant: &Tenant, id: CredentialId) -> Option<failures::Failure> {
    let mut tx = f.store.begin(&tenant.actor).await.unwrap();
    failures::of(&mut tx, &[id]).await.unwrap().remove(&id)
}

async fn told(f: &Fixture, tenant: &Tenant) -> Vec<notices::StoredNotice> {
    let mut tx = f.store.begin(&tenant.actor).await.unwrap();
    notices::list(&mut tx, None, 100).await.unwrap().data
}

#[tokio::test]
async fn a_credential_that_is_refused_is_noted_and_told_once_until_it_is_accepted_again() {
    let f = Fixture::new().await;
    let id = owned(&f, &f.acme).await;
    let node = node(&f.store).await;
    let other_fault = shipped(node, 1, [tried(&f.acme, id, 500, 0), tried(&f.acme, id, 429, 1)]);
    ingest(&f.store, node, &other_fault, NOW).await.unwrap();
    assert_eq!(failure(&f, &f.acme, id).await, None, "that is not the credential's fault");
    let batch = shipped(
        node,
        3,
        [tried(&f.acme, id, 401, 10), tried(&f.acme, id, 403, 20), tried(&f.acme, id, 401, 5)],
    );
    for _ in 0..2 {
        ingest(&f.store, node, &batch, NOW).await.unwrap();
    }
    let noted = failure(&f, &f.acme, id).await.unwrap();
    assert_eq!((noted.count, noted.recovered_at), (3, None));
    assert_eq!(noted.at.millis_since(noted.since), 15);
    let notices = told(&f, &f.acme).await;
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert_eq!(
        (notices[0].kind.as_str(), &notices[0].data["credential_id"]),
        ("credential.failing", &serde_json::json!(id))
    );
    // An answer of before that changes nothing, a later one ends it; the next refusal begins anew.
    ingest(&f.store, node, &shipped(node, 6, [tried(&f.acme, id, 200, 1)]), NOW).await.unwrap();
    assert_eq!(failure(&f, &f.acme, id).await.unwrap().recovered_at, None);
    ingest(&f.store, node, &shipped(node, 7, [tried(&f.acme, id, 200, 100)]), NOW).await.unwrap();
    assert!(failure(&f, &f.acme, id).await.unwrap().recovered_at.is_some());
    ingest(&f.store, node, &shipped(node, 8, [tried(&f.acme, id, 403, 200)]), NOW).await.unwrap();
    let noted = failure(&f, &f.acme, id).await.unwrap();
    assert_eq!((noted.status, noted.count, noted.recovered_at), (403, 1, None));
    assert_eq!(told(&f, &f.acme).await.len(), 2);
}

#[tokio::test]
async fn nobody_elses_calls_say_anything_of_a_credential_but_the_operators_is_everybodys() {
    let f = Fixture::new().await;
    let id = owned(&f, &f.acme).await;
    let system = SystemActor::new("test").acting_for(OrganizationId::SYSTEM);
    let (shared, envelope) = credential(OrganizationId::SYSTEM);
    let mut change = f.store.change(&system, NOW).await.unwrap();
    credentials::insert(&mut change, &shared, &envelope).await.unwrap();
    commit(change).await;
    let node = node(&f.store).await;
    let records = [
        tried(&f.umbrella, id, 401, 1),
        tried(&f.umbrella, shared.id, 401, 2),
        tried(&f.umbrella, new_id(), 401, 3),
    ];
    ingest(&f.store, node, &shipped(node, 1, records), NOW).await.unwrap();
    assert_eq!(failure(&f, &f.acme, id).await, None);
    assert!(told(&f, &f.acme).await.is_empty() && told(&f, &f.umbrella).await.is_empty());
    let mut tx = f.store.begin(&system).await.unwrap();
    assert_eq!(failures::of(&mut tx, &[shared.id, id]).await.unwrap().len(), 1);
    // Another secret begins with a clean slate.
    drop(tx);
    let mut change = f.store.change(&system, NOW).await.unwrap();
    credentials::update(&mut change, &shared, Some(&envelope), None, false).await.unwrap();
    commit(change).await;
    let mut tx = f.store.begin(&system).await.unwrap();
    assert!(failures::of(&mut tx, &[shared.id]).await.unwrap().is_empty());
}

#[tokio::test]
async fn when_a_credential_was_last_used_is_told_to_its_owner_and_to_the_minute() {
    let f = Fixture::new().await;
    let id = owned(&f, &f.acme).await;
    let node = node(&f.store).await;
    let used = async |tenant: &Tenant| {
        let mut tx = f.store.begin(&tenant.actor).await.unwrap();
        uses::of(&mut tx, &[id]).await.unwrap().remove(&id)
    };
    // The attempts begin a millisecond after their calls.
    let at = |ms: i64| Some(NOW.plus_millis(ms + 1 - 3_600_000));
    assert_eq!(used(&f.acme).await, None);
    // What never left the gateway, and another tenant's word, count for nothing.
    let nothing = [tried(&f.acme, id, 0, 1), tried(&f.umbrella, id, 200, 2)];
    ingest(&f.store, node, &shipped(node, 1, nothing), NOW).await.unwrap();
    assert_eq!(used(&f.acme).await, None);
    let batch = [tried(&f.acme, id, 200, 20), tried(&f.acme, id, 401, 30), tried(&f.acme, id, 200, 10)];
    ingest(&f.store, node, &shipped(node, 3, batch), NOW).await.unwrap();
    assert_eq!(used(&f.acme).await, at(30));
    assert_eq!(used(&f.umbrella).await, None);
    // Within the minute nothing is written, behind it the last one is; late news moves nothing back.
    for (number, ms, told) in [(6, 59_000, 30), (7, 61_000, 61_000), (8, 40, 61_000)] {
        ingest(&f.store, node, &shipped(node, number, [tried(&f.acme, id, 200, ms)]), NOW).await.unwrap();
        assert_eq!(used(&f.acme).await, at(told), "{ms}");
    }
}
