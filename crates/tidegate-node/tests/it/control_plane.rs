//! A control plane that does what a scenario tells it: real gRPC over real mutual TLS on loopback.

mod budget;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use futures_util::Stream;
use parking_lot::Mutex;
use tidegate_proto::budget::budget_service_server::BudgetServiceServer;
use tidegate_proto::budget::{
    AttemptEnd, ConfirmEpochRequest, EndedGrants, OpenEpochRequest, OpeningBalance, ReturnGrantsOfRequest,
    ReturnGrantsRequest, ReviewHoldsRequest,
};
use tidegate_proto::config::config_service_server::{ConfigService, ConfigServiceServer};
use tidegate_proto::config::control_message::Message as Control;
use tidegate_proto::config::node_message::Message as Said;
use tidegate_proto::config::{
    Ack, ControlMessage, Delta, Heartbeat, Hello, NodeMessage, PoolKey, VersionedResource, Welcome,
};
use tidegate_proto::enroll::enroll_service_server::{EnrollService, EnrollServiceServer};
use tidegate_proto::enroll::{EnrollRequest, EnrollResponse, RenewRequest, RetireRequest, RetireResponse};
use tidegate_proto::usage::usage_service_server::{UsageService, UsageServiceServer};
use tidegate_proto::usage::{JournalRecord, LanePosition, ReportRequest, ReportResponse};
use tidegate_secrets::ca::{self, CertificateAuthority};
use tidegate_secrets::envelope::DataKey;
use tidegate_secrets::pem;
use tidegate_secrets::pool::PoolSecrets;
use tidegate_secrets::virtual_key::{PepperBytes, Peppers};
use tidegate_telemetry::{SystemClock, entropy};
use tidegate_types::resource::{Resource, Versioned};
use tidegate_types::{Clock, NodeId, Revision, Shard};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream, UnboundedReceiverStream};
use tokio_util::task::TaskTracker;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

use crate::fleet::free_address;

pub(crate) const JOIN_TOKEN: &str = "tgj_good";

type Sender = mpsc::UnboundedSender<Result<ControlMessage, Status>>;

/// What a scenario sees and sets.
pub(crate) struct Shared {
    pub(crate) ca: CertificateAuthority,
    pub(crate) pool: PoolSecrets,
    /// What a synchronisation sends, by shard and n.
    pub(crate) feed: Mutex<BTreeMap<(Shard, u64), VersionedResource>>,
    streams: Mutex<Vec<Sender>>,
    pub(crate) hellos: Mutex<Vec<Hello>>,
    pub(crate) acks: Mutex<Vec<Ack>>,
    pub(crate) heartbeats: Mutex<Vec<Heartbeat>>,
    /// How often a welcome asks for them, in milliseconds.
    pub(crate) heartbeat_ms: AtomicU32,
    pub(crate) renewals: AtomicU64,
    /// Keeps deltas back while false.
    pub(crate) sends_feed: AtomicBool,
    /// Every record that came, repetitions included.
    pub(crate) received: Mutex<Vec<JournalRecord>>,
    /// Stores without acknowledging, and breaks the stream, so many times.
    pub(crate) lost_acks: AtomicU64,
    /// How far each lane is stored without a gap.
    pub(crate) marks: Mutex<BTreeMap<(u64, u32), u64>>,
    /// Records that were given up as missing.
    pub(crate) missing: AtomicU64,
    /// Answers to OpenEpoch still to be given before permits.
    pub(crate) retries: AtomicU64,
    /// Permits still to be refused on confirmation.
    pub(crate) unconfirmed: AtomicU64,
    pub(crate) opened: Mutex<Vec<OpenEpochRequest>>,
    pub(crate) confirmed: Mutex<Vec<ConfirmEpochRequest>>,
    pub(crate) balances: Mutex<Vec<OpeningBalance>>,
    /// What the books know of attempts whose process died; of all others nothing.
    pub(crate) known_ends: Mutex<Vec<AttemptEnd>>,
    pub(crate) reviewed: Mutex<Vec<ReviewHoldsRequest>>,
    /// Dead processes of which the books know everything; who says that theirs is back is taken off.
    pub(crate) ended_grants: Mutex<Vec<EndedGrants>>,
    pub(crate) returned: Mutex<Vec<ReturnGrantsRequest>>,
    pub(crate) returned_of: Mutex<Vec<ReturnGrantsOfRequest>>,
    /// How often it was asked what of them is known.
    pub(crate) reviewed_grants: AtomicU64,
    /// Knows no grants of single organizations.
    pub(crate) is_of_an_earlier_release: AtomicBool,
    tasks: TaskTracker,
}

