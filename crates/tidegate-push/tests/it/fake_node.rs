//! A node reduced to its wire: it enrols, listens, applies, acknowledges, and lies when asked to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use tidegate_proto::budget::budget_service_client::BudgetServiceClient;
use tidegate_proto::config::config_service_client::ConfigServiceClient;
use tidegate_proto::config::{
    self as wire, control_message::Message as Control, node_message::Message as Said,
};
use tidegate_proto::enroll::enroll_service_client::EnrollServiceClient;
use tidegate_proto::enroll::{EnrollRequest, EnrollResponse};
use tidegate_proto::usage::usage_service_client::UsageServiceClient;
use tidegate_proto::{PROTOCOL_VERSION, positions_to_wire, versioned_from_wire};
use tidegate_secrets::ca::NodeKey;
use tidegate_secrets::pem;
use tidegate_secrets::pool::PoolSecrets;
use tidegate_secrets::sealing::SealingKeyPair;
use tidegate_types::resource::{ResourceKey, ResourceKind, Versioned, content_hash};
use tidegate_types::{Digest, NodeId, Position, Revision, Shard};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Status, Streaming};

use crate::plane::{DEADLINE, Plane};

/// Dials a control plane; without a key and chain as somebody without a certificate.
pub(crate) async fn dial(
    address: SocketAddr,
    roots_pem: &str,
    identity: Option<(&NodeKey, &[Vec<u8>])>,
) -> Result<Channel, tonic::transport::Error> {
    endpoint(address, roots_pem, identity).connect().await
}

/// The same when it is first used, and again after a break.
pub(crate) fn dial_lazily(
    address: SocketAddr,
    roots_pem: &str,
    identity: Option<(&NodeKey, &[Vec<u8>])>,
) -> Channel {
    endpoint(address, roots_pem, identity).connect_lazy()
}

fn endpoint(address: SocketAddr, roots_pem: &str, identity: Option<(&NodeKey, &[Vec<u8>])>) -> Endpoint {
    let mut tls =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(roots_pem)).domain_name("localhost");
    if let Some((key, chain)) = identity {
        let chain: String = chain.iter().map(|der| pem::certificate(der)).collect();
        tls = tls.identity(Identity::from_pem(chain, pem::private_key(&key.expose()).expose()));
    }
    let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap().tls_config(tls).unwrap();
    endpoint.connect_timeout(DEADLINE)
}

pub(crate) fn enroll_request(token: &str, key: &NodeKey, sealing: &SealingKeyPair) -> EnrollRequest {
    EnrollRequest {
        join_token: token.to_owned(),
        certificate_request: key.certificate_request().unwrap(),
        sealing_key: sealing.public().to_vec(),
        name: "fake".to_owned(),
        software_version: "0.0.0".to_owned(),
        ..EnrollRequest::default()
    }
}

pub(crate) struct FakeNode {
    pub(crate) id: NodeId,
    pub(crate) key: NodeKey,
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) sealing: SealingKeyPair,
    pub(crate) channel: Channel,
}

impl FakeNode {
    pub(crate) async fn enrol(plane: &Plane) -> Self {
        let token = plane.join_token(60_000).await;
        Self::enrol_with(plane, token.expose()).await.unwrap()
    }

    pub(crate) async fn enrol_in(plane: &Plane, pool: &str) -> Self {
        let token = plane.join_token_for(pool, 60_000).await;
        Self::enrol_with(plane, token.expose()).await.unwrap()
    }

    pub(crate) async fn enrol_with(plane: &Plane, token: &str) -> Result<Self, Status> {
        let (key, sealing) = (NodeKey::generate().unwrap(), SealingKeyPair::generate().unwrap());
        let stranger = dial(plane.address, &plane.material.roots_pem(), None).await.unwrap();
        let request = enroll_request(token, &key, &sealing);
        let answer = EnrollServiceClient::new(stranger).enroll(request).await?.into_inner();
        Ok(Self::of(plane, answer, key, sealing).await)
    }

    pub(crate) async fn of(
        plane: &Plane,
        answer: EnrollResponse,
        key: NodeKey,
        sealing: SealingKeyPair,
    ) -> Self {
        let chain = answer.certificate_chain;
        let channel = dial(plane.address, &plane.material.roots_pem(), Some((&key, &chain))).await.unwrap();
        Self { id: answer.node_id.parse().unwrap(), key, chain, sealing, channel }
    }

    /// A node that has not connected yet.
    pub(crate) fn without_connection(answer: EnrollResponse, key: NodeKey, sealing: SealingKeyPair) -> Self {
        let channel = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        let id = answer.node_id.parse().unwrap();
        Self { id, key, chain: answer.certificate_chain, sealing, channel }
    }

    /// The same node at another control plane.
    pub(crate) async fn at(&self, plane: &Plane) -> Channel {
        dial(plane.address, &plane.material.roots_pem(), Some((&self.key, &self.chain))).await.unwrap()
    }

