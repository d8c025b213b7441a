//! Copies of the configuration: one control plane writes at a time; and the identities in them.

use sqlx::{AssertSqlSafe, PgPool};
use tidegate_store::fleet::{self, Enrolment, NodeState};
use tidegate_store::{StoreError, SystemActor, copies, reserves};
use tidegate_types::{NodeId, OrganizationId, Timestamp};

use crate::fixture::{Fixture, NOW, new_id};

fn enrolment(node_id: NodeId, pool: &str) -> Enrolment<'_> {
    Enrolment {
        node_id,
        pool,
        name: "",
        certificate_serial: "01",
        certificate_expires_at: NOW.plus_millis(900_000),
        sealing_key: [3; 32],
    }
}

#[tokio::test]
async fn one_control_plane_writes_a_pools_copy_and_what_it_notes_counts_at_the_end_of_its_turn() {
    let f = Fixture::new().await;
    let issued = async || copies::issued(&f.store).await.unwrap();
    assert_eq!(copies::pools(&f.store).await.unwrap(), ["default"]);
    assert_eq!(issued().await, []);
    let mut turn = copies::begin(&f.store, "default").await.unwrap().unwrap();
    assert_eq!(turn.before(), Timestamp::from_micros(0));
    assert!(copies::begin(&f.store, "default").await.unwrap().is_none(), "another one is at work");
    turn.note(NOW).await.unwrap();
    assert_eq!(issued().await, [("default".to_owned(), Timestamp::from_micros(0))], "it is not there yet");
    turn.end().await.unwrap();
    assert_eq!(issued().await, [("default".to_owned(), NOW)]);

    let mut given_up = copies::begin(&f.store, "default").await.unwrap().unwrap();
    assert_eq!(given_up.before(), NOW);
    given_up.note(NOW.plus_millis(1)).await.unwrap();
    drop(given_up);
    let mut over = loop {
        // The one before gives it up beside this.
        if let Some(turn) = copies::begin(&f.store, "default").await.unwrap() {
            break turn;
        }
    };
    assert_eq!(issued().await, [("default".to_owned(), NOW)]);
    // The database has ended it: somebody else may be at work.
    let superuser = PgPool::connect(&f.database.superuser_url).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE state = 'idle in transaction' AND datname = current_database()";
    sqlx::query(end).fetch_all(&superuser).await.unwrap();
    over.note(NOW.plus_millis(2)).await.unwrap_err();
    assert_eq!(issued().await, [("default".to_owned(), NOW)]);
    let unknown = copies::begin(&f.store, "nowhere").await;
    assert!(matches!(unknown, Err(StoreError::Dangling(_))), "{unknown:?}");
}

#[tokio::test]
async fn a_reserve_is_no_node_before_it_connects_and_one_afterwards() {
    let f = Fixture::new().await;
    let (one, other) = (new_id(), new_id());
    let free = async || reserves::of_pool(&f.store, "default").await.unwrap();
    for id in [one, other] {
        reserves::insert(&f.store, &enrolment(id, "default")).await.unwrap();
    }
    assert_eq!(free().await.len(), 2);
    assert!(matches!(fleet::get(&f.store, one).await, Err(StoreError::NotFound)));
    let platform = SystemActor::new("test").acting_for(OrganizationId::SYSTEM);
    let nodes = async || fleet::list(&mut f.store.begin(&platform).await.unwrap()).await.unwrap().len();
    assert_eq!(nodes().await, 0);

    let joined = async |id| reserves::join(&f.store, id, NOW).await.unwrap();
    // Two streams of one node at once.
    let both = tokio::join!(joined(one), joined(one));
    assert!(both.0 ^ both.1, "{both:?}");
    assert!(!joined(new_id()).await, "nobody has made it");
    let node = fleet::get(&f.store, one).await.unwrap();
    assert_eq!((node.state, node.pool.as_str()), (NodeState::Enrolled, "default"));
    assert_eq!((free().await, nodes().await), (vec![other], 1));

    reserves::forget_expired(&f.store, NOW).await.unwrap();
    assert_eq!(free().await, [other], "it is still good");
    reserves::forget_expired(&f.store, NOW.plus_millis(900_001)).await.unwrap();
    assert_eq!((free().await, joined(other).await), (Vec::new(), false));
    let unknown = reserves::insert(&f.store, &enrolment(other, "nowhere")).await;
    assert!(matches!(unknown, Err(StoreError::Dangling(_))), "{unknown:?}");
}

#[tokio::test]
async fn neither_is_the_management_apis_and_the_feeds_login_may_do_what_it_needs_only() {
    let f = Fixture::new().await;
    reserves::insert(&f.store, &enrolment(new_id(), "default")).await.unwrap();
    drop(copies::begin(&f.store, "default").await.unwrap());
    let app = PgPool::connect(&f.database.app_url).await.unwrap();
    let feed = PgPool::connect(&f.database.feed_url).await.unwrap();
    let told = async |login: &PgPool, statement: &str| {
        let mut tx = login.begin().await.unwrap();
        let bind =
            "SELECT set_config('app.organization_id', $1, true), set_config('app.platform', 'on', true)";
        let organization = f.acme.organization.id.to_uuid().to_string();
        sqlx::query(bind).bind(organization).execute(&mut *tx).await.unwrap();
        let done = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut *tx).await;
        done.err().map(|error| error.to_string())
    };
    let refused = |told: Option<String>| told.is_some_and(|text| text.contains("permission denied"));
    for table in ["copies", "reserves"] {
        for statement in [
            format!("SELECT * FROM {table}"),
            format!("INSERT INTO {table} (pool) VALUES ('default')"),
            format!("UPDATE {table} SET pool = pool"),
            format!("DELETE FROM {table}"),
        ] {
            assert!(refused(told(&app, &statement).await), "{statement}");
        }
    }
    assert!(refused(told(&feed, "DELETE FROM copies").await));
    assert!(refused(told(&feed, "UPDATE reserves SET pool = pool").await), "one is never given another key");
    for allowed in ["UPDATE copies SET issued_at = now()", "DELETE FROM reserves"] {
        assert_eq!(told(&feed, allowed).await, None, "positive control: {allowed}");
    }
}