/// One running control plane; stop it and start it again on the same address.
pub(crate) struct FakeControl {
    pub(crate) shared: Arc<Shared>,
    pub(crate) address: SocketAddr,
    /// Of its own, so that its end takes every connection with it.
    server: Option<tokio::runtime::Runtime>,
}

impl Drop for FakeControl {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown_background();
        }
    }
}

impl FakeControl {
    pub(crate) async fn start() -> Self {
        let peppers = Peppers::new(&[PepperBytes { version: 1, bytes: [7; 32] }]).unwrap();
        let shared = Shared {
            ca: CertificateAuthority::generate(SystemClock.now()).unwrap(),
            pool: PoolSecrets { pool: "default".into(), version: 1, key: DataKey::generate(), peppers },
            feed: Mutex::default(),
            streams: Mutex::default(),
            hellos: Mutex::default(),
            acks: Mutex::default(),
            heartbeats: Mutex::default(),
            heartbeat_ms: AtomicU32::new(50),
            renewals: AtomicU64::new(0),
            sends_feed: AtomicBool::new(true),
            received: Mutex::default(),
            lost_acks: AtomicU64::new(0),
            marks: Mutex::default(),
            missing: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            unconfirmed: AtomicU64::new(0),
            opened: Mutex::default(),
            confirmed: Mutex::default(),
            balances: Mutex::default(),
            known_ends: Mutex::default(),
            reviewed: Mutex::default(),
            ended_grants: Mutex::default(),
            returned: Mutex::default(),
            returned_of: Mutex::default(),
            reviewed_grants: AtomicU64::new(0),
            is_of_an_earlier_release: AtomicBool::new(false),
            tasks: TaskTracker::new(),
        };
        let address = free_address();
        let mut control = Self { shared: Arc::new(shared), address, server: None };
        control.restart().await;
        control
    }

    /// Listens again, on the address it had.
    pub(crate) async fn restart(&mut self) {
        let listener = loop {
            match std::net::TcpListener::bind(self.address) {
                Ok(listener) => break listener,
                // The one before has not let go yet.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            }
        };
        listener.set_nonblocking(true).unwrap();
        self.address = listener.local_addr().unwrap();
        let server = self.shared.ca.issue_server(&["localhost".into()], SystemClock.now()).unwrap();
        let chain: String = server.chain.iter().map(|der| pem::certificate(der)).collect();
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(chain, pem::private_key(server.key.secret_der()).expose()))
            .client_ca_root(Certificate::from_pem(self.roots()))
            .client_auth_optional(true);
        let service = Service { shared: Arc::clone(&self.shared) };
        let router = Server::builder()
            .tls_config(tls)
            .unwrap()
            .add_service(EnrollServiceServer::new(service.clone()))
            .add_service(ConfigServiceServer::new(service.clone()))
            .add_service(BudgetServiceServer::new(service.clone()))
            .add_service(UsageServiceServer::new(service));
        let server =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let serve = async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            router.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        };
        self.shared.tasks.spawn_on(serve, server.handle());
        self.server = Some(server);
    }

    /// Ends at once, as a killed process does.
    pub(crate) async fn stop(&mut self) {
        self.shared.streams.lock().clear();
        if let Some(server) = self.server.take() {
            tokio::task::spawn_blocking(|| drop(server)).await.unwrap();
        }
    }

    pub(crate) fn roots(&self) -> String {
        pem::certificate(self.shared.ca.root())
    }
}

impl Shared {
    /// Puts a version into the feed and sends it to every connected node.
    pub(crate) fn publish(&self, resource: &Resource) -> Revision {
        self.publish_as(resource, false, |_| {})
    }

    /// The same, changed on the wire.
    pub(crate) fn publish_as(
        &self,
        resource: &Resource,
        tightens: bool,
        spoil: impl FnOnce(&mut VersionedResource),
    ) -> Revision {
        let mut streams = self.streams.lock();
        let (revision, wire) = self.put(resource, tightens, spoil);
        if self.sends_feed.load(Ordering::SeqCst) {
            let one = delta(revision.shard, revision.n - 1, revision.n, vec![wire]);
            say(&mut streams, Control::Delta(one));
        }
        revision
    }

    /// Several of one shard as one delta, with whether each tightens; the shard's head before it.
    pub(crate) fn publish_together(&self, shard: Shard, resources: &[(Resource, bool)]) -> u64 {
        let mut streams = self.streams.lock();
        let before = self.head(shard);
        let wire = resources.iter().map(|(one, tightens)| self.put(one, *tightens, |_| {}).1).collect();
        say(&mut streams, Control::Delta(delta(shard, before, self.head(shard), wire)));
        before
    }