    pub(crate) async fn stream(&self) -> Stream {
        self.stream_from(Held::default(), self.channel.clone()).await.unwrap()
    }

    /// Opens a config stream from what is held already.
    pub(crate) async fn stream_from(&self, held: Held, channel: Channel) -> Result<Stream, Status> {
        self.stream_of(1, held, channel).await
    }

    /// The same in the process that began at `boot`.
    pub(crate) async fn stream_of(&self, boot: u64, held: Held, channel: Channel) -> Result<Stream, Status> {
        let (say, said) = mpsc::channel(64);
        let hello = wire::Hello {
            protocol_version: PROTOCOL_VERSION,
            software_version: "0.0.0".to_owned(),
            boot,
            positions: positions_to_wire(&held.position),
            features: held.features.clone(),
            gateway_address: "127.0.0.1:1".to_owned(),
        };
        say.send(message(Said::Hello(hello))).await.unwrap();
        let mut client = ConfigServiceClient::new(channel);
        let inbound = client.stream(ReceiverStream::new(said)).await?.into_inner();
        Ok(Stream {
            say,
            inbound,
            held,
            deltas: vec![],
            pool_key: None,
            pool_keys: vec![],
            synchronised: false,
            healed: vec![],
            assured: 0,
        })
    }

    /// A synchronised config stream.
    pub(crate) async fn synchronised(&self) -> Stream {
        let mut stream = self.stream().await;
        stream.until("synchronised", |stream| stream.synchronised).await;
        stream
    }

    pub(crate) fn open(&self, key: &wire::PoolKey) -> PoolSecrets {
        PoolSecrets::open_on_node("default", key.version, self.id, &self.sealing, &key.sealed).unwrap()
    }

    pub(crate) fn budgets(&self) -> BudgetServiceClient<Channel> {
        BudgetServiceClient::new(self.channel.clone())
    }

    pub(crate) fn usage(&self) -> UsageServiceClient<Channel> {
        UsageServiceClient::new(self.channel.clone())
    }
}

pub(crate) fn message(said: Said) -> wire::NodeMessage {
    wire::NodeMessage { message: Some(said) }
}

/// What a node holds.
#[derive(Default, Clone)]
pub(crate) struct Held {
    pub(crate) resources: BTreeMap<ResourceKey, Versioned>,
    pub(crate) position: Position,
    /// Resources that this node pretends it cannot apply.
    pub(crate) rejects: BTreeSet<ResourceKey>,
    /// Kinds that its release does not know and does not name.
    pub(crate) passes_over: BTreeSet<ResourceKind>,
    /// What it could not read: which version, and its hash.
    pub(crate) refused: BTreeMap<ResourceKey, (u64, [u8; 32])>,
    /// What it says that it can do.
    pub(crate) features: Vec<String>,
    /// Added to every digest: a node that is wrong about what it holds.
    pub(crate) error: u128,
    /// It is wrong also about what it is sent anew.
    pub(crate) stubborn: bool,
}

impl Held {
    fn digest(&self, shard: Shard) -> Digest {
        let mut digest = Digest::default();
        for version in self.resources.values().filter(|version| version.revision.shard == shard) {
            let Some(resource) = &version.resource else { continue };
            let applied = !self.rejects.contains(&version.key);
            let hash = content_hash(resource);
            digest.add(Digest::of_member(&version.key.to_string(), version.revision, &hash, applied));
        }
        for (key, (n, hash)) in &self.refused {
            if Shard::of(key.organization_id) == shard {
                digest.add(Digest::of_member(&key.to_string(), Revision { shard, n: *n }, hash, false));
            }
        }
        digest.add(Digest::from_u128(self.error));
        digest
    }
}

pub(crate) struct Stream {
    pub(crate) say: mpsc::Sender<wire::NodeMessage>,
    pub(crate) inbound: Streaming<wire::ControlMessage>,
    pub(crate) held: Held,
    pub(crate) deltas: Vec<wire::Delta>,
    pub(crate) pool_key: Option<wire::PoolKey>,
    /// Versions of the pool's keys that it was told, in that order.
    pub(crate) pool_keys: Vec<u32>,
    pub(crate) synchronised: bool,
    pub(crate) healed: Vec<u32>,
    /// How often it heard that it has everything.
    pub(crate) assured: usize,
}

