//! What a login that may read no statistics of others finds out about its server.

use sqlx::{Connection as _, PgConnection};
use tidegate_store::survey::{Part, survey};
use tidegate_store::testing::{HandClock, TestDatabase};
use tidegate_testkit::postgres::Server;

/// So many are taken by somebody else.
const TAKEN: i64 = 20;
/// The server's own workers, and connections that are just ending, come and go.
const PASSING: i64 = 6;

#[tokio::test]
async fn connections_of_other_logins_are_not_free() {
    let server = Server::start().unwrap();
    let database = TestDatabase::create_in(server.address()).await.unwrap();
    let clock = HandClock::new();
    let before = survey(&database.app_url, Part::Api, &*clock).await.unwrap().free_connections;
    let mut taken = Vec::new();
    for _ in 0..TAKEN {
        taken.push(PgConnection::connect(&database.superuser_url).await.unwrap());
    }
    let after = survey(&database.app_url, Part::Api, &*clock).await.unwrap().free_connections;
    assert!((before - after - TAKEN).abs() <= PASSING, "{before} were free, then {after}");
}