    /// Puts a version into the feed. Whoever holds the streams meanwhile loses no node that says hello.
    fn put(
        &self,
        resource: &Resource,
        tightens: bool,
        spoil: impl FnOnce(&mut VersionedResource),
    ) -> (Revision, VersionedResource) {
        let key = resource.key();
        let shard = Shard::of(key.organization_id);
        let before = self.head(shard);
        let revision = Revision { shard, n: before + 1 };
        let versioned = Versioned { key, revision, tightens, resource: Some(resource.clone()) };
        let mut wire = VersionedResource::from(&versioned);
        spoil(&mut wire);
        // Compacted by nature: only the newest version of a resource stays.
        self.feed.lock().retain(|_, held| held.key != wire.key);
        self.feed.lock().insert((shard, revision.n), wire.clone());
        (revision, wire)
    }

    pub(crate) fn head(&self, shard: Shard) -> u64 {
        self.feed.lock().keys().filter(|(of, _)| *of == shard).map(|(_, n)| *n).max().unwrap_or(0)
    }

    /// Says anything at all to every connected node.
    pub(crate) fn send(&self, message: Control) {
        say(&mut self.streams.lock(), message);
    }

    /// Whether a node listens.
    pub(crate) fn is_connected(&self) -> bool {
        self.streams.lock().iter().any(|stream| !stream.is_closed())
    }

    /// One shard as a whole.
    pub(crate) fn snapshot(&self, shard: Shard) -> Delta {
        let resources =
            self.feed.lock().iter().filter(|((of, _), _)| *of == shard).map(|(_, one)| one.clone()).collect();
        Delta { replace: true, ..delta(shard, 0, self.head(shard), resources) }
    }

    fn synchronise(&self, hello: &Hello, stream: &Sender) {
        let held = tidegate_proto::positions_from_wire(&hello.positions).unwrap();
        for shard in Shard::all() {
            let (from, to) = (held.get(shard), self.head(shard));
            let newer = |((of, n), _): &(&(Shard, u64), &VersionedResource)| *of == shard && *n > from;
            let resources: Vec<_> =
                self.feed.lock().iter().filter(newer).map(|(_, one)| one.clone()).collect();
            let synchronised = shard == Shard::SYSTEM;
            if to > from || synchronised {
                // One resource to a part: parts are the rule for large shards.
                let last = resources.len().saturating_sub(1);
                let mut parts: Vec<_> = resources.into_iter().map(|one| vec![one]).collect();
                if parts.is_empty() {
                    parts.push(Vec::new());
                }
                for (index, part) in parts.into_iter().enumerate() {
                    let end = index == last;
                    let delta = Delta {
                        last: end,
                        replace: from == 0,
                        synchronised: synchronised && end,
                        ..delta(shard, from, to, part)
                    };
                    let _ = stream.send(Ok(ControlMessage { message: Some(Control::Delta(delta)) }));
                }
            }
        }
    }

    /// Stores a report and tells how far the lanes in it are.
    fn store(&self, request: ReportRequest) -> Vec<LanePosition> {
        let mut marks = self.marks.lock();
        let mut named = std::collections::BTreeSet::new();
        for oldest in request.oldest_held {
            let mark = marks.entry((oldest.boot, oldest.lane)).or_default();
            self.missing.fetch_add((oldest.sequence - 1).saturating_sub(*mark), Ordering::SeqCst);
            *mark = (*mark).max(oldest.sequence - 1);
            named.insert((oldest.boot, oldest.lane));
        }
        for record in &request.records {
            let mark = marks.entry((record.boot, record.lane)).or_default();
            *mark += u64::from(record.sequence == *mark + 1);
            named.insert((record.boot, record.lane));
        }
        self.received.lock().extend(request.records);
        named
            .iter()
            .map(|&(boot, lane)| LanePosition { boot, lane, sequence: marks[&(boot, lane)] })
            .collect()
    }

    /// Forgets what came after so many records of each lane, as a restored backup does.
    pub(crate) fn restore_to(&self, sequence: u64) {
        self.marks.lock().values_mut().for_each(|mark| *mark = (*mark).min(sequence));
        self.received.lock().retain(|record| record.sequence <= sequence);
    }

    /// Records without repetition, by place.
    pub(crate) fn stored(&self) -> BTreeMap<(u64, u32, u64), JournalRecord> {
        let received = self.received.lock();
        received.iter().map(|r| ((r.boot, r.lane, r.sequence), r.clone())).collect()
    }
}

pub(crate) fn delta(shard: Shard, from: u64, to: u64, resources: Vec<VersionedResource>) -> Delta {
    Delta {
        shard: shard.index() as u32,
        from,
        to,
        replace: false,
        last: true,
        resources,
        synchronised: false,
    }
}

#[derive(Clone)]
struct Service {
    shared: Arc<Shared>,
}