impl Stream {
    /// Hears and obeys until it is so.
    pub(crate) async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let hear = async {
            while !done(self) {
                let message =
                    self.inbound.message().await.expect("the stream broke").expect("the stream ended");
                self.obey(message).await;
            }
        };
        assert!(tokio::time::timeout(DEADLINE, hear).await.is_ok(), "never heard: {what}");
    }

    /// Hears and obeys until it holds everything; whether the stream lasted so long.
    pub(crate) async fn lasts_until_synchronised(&mut self) -> bool {
        while !self.synchronised {
            let Ok(Some(message)) = self.inbound.message().await else { return false };
            self.obey(message).await;
        }
        true
    }

    /// Hears and obeys for a while.
    pub(crate) async fn listen_for(&mut self, time: Duration) {
        let hear = async {
            loop {
                let message =
                    self.inbound.message().await.expect("the stream broke").expect("the stream ended");
                self.obey(message).await;
            }
        };
        let _: Result<(), _> = tokio::time::timeout(time, hear).await;
    }

    /// Why the stream ends.
    pub(crate) async fn end(&mut self) -> Option<Status> {
        let hear = async {
            loop {
                match self.inbound.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return None,
                    Err(status) => return Some(status),
                }
            }
        };
        tokio::time::timeout(DEADLINE, hear).await.expect("the stream never ended")
    }

    pub(crate) async fn holds(&mut self, key: &ResourceKey) {
        self.until("a resource", |stream| stream.held.resources.contains_key(key)).await;
    }

    async fn obey(&mut self, message: wire::ControlMessage) {
        match message.message {
            Some(Control::Delta(delta)) => self.apply(delta).await,
            Some(Control::PoolKey(key)) => {
                self.pool_keys.push(key.version);
                self.pool_key = Some(key);
            }
            Some(Control::Heal(heal)) => {
                let shard = Shard::new(u8::try_from(heal.shard).unwrap()).unwrap();
                self.healed.push(heal.shard);
                self.held.error = u128::from(self.held.stubborn);
                self.held.resources.retain(|_, version| version.revision.shard != shard);
            }
            Some(Control::Command(command)) => {
                let result = wire::CommandResult {
                    id: command.id,
                    ok: true,
                    status: 200,
                    code: "ok".to_owned(),
                    ..wire::CommandResult::default()
                };
                self.say.send(super::fake_node::message(Said::CommandResult(result))).await.unwrap();
            }
            Some(Control::Current(_)) => self.assured += 1,
            Some(Control::Welcome(_)) | None => {}
        }
    }

    async fn apply(&mut self, delta: wire::Delta) {
        let shard = Shard::new(u8::try_from(delta.shard).unwrap()).unwrap();
        if delta.replace && self.deltas.last().is_none_or(|part| part.last) {
            self.held.resources.retain(|_, version| version.revision.shard != shard);
        }
        for resource in delta.resources.clone() {
            let (n, hash) = (resource.n, resource.content_hash.clone());
            let version = match versioned_from_wire(shard, resource) {
                Ok(version) => version,
                Err((key, error)) => {
                    let key = key.unwrap_or_else(|| panic!("{error}"));
                    self.held.refused.insert(key, (n, hash.try_into().unwrap()));
                    continue;
                }
            };
            self.held.refused.remove(&version.key);
            if self.held.passes_over.contains(&version.key.kind) {
                continue;
            }
            match version.resource {
                Some(_) => drop(self.held.resources.insert(version.key.clone(), version)),
                None => drop(self.held.resources.remove(&version.key)),
            }
        }
        let (last, to) = (delta.last, delta.to);
        self.synchronised |= delta.synchronised;
        self.deltas.push(delta);
        if last {
            self.held.position.advance(Revision { shard, n: to });
            self.acknowledge(shard, to).await;
        }
    }

    pub(crate) async fn acknowledge(&mut self, shard: Shard, n: u64) {
        let rejected = self.held.resources.values();
        let rejected = rejected.filter(|v| v.revision.shard == shard && self.held.rejects.contains(&v.key));
        let rejected = rejected.map(|v| (&v.key, v.revision.n, "pretends not to know it"));
        let refused = self.held.refused.iter().filter(|(key, _)| Shard::of(key.organization_id) == shard);
        let refused = refused.map(|(key, (n, _))| (key, *n, "cannot read it"));
        let rejection = |(key, n, reason): (&ResourceKey, u64, &str)| wire::Rejection {
            key: Some(key.into()),
            n,
            reason: reason.to_owned(),
        };
        let rejected = rejected.chain(refused).map(rejection).collect();
        let digest = self.held.digest(shard).to_u128().to_be_bytes().to_vec();
        let ack = wire::Ack { shard: shard.index() as u32, n, digest, rejected };
        self.say.send(message(Said::Ack(ack))).await.unwrap();
    }

    /// A heartbeat that says that everything applied is shipped as well.
    pub(crate) async fn beat(&self) {
        let positions = positions_to_wire(&self.held.position);
        let beat = wire::Heartbeat {
            sequence: 1,
            applied: positions.clone(),
            shipped: positions,
            journal_pending_records: 3,
            limiter_mode: "healthy".to_owned(),
            ..wire::Heartbeat::default()
        };
        self.say.send(message(Said::Heartbeat(beat))).await.unwrap();
    }
}
