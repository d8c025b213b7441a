//! A control plane's push side on a free port, over a database of the test's own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_push::{Commands, Material, PushMetrics, PushServer, PushSettings, Workloads, prepare};
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::keygen;
use tidegate_secrets::token::{self, TokenKind};
use tidegate_store::testing::TestDatabase;
use tidegate_store::{
    Actor, AuditNote, Change, Committed, Store, SystemActor, fleet, join_tokens, organizations, teams,
};
use tidegate_telemetry::{SystemClock, entropy};
use tidegate_types::id::kind;
use tidegate_types::{Clock, NodeId, OrganizationId, Secret, TeamId, Timestamp};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::samples;

pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

/// Polls until it is true; fails after a generous deadline.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut ready: impl FnMut() -> F) {
    let waited = async {
        while !ready().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, waited).await.is_ok(), "never happened: {what}");
}

pub(crate) struct Plane {
    pub(crate) database: TestDatabase,
    pub(crate) store: Store,
    pub(crate) kek: KeyEncryptionKey,
    pub(crate) material: Material,
    pub(crate) address: SocketAddr,
    pub(crate) metrics: PushMetrics,
    pub(crate) commands: Commands,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
}

impl Plane {
    pub(crate) async fn start() -> Self {
        let database = TestDatabase::create().await.unwrap();
        let kek = KeyEncryptionKey::from_secret(&keygen::key_encryption_key()).unwrap();
        Self::start_over(database, kek, PushSettings::default()).await
    }

    /// Another control plane over the same database.
    pub(crate) async fn twin(&self) -> Self {
        Self::start_over(self.database.clone(), self.kek.clone(), PushSettings::default()).await
    }

    pub(crate) async fn start_over(
        database: TestDatabase,
        kek: KeyEncryptionKey,
        settings: PushSettings,
    ) -> Self {
        Self::start_with(database, kek, settings, None).await
    }

    pub(crate) async fn start_with(
        database: TestDatabase,
        kek: KeyEncryptionKey,
        settings: PushSettings,
        workloads: Option<Workloads>,
    ) -> Self {
        let listener =
            TcpListener::bind(("127.0.0.1", tidegate_testkit::port::free().unwrap())).await.unwrap();
        Self::start_on(listener, database, kek, settings, workloads).await
    }

    pub(crate) async fn start_on(
        listener: TcpListener,
        database: TestDatabase,
        kek: KeyEncryptionKey,
        settings: PushSettings,
        workloads: Option<Workloads>,
    ) -> Self {
        Self::start_by(Arc::new(SystemClock), listener, database, kek, settings, workloads).await
    }

    #[expect(clippy::disallowed_methods, reason = "the handle is kept and awaited")]
    pub(crate) async fn start_by(
        clock: Arc<dyn Clock>,
        listener: TcpListener,
        database: TestDatabase,
        kek: KeyEncryptionKey,
        settings: PushSettings,
        workloads: Option<Workloads>,
    ) -> Self {
        let store = database.store().await.unwrap();
        let material = prepare(&store, &kek, now()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let metrics = PushMetrics::default();
        let server = PushServer::new(store.clone(), material.clone(), clock, settings, metrics.clone())
            .with_workloads(workloads);
        let (commands, stop) = (server.commands(), CancellationToken::new());
        let serve = server.serve(listener, stop.clone());
        let serving = tokio::spawn(async move { serve.await.unwrap() });
        Self { database, store, kek, material, address, metrics, commands, stop, serving }
    }

    pub(crate) fn system(&self) -> Actor {
        SystemActor::new("test").acting_for(OrganizationId::SYSTEM)
    }

    pub(crate) async fn change(&self, organization: OrganizationId) -> Change {
        self.store.change(&SystemActor::new("test").acting_for(organization), now()).await.unwrap()
    }

    /// A join token that is good for so many milliseconds.
    pub(crate) async fn join_token(&self, good_for_ms: i64) -> Secret {
        self.join_token_for("default", good_for_ms).await
    }

    pub(crate) async fn join_token_for(&self, pool: &str, good_for_ms: i64) -> Secret {
        let mut random = [0; 32];
        entropy::fill(&mut random);
        let id: tidegate_types::Id<kind::Node> = entropy::new_id(now());
        let (text, hash) = token::issue(TokenKind::Join, id, random);
        let mut change = self.change(OrganizationId::SYSTEM).await;
        join_tokens::insert(&mut change, &hash, pool, now().plus_millis(good_for_ms)).await.unwrap();
        commit(change).await;
        text
    }

    /// An organization with a team.
    pub(crate) async fn organization(&self, slug: &str) -> (OrganizationId, TeamId) {
        let organization = samples::organization(slug);
        let team = samples::team(organization.id);
        let mut change = self.change(organization.id).await;
        organizations::insert(&mut change, &organization).await.unwrap();
        teams::insert(&mut change, &team).await.unwrap();
        commit(change).await;
        (organization.id, team.id)
    }

    pub(crate) async fn fleet(&self, node: NodeId) -> fleet::Node {
        let mut tx = self.store.begin(&self.system()).await.unwrap();
        fleet::list(&mut tx).await.unwrap().into_iter().find(|found| found.id == node).unwrap()
    }

    pub(crate) async fn retire(&self, node: NodeId, state: fleet::NodeState) {
        let mut change = self.change(OrganizationId::SYSTEM).await;
        fleet::retire(&mut change, node, state).await.unwrap();
        commit(change).await;
    }

    /// Statements that no login of the product may make.
    pub(crate) fn tamper(&self, sql: &str) {
        tamper(&self.database, sql);
    }
}

/// Statements that no login of the product may make.
pub(crate) fn tamper(database: &TestDatabase, sql: &str) {
    let psql = tidegate_testkit::binaries::find("psql").unwrap();
    let done = std::process::Command::new(psql)
        .args(["-v", "ON_ERROR_STOP=1", "-qc", sql, &database.superuser_url])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

pub(crate) async fn commit(change: Change) -> Committed {
    let note = AuditNote { action: "test.change", object: "test".to_owned(), before: None, after: None };
    change.commit(note).await.unwrap()
}
