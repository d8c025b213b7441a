//! The database goes away and comes back.

use std::time::Duration;

use tidegate_proto::budget::OpenEpochRequest;
use tidegate_push::PushSettings;
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::keygen;
use tidegate_store::testing::TestDatabase;
use tidegate_testkit::postgres::Server;
use tonic::Code;

use crate::fake_node::FakeNode;
use crate::plane::{Plane, eventually, tamper};
use crate::samples::{Attempt, COST};
use crate::usage::{Books, Reporter, books_over, event};

fn open_request(books: &Books) -> OpenEpochRequest {
    let organization_id = books.organization.to_string();
    OpenEpochRequest { organization_id, store_run_id: "run".to_owned(), found_epoch: 0 }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_outlive_the_database_and_go_on_when_it_is_back() {
    let mut cluster = Server::start().unwrap();
    let database = TestDatabase::create_in(cluster.address()).await.unwrap();
    // The cluster of tests commits without waiting and is stopped abruptly: here a commit is one.
    tamper(
        &database,
        "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET synchronous_commit = on'; END $$",
    );
    let kek = KeyEncryptionKey::from_secret(&keygen::key_encryption_key()).unwrap();
    let plane = Plane::start_over(database, kek, PushSettings::default()).await;
    let books = books_over(plane).await;
    let node = FakeNode::enrol(&books.plane).await;
    let mut stream = node.synchronised().await;
    let mut reporter = Reporter::open(&node).await;
    let intent = books.attempt.intent();
    let end = Attempt::end(&intent, COST);
    assert_eq!(reporter.report(vec![event(1, &intent)]).await.unwrap(), 1);

    stream.until("it is told that it has everything", |s| s.assured > 0).await;

    cluster.stop();
    let refused = reporter.report(vec![event(2, &end)]).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "nothing is acknowledged that is not stored");
    let refused = node.budgets().open_epoch(open_request(&books)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    // Several heartbeats fail to be written meanwhile.
    for _ in 0..3 {
        stream.beat().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }

    // What was on its way, and a look of a moment before; then nobody vouches for anything.
    stream.listen_for(Duration::from_secs(3)).await;
    let assured = stream.assured;
    stream.listen_for(Duration::from_secs(3)).await;
    assert_eq!(stream.assured, assured, "the database is away");

    cluster.start_again().unwrap();
    eventually("the database answers", || async { books.plane.store.is_alive().await }).await;
    books.plane.organization("globex").await;
    stream.until("a change over the old stream", |s| s.held.resources.len() == 6).await;
    stream.until("it is told again", |s| s.assured > assured).await;
    let mut reporter = Reporter::open(&node).await;
    reporter.acknowledged().await.unwrap();
    assert_eq!(reporter.report(vec![event(2, &end)]).await.unwrap(), 2);
    assert_eq!(books.spent().await.0, COST);
}
