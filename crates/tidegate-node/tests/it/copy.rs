//! The start of a node without an identity while no control plane answers: by a copy of the configuration, over a real
//! Redis. What answers in the control plane's place takes connections and says nothing.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use prost::Message as _;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tidegate_limits::{Limiter, RedisSettings};
use tidegate_node::{CopySource, Node, NodeError, NodeSettings, RunningNode};
use tidegate_proto::config::Delta;
use tidegate_proto::enroll::EnrollResponse;
use tidegate_secrets::ca::{CertificateAuthority, NodeKey};
use tidegate_secrets::copy::{Header, Record, Reserve, Writer};
use tidegate_secrets::envelope::DataKey;
use tidegate_secrets::pool::PoolSecrets;
use tidegate_secrets::sealing::SealingKeyPair;
use tidegate_secrets::virtual_key::Peppers;
use tidegate_telemetry::{SystemClock, entropy};
use tidegate_testkit::redis::Server;
use tidegate_types::resource::{KeyStatus, Resource, Team};
use tidegate_types::{Clock, NodeId, Secret, Shard, Timestamp};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::control_plane::{FakeControl, SEALING};
use crate::fleet::{Tenant, end, get_from, settings_by, until};
use crate::gateway::call;
use crate::guard::{Given, Guarded, KILLS};

const HOUR: i64 = 3_600_000;

const OLDER: &str = "older than one that is known";

/// What a node in another process needs for it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Copied {
    folder: PathBuf,
    class_key: [u8; 32],
    redis: String,
}

/// The settings of a node that may begin by a copy.
pub(crate) async fn may_begin(
    settings: NodeSettings,
    copied: &Copied,
    stop: &CancellationToken,
) -> NodeSettings {
    let redis = RedisSettings::new(Secret::new(copied.redis.as_str()), 7);
    let limiter = Limiter::redis(redis, Arc::new(SystemClock), stop.clone()).await.unwrap();
    let copy = CopySource {
        folder: copied.folder.clone(),
        class_key: Arc::new(SealingKeyPair::from_bytes(&copied.class_key).unwrap()),
        pool: "default".into(),
        max_age_millis: 24 * HOUR,
    };
    NodeSettings { limiter, copy: Some(copy), ..settings }
}

/// A control plane that was there, copies of its, and what nodes have in common.
struct World {
    redis: Server,
    control: FakeControl,
    /// In the control plane's place.
    silent: Option<TcpListener>,
    folder: TempDir,
    class: SealingKeyPair,
    tenant: Tenant,
    key: Secret,
    reserves: Vec<Arc<Reserve>>,
}

/// How a copy is made; by default as it should be.
struct Making<'a> {
    authority: &'a CertificateAuthority,
    class: &'a SealingKeyPair,
    issued_at: Timestamp,
}

struct Running {
    node: RunningNode,
    _limiter: DropGuard,
}

impl World {
    async fn new(reserves: usize) -> Self {
        let mut control = FakeControl::start().await;
        let tenant = Tenant::new();
        let (key, text) = tenant.issue(&control);
        for resource in [tenant.organization(), tenant.team(), key] {
            control.shared.publish(&resource);
        }
        control.stop().await;
        let mut world = Self {
            redis: Server::start().unwrap(),
            silent: Some(TcpListener::bind(control.address).unwrap()),
            reserves: (0..reserves).map(|_| reserve(&control)).collect(),
            control,
            folder: TempDir::new().unwrap(),
            class: SealingKeyPair::generate().unwrap(),
            tenant,
            key: text,
        };
        world.publish(SystemClock.now());
        world
    }

    fn copied(&self) -> Copied {
        Copied {
            folder: self.folder.path().to_owned(),
            class_key: *self.class.expose(),
            redis: self.redis.url(),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("default.copy")
    }

    fn publish(&mut self, issued_at: Timestamp) {
        let bytes = self.make(&Making { issued_at, ..self.making() });
        std::fs::write(self.file(), bytes).unwrap();
    }

    fn making(&self) -> Making<'_> {
        Making { authority: &self.control.shared.ca, class: &self.class, issued_at: SystemClock.now() }
    }

