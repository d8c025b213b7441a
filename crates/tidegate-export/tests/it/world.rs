//! An organization with exporters and calls, a clock that is moved by hand, and a collector that notes what
//! it hears.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tidegate_export::{ExportMetrics, Exporter};
use tidegate_secrets::envelope::{self, DataKey};
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::{keygen, places};
use tidegate_store::exporters::{self, ExporterId, SealedHeaders, StoredExporter};
use tidegate_store::intake::{self, Record, Shipped};
use tidegate_store::testing::{HandClock, START, TestDatabase, new_id};
use tidegate_store::{Actor, AuditNote, Change, Store, SystemActor, fleet, organizations, wrapped};
use tidegate_testkit::receiver::{Heard, Receiver};
use tidegate_types::resource::{Organization, ZdrTier};
use tidegate_types::usage::{
    AttemptRecord, CallOutcome, CallRecord, CredentialType, RecordKey, Surface, Usage,
};
use tidegate_types::window::WeekStart;
use tidegate_types::{
    Clock, KeyId, LabelHash, NanoUsd, NodeId, OfferingId, OrganizationId, ProviderId, Revision, Shard,
    TeamId, Timestamp,
};
use tidegate_upstream::{PrivateTarget, Upstreams};

pub(crate) const SECRET: &str = "Basic cHVibGljOnNlY3JldA==";
/// A text attribute of a span.
pub(crate) fn attribute(span: &Span, name: &str) -> Option<String> {
    match value(span, name)? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// A whole number among the attributes of a span.
pub(crate) fn number(span: &Span, name: &str) -> Option<i64> {
    match value(span, name)? {
        Value::IntValue(number) => Some(number),
        _ => None,
    }
}

fn value(span: &Span, name: &str) -> Option<Value> {
    span.attributes.iter().find(|found| found.key == name)?.value.clone()?.value
}

/// Of the records of the node.
static NEXT: AtomicU64 = AtomicU64::new(1);

pub(crate) struct World {
    pub(crate) collector: Receiver,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) store: Store,
    pub(crate) metrics: ExportMetrics,
    kek: KeyEncryptionKey,
    data_key: DataKey,
    actor: Actor,
    organization: OrganizationId,
    node: NodeId,
    _database: TestDatabase,
}