fn node_of<T>(request: &Request<T>) -> Result<NodeId, Status> {
    let certificates = request.peer_certs().ok_or_else(|| Status::unauthenticated("no certificate"))?;
    let leaf = certificates.first().ok_or_else(|| Status::unauthenticated("no certificate"))?;
    Ok(ca::node_identity(leaf).unwrap().node_id)
}

impl Service {
    fn sign(&self, request: &[u8], node: NodeId) -> EnrollResponse {
        let signed = self.shared.ca.sign_node(request, node, "default", SystemClock.now()).unwrap();
        EnrollResponse {
            node_id: node.to_string(),
            pool: "default".into(),
            certificate_chain: signed.chain.iter().map(|der| der.to_vec()).collect(),
            trust_roots: vec![self.shared.ca.root().to_vec()],
            not_after_micros: signed.not_after.as_micros(),
        }
    }
}

#[tonic::async_trait]
impl EnrollService for Service {
    async fn enroll(&self, request: Request<EnrollRequest>) -> Result<Response<EnrollResponse>, Status> {
        let request = request.into_inner();
        if request.join_token != JOIN_TOKEN {
            return Err(Status::permission_denied("unknown join token"));
        }
        let node = entropy::new_id(SystemClock.now());
        let sealing: [u8; 32] = request.sealing_key.as_slice().try_into().unwrap();
        SEALING.lock().insert(node.to_u128(), sealing);
        Ok(Response::new(self.sign(&request.certificate_request, node)))
    }

    async fn retire(&self, _: Request<RetireRequest>) -> Result<Response<RetireResponse>, Status> {
        Err(Status::unimplemented("no story retires here"))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<EnrollResponse>, Status> {
        let node = node_of(&request)?;
        self.shared.renewals.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(self.sign(&request.into_inner().certificate_request, node)))
    }
}

fn say(streams: &mut Vec<Sender>, message: Control) {
    let message = ControlMessage { message: Some(message) };
    streams.retain(|stream| stream.send(Ok(message.clone())).is_ok());
}

/// Sealing keys by node, as the control plane's database keeps them.
pub(crate) static SEALING: Mutex<BTreeMap<u128, [u8; 32]>> = Mutex::new(BTreeMap::new());

#[tonic::async_trait]
impl ConfigService for Service {
    type StreamStream = UnboundedReceiverStream<Result<ControlMessage, Status>>;

    async fn stream(
        &self,
        request: Request<Streaming<NodeMessage>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let node = node_of(&request)?;
        let mut said = request.into_inner();
        let (sender, receiver) = mpsc::unbounded_channel();
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(async move {
            while let Ok(Some(NodeMessage { message: Some(message) })) = said.message().await {
                match message {
                    Said::Hello(hello) => {
                        let welcome = Welcome {
                            node_id: node.to_string(),
                            pool: "default".into(),
                            heartbeat_ms: shared.heartbeat_ms.load(Ordering::SeqCst),
                            control_time_micros: 0,
                        };
                        let sealing = *SEALING.lock().get(&node.to_u128()).unwrap();
                        let sealed = shared.pool.seal_to_node(node, &sealing).unwrap();
                        for message in
                            [Control::Welcome(welcome), Control::PoolKey(PoolKey { version: 1, sealed })]
                        {
                            let _ = sender.send(Ok(ControlMessage { message: Some(message) }));
                        }
                        let mut streams = shared.streams.lock();
                        if shared.sends_feed.load(Ordering::SeqCst) {
                            shared.synchronise(&hello, &sender);
                        }
                        streams.push(sender.clone());
                        drop(streams);
                        shared.hellos.lock().push(hello);
                    }
                    Said::Ack(ack) => shared.acks.lock().push(ack),
                    Said::Heartbeat(heartbeat) => shared.heartbeats.lock().push(heartbeat),
                    Said::CommandResult(_) => {}
                }
            }
        });
        Ok(Response::new(UnboundedReceiverStream::new(receiver)))
    }
}

fn take_one(counter: &AtomicU64) -> bool {
    counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

#[tonic::async_trait]
impl UsageService for Service {
    type ReportStream = Pin<Box<dyn Stream<Item = Result<ReportResponse, Status>> + Send>>;

    async fn report(
        &self,
        request: Request<Streaming<ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        node_of(&request)?;
        let mut batches = request.into_inner();
        let (sender, receiver) = mpsc::channel(4);
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(async move {
            while let Ok(Some(request)) = batches.message().await {
                let has_records = !request.records.is_empty();
                let acknowledged = shared.store(request);
                if has_records && take_one(&shared.lost_acks) {
                    return;
                }
                if sender.send(Ok(ReportResponse { acknowledged, sealed: None })).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}