    /// Everything but the newest change of each shard whole, then that as a delta of its own.
    fn make(&self, making: &Making<'_>) -> Vec<u8> {
        let shared = &self.control.shared;
        let positions = Shard::all().map(|shard| shared.head(shard)).collect();
        let header = Header { pool: "default".into(), issued_at: making.issued_at, positions };
        let mut copy = Writer::begin(Vec::new(), header, making.class.public()).unwrap();
        let PoolSecrets { pool, version, key, peppers } = &shared.pool;
        let peppers: Vec<_> = peppers.export().collect();
        let secrets = PoolSecrets {
            pool: pool.clone(),
            version: *version,
            key: DataKey::from_bytes(key.expose()),
            peppers: Peppers::new(&peppers).unwrap(),
        };
        copy.put(&Record::Secrets(Arc::new(secrets))).unwrap();
        for reserve in &self.reserves {
            copy.put(&Record::Reserve(Arc::clone(reserve))).unwrap();
        }
        for shard in Shard::all().filter(|shard| shared.head(*shard) > 0) {
            let whole = shared.snapshot(shard);
            let (last, before) = whole.resources.split_last().unwrap();
            let before = Delta { to: last.n - 1, resources: before.to_vec(), ..whole.clone() };
            let after =
                Delta { from: last.n - 1, replace: false, resources: vec![last.clone()], ..whole.clone() };
            for delta in [before, after] {
                copy.put(&Record::Delta(delta.encode_to_vec())).unwrap();
            }
        }
        copy.finish(making.authority).unwrap()
    }

    fn settings(&self, state: &Path) -> NodeSettings {
        // Nobody would take at a node's end what it has left, however long it waited.
        let ship_at_end = Duration::from_millis(100);
        let (control, roots) = (self.control.address.port(), self.control.roots());
        NodeSettings { ship_at_end, ..settings_by(control, roots, state, Arc::new(SystemClock)) }
    }

    async fn begin(&self, state: &Path) -> Result<Running, NodeError> {
        let stop = CancellationToken::new();
        let settings = may_begin(self.settings(state), &self.copied(), &stop).await;
        Ok(Running { node: Node::start(settings).await?, _limiter: stop.drop_guard() })
    }

    async fn start(&self, state: &Path) -> Running {
        let running = self.begin(state).await.unwrap();
        until("the node is ready", || running.node.is_ready()).await;
        running
    }

    /// Whoever says nothing is waited for in vain, which is no part of these stories.
    async fn end(&mut self, running: Running) {
        self.silent.take();
        end(running.node).await;
    }

    fn redis(&self, words: &[&str]) -> String {
        self.redis.command(words).unwrap()
    }

    fn claimed(&self) -> Vec<String> {
        let found = self.redis(&["KEYS", "tg:{fleet}:owned:reserve:*"]);
        found.split_whitespace().filter_map(|word| Some(word[word.find("node_")?..].to_owned())).collect()
    }

    /// Trips of a fresh node to look which copy is the newest, which is the first that each attempt does.
    fn attempts(&self) -> u64 {
        let said = self.redis(&["INFO", "commandstats"]);
        assert!(said.starts_with("# Commandstats"), "no answer is not none");
        let line = said.lines().find(|line| line.starts_with("cmdstat_xrange:"));
        line.map_or(0, |line| line.split(['=', ',']).nth(1).unwrap().parse().unwrap())
    }

    /// An attempt that began after this was called has ended, and the node has no identity.
    async fn until_refused(&self, what: &str, state: &Path) {
        let before = self.attempts();
        // An attempt makes two trips at most here.
        until(what, || self.attempts() >= before + 4).await;
        assert!(!state.join("identity").exists(), "{what}: it was taken");
    }
}