impl World {
    /// A collector that gives these answers one after the other, the last one for ever.
    pub(crate) async fn start(answers: &[&'static str]) -> Self {
        let database = TestDatabase::create().await.unwrap();
        let store = database.store().await.unwrap();
        let kek = KeyEncryptionKey::from_secret(&keygen::key_encryption_key()).unwrap();
        let organization = Organization {
            id: new_id(),
            slug: "acme".into(),
            name: "Acme".into(),
            time_zone: "UTC".into(),
            week_start: WeekStart::Monday,
            paused: false,
            max_staleness_seconds: None,
            label_key: [7; 32],
            limits: tidegate_types::resource::KeyLimits::default(),
            model_limits: Vec::new(),
            bound_issuers: Vec::new(),
            cache_purges: 0,
        };
        let actor = SystemActor::new("test").acting_for(organization.id);
        let (data_key, place) = (DataKey::generate(), places::data_key(organization.id, 1));
        let bytes = kek.wrap_key(&place, &data_key).unwrap();
        let world = Self {
            collector: Receiver::start(answers).await.unwrap(),
            clock: HandClock::new(),
            node: enrol(&store).await,
            metrics: ExportMetrics::default(),
            store,
            kek,
            data_key,
            actor,
            organization: organization.id,
            _database: database,
        };
        let mut change = world.change().await;
        organizations::insert(&mut change, &organization).await.unwrap();
        wrapped::insert_data_key(&mut change, &wrapped::Wrapped { version: 1, bytes }).await.unwrap();
        commit(change).await;
        world
    }

    async fn change(&self) -> Change {
        self.store.change(&self.actor, self.clock.now()).await.unwrap()
    }

    pub(crate) async fn exporter(&self, name: &str, url: &str) -> ExporterId {
        let id = new_id();
        let exporter = exporters::Exporter { id, name: name.into(), url: url.into(), enabled: true };
        let json = serde_json::to_vec(&BTreeMap::from([("authorization", SECRET)])).unwrap();
        let place = places::exporter(self.organization, id.to_u128(), 1);
        let headers = SealedHeaders {
            names: vec!["authorization".into()],
            secret_version: 1,
            data_key_version: 1,
            bytes: envelope::seal(&self.data_key, &place, &json).unwrap(),
        };
        let mut change = self.change().await;
        exporters::insert(&mut change, &exporter, &headers).await.unwrap();
        commit(change).await;
        id
    }

    pub(crate) async fn switch_off(&self, id: ExporterId) {
        let stored = self.stored(id).await;
        let mut change = self.change().await;
        let off = exporters::Exporter { enabled: false, ..stored.exporter };
        exporters::update(&mut change, &off, None, stored.version).await.unwrap();
        commit(change).await;
    }

    pub(crate) async fn stored(&self, id: ExporterId) -> StoredExporter {
        let mut tx = self.store.begin(&self.actor).await.unwrap();
        exporters::get(&mut tx, id).await.unwrap()
    }

    /// An answered call of ten milliseconds, tried once.
    pub(crate) fn call(&self) -> CallRecord {
        let attempt = AttemptRecord {
            provider_id: ProviderId::from_u128(13),
            offering_id: OfferingId::from_u128(14),
            credential_id: None,
            credential_type: CredentialType::System,
            status: 200,
            started_ms: 1,
            duration_ms: 9,
            outcome: None,
            evidence: vec![],
        };
        CallRecord {
            call_id: new_id(),
            at: self.clock.now(),
            organization_id: self.organization,
            team_id: TeamId::from_u128(10),
            key_id: KeyId::from_u128(11),
            surface: Surface::OpenaiChat,
            stream: true,
            model_id: None,
            route_id: None,
            status: 200,
            outcome: CallOutcome::Answered,
            attempts: vec![attempt],
            usage: Usage::default(),
            cost: NanoUsd::ZERO,
            ttft_ms: None,
            duration_ms: 10,
            overhead_us: 90,
            end_user: Some(LabelHash::from_bytes([1; 16])),
            session: None,
            app: None,
            tags: vec![],
            revision: Revision { shard: Shard::SYSTEM, n: 1 },
            zdr: ZdrTier::None,
            inference_regions: None,
            plan: None,
            trace: None,
            cached_from: None,
        }
    }

    /// Stores the records as a node ships them.
    pub(crate) async fn ingest(&self, calls: Vec<CallRecord>) {
        let place = || RecordKey {
            node_id: self.node,
            boot: 1,
            lane: 0,
            sequence: NEXT.fetch_add(1, Ordering::Relaxed),
        };
        let batch: Vec<Shipped> =
            calls.into_iter().map(|call| Shipped { key: place(), record: Record::Call(call) }).collect();
        let stored = intake::ingest(&self.store, self.node, &batch, self.clock.now()).await.unwrap();
        assert_eq!(stored.inserted, batch.len());
    }

    pub(crate) async fn look(&self) -> usize {
        self.exporting().look().await.unwrap()
    }

    /// One that may call the collector.
    pub(crate) fn exporting(&self) -> Exporter {
        self.exporting_to(vec![PrivateTarget {
            cidr: "127.0.0.1/32".parse().unwrap(),
            ports: vec![self.collector.port()],
            http: true,
            organizations: vec![self.organization],
        }])
    }

    /// One that may call public https only.
    pub(crate) fn closed(&self) -> Exporter {
        self.exporting_to(Vec::new())
    }

    fn exporting_to(&self, private: Vec<PrivateTarget>) -> Exporter {
        let upstreams =
            Upstreams::new(&tidegate_upstream::Settings { private, ..Default::default() }).unwrap();
        let (clock, metrics) = (self.clock.clone(), self.metrics.clone());
        Exporter::new(self.store.clone(), self.kek.clone(), upstreams, clock, metrics)
    }
}

async fn enrol(store: &Store) -> NodeId {
    let node_id = new_id();
    let enrolment = fleet::Enrolment {
        node_id,
        pool: "default",
        name: "n",
        certificate_serial: "01",
        certificate_expires_at: Timestamp::from_seconds(START + 604_800),
        sealing_key: [5; 32],
    };
    fleet::enrol(store, &enrolment, Timestamp::from_seconds(START)).await.unwrap();
    node_id
}

async fn commit(change: Change) {
    let note = AuditNote { action: "test.change", object: "test".into(), before: None, after: None };
    change.commit(note).await.unwrap();
}

/// The spans of a post to the collector.
pub(crate) fn spans(heard: &Heard) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(heard.body.as_slice()).unwrap();
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}