/// An identity made ahead.
fn reserve(control: &FakeControl) -> Arc<Reserve> {
    let (key, sealing, now) =
        (NodeKey::generate().unwrap(), SealingKeyPair::generate().unwrap(), SystemClock.now());
    let node: NodeId = entropy::new_id(now);
    let authority = &control.shared.ca;
    let signed = authority.sign_node(&key.certificate_request().unwrap(), node, "default", now).unwrap();
    SEALING.lock().insert(node.to_u128(), *sealing.public());
    let answer = EnrollResponse {
        node_id: node.to_string(),
        pool: "default".into(),
        certificate_chain: signed.chain.iter().map(|der| der.to_vec()).collect(),
        trust_roots: vec![authority.root().to_vec()],
        not_after_micros: signed.not_after.as_micros(),
    };
    Arc::new(Reserve { key, sealing, obtained: now, answer: answer.encode_to_vec() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_begins_by_the_copy_beside_a_control_plane_that_says_nothing_and_is_renewed_when_it_does() {
    let mut world = World::new(2).await;
    let state = TempDir::new().unwrap();
    let began = Instant::now();
    let running = world.start(state.path()).await;
    let took = began.elapsed();
    println!("ready after {took:?}");
    // Which it does after a minute.
    assert!(took < Duration::from_secs(30), "{took:?}: the connection had to fail first");
    assert_eq!(call(&running.node, world.key.expose()).await.0, 404, "the key opens");
    assert_eq!(call(&running.node, "nonsense").await.0, 401);

    // Whoever opens a copy has its key: it is replaced at once, though it holds for seven days.
    drop(world.silent.take());
    world.control.restart().await;
    let shared = Arc::clone(&world.control.shared);
    until("it is renewed", || shared.renewals.load(Ordering::SeqCst) > 0).await;
    until("it follows the feed", || shared.is_connected()).await;
    shared.publish(&world.tenant.key(KeyStatus::Revoked));
    let view = || running.node.config().view(world.tenant.key).unwrap();
    let from = std::net::Ipv4Addr::LOCALHOST.into();
    until("it takes what is new", || view().admit(SystemClock.now(), from).is_err()).await;
    world.end(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_not_the_control_planes_newest_for_this_class_is_not_taken() {
    let mut world = World::new(1).await;
    let state = TempDir::new().unwrap();
    let now = SystemClock.now();
    let (foreign, class) =
        (CertificateAuthority::generate(now).unwrap(), SealingKeyPair::generate().unwrap());
    let good = world.make(&world.making());
    let mut changed = good.clone();
    // In the time of issue, which lies in the open.
    changed[30] ^= 1;
    let making = || world.making();
    let known = serde_json::json!({"pool": "default", "issued_at_micros": now.as_micros()}).to_string();
    let bad = [
        ("a changed byte", changed),
        ("another authority's", world.make(&Making { authority: &foreign, ..making() })),
        ("for another class key", world.make(&Making { class: &class, ..making() })),
        ("too old", world.make(&Making { issued_at: now.plus_millis(-24 * HOUR - 1), ..making() })),
        ("from a time to come", world.make(&Making { issued_at: now.plus_millis(HOUR), ..making() })),
        (OLDER, world.make(&Making { issued_at: now.plus_millis(-1), ..making() })),
    ];
    std::fs::write(world.file(), &bad[0].1).unwrap();
    let refused = async {
        for (what, bytes) in &bad {
            if *what == OLDER {
                world.redis(&["XADD", "tg:{fleet}:copies", "*", "n", &known]);
                // Whoever asked before that has not heard of it, and may look at the file only now.
                world.until_refused("still from a time to come", state.path()).await;
            }
            std::fs::write(world.file(), bytes).unwrap();
            world.until_refused(what, state.path()).await;
        }
        std::fs::write(world.file(), &good).unwrap();
    };
    let (running, ()) = tokio::join!(world.begin(state.path()), refused);
    let running = running.unwrap();
    until("the good one is taken", || running.node.is_ready()).await;
    world.end(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_ready_before_it_has_heard_what_was_revoked_since() {
    let mut world = World::new(1).await;
    let state = TempDir::new().unwrap();
    let word =
        serde_json::json!({"organization": world.tenant.organization, "key": world.tenant.key, "n": 9});
    world.redis(&["XADD", "tg:{fleet}:revoked", "*", "n", &word.to_string()]);
    may_hear(&world, false);
    let running = world.begin(state.path()).await.unwrap();
    let metrics = running.node.metrics_address();
    until_unheard(metrics, 2).await;
    assert!(!running.node.is_ready(), "it would serve a key that was revoked after the copy");
    may_hear(&world, true);
    until("it has heard", || running.node.is_ready()).await;
    assert_eq!(call(&running.node, world.key.expose()).await.0, 401);
    world.end(running).await;
    // What it has heard its disk knows.
    may_hear(&world, false);
    let running = world.start(state.path()).await;
    assert_eq!(call(&running.node, world.key.expose()).await.0, 401);
    may_hear(&world, true);
    world.end(running).await;
}

/// Whether nodes are allowed to read what others say of revoked keys.
fn may_hear(world: &World, may: bool) {
    world.redis(&["ACL", "SETUSER", "default", if may { "allkeys" } else { "resetkeys" }]);
    if !may {
        world.redis(&["ACL", "SETUSER", "default", "~tg:{fleet}:copies", "~tg:{fleet}:owned:*"]);
    }
}

async fn until_unheard(metrics: SocketAddr, seconds: u64) {
    let wait = async {
        loop {
            let (_, answer) = get_from(metrics, "/metrics").await;
            let line = answer.lines().find(|line| line.starts_with("tidegate_revocations_unheard_seconds "));
            if line.is_some_and(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap() >= seconds) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, wait).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserve_is_one_nodes_which_takes_the_same_again_and_two_of_one_do_not_serve() {
    let mut world = World::new(2).await;
    let states = [(); 3].map(|()| TempDir::new().unwrap());
    // What follows the reserves cannot be kept: the start is cut short behind the claim.
    let whole = std::fs::read(world.file()).unwrap();
    let malformed = Delta { shard: 200, replace: true, last: true, ..Delta::default() };
    world.control.shared.feed.lock().clear();
    let header = Header { pool: "default".into(), issued_at: SystemClock.now(), positions: Vec::new() };
    let mut copy = Writer::begin(Vec::new(), header, world.class.public()).unwrap();
    for reserve in &world.reserves {
        copy.put(&Record::Reserve(Arc::clone(reserve))).unwrap();
    }
    copy.put(&Record::Delta(malformed.encode_to_vec())).unwrap();
    std::fs::write(world.file(), copy.finish(&world.control.shared.ca).unwrap()).unwrap();
    {
        let cut = world.begin(states[0].path());
        let refused = world.until_refused("what cannot be kept", states[0].path());
        tokio::select! {
            _ = cut => panic!("it has begun by half a copy"),
            () = refused => {}
        }
    }
    let first = world.claimed();
    assert_eq!(first.len(), 1, "each attempt claimed another one: {first:?}");
    std::fs::write(world.file(), whole).unwrap();
    // What was under way when the start was cut short holds the folder until it has ended.
    let lock = std::fs::File::open(states[0].path().join("lock")).unwrap();
    until("the attempt under way has ended", || lock.try_lock().is_ok()).await;
    drop(lock);
    let running = world.start(states[0].path()).await;
    assert_eq!(world.claimed(), first, "it takes the one that it had");
    assert_eq!(running.node.node_id().to_string(), first[0]);

    let second = world.start(states[1].path()).await;
    assert_ne!(second.node.node_id(), running.node.node_id());
    // Redis has lost the claim, and another node took the same reserve meanwhile.
    let key = format!("tg:{{fleet}}:owned:reserve:{}", first[0]);
    world.redis(&["SET", &key, "somebody else"]);
    until("it takes no calls", || !running.node.is_ready()).await;
    assert!(second.node.is_ready());
    world.redis(&["DEL", &key]);
    until("it claims it again", || running.node.is_ready()).await;
    world.redis.flush().unwrap();
    until("both have claimed theirs again", || world.claimed().len() == 2).await;
    for running in [running, second] {
        world.end(running).await;
    }

    // Their claims last. Nobody but the third looks at Redis now.
    let third = world.begin(states[2].path());
    let refused = world.until_refused("there is none left", states[2].path());
    tokio::select! {
        _ = third => panic!("it has begun by another's reserve"),
        () = refused => {}
    }
    assert!(states[2].path().join("begun").exists(), "it looked for one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_kills_nodes_costs_the_organizations_of_one_shard() {
    let world = World::new(1).await;
    let bad = loop {
        let bad = Tenant::new();
        if Shard::of(bad.organization) != Shard::of(world.tenant.organization) {
            break bad;
        }
    };
    let (bad_key, bad_text) = bad.issue(&world.control);
    let Resource::Team(team) = bad.team() else { unreachable!() };
    for resource in [bad.organization(), Resource::Team(Team { name: KILLS.into(), ..team }), bad_key] {
        world.control.shared.publish(&resource);
    }
    std::fs::write(world.file(), world.make(&world.making())).unwrap();
    let state = TempDir::new().unwrap();
    let given = Given::by_copy(&world.control, &state.path().join("node"), &world.tenant, world.copied());
    let mut node = Guarded::new(given);
    for _ in 0..2 {
        node.spawn();
        node.until_it_dies().await;
    }
    node.run().await;
    assert_eq!(node.status(world.key.expose()).await, 404, "all others are served");
    assert_eq!(node.status(bad_text.expose()).await, 401);
    assert_eq!(world.claimed().len(), 1);
}
