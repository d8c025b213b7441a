//! The node's end of the configuration stream: says what it holds, takes what comes, answers.
//!
//! Starts afresh after every break, from where it is. Nothing that the other side sends can do
//! more than end the stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidegate_proto::config::config_service_client::ConfigServiceClient;
use tidegate_proto::config::control_message::Message as Control;
use tidegate_proto::config::node_message::Message as Said;
use tidegate_proto::config::{Command, CommandResult, Delta, Hello, NodeMessage, PoolKey, command};
use tidegate_proto::{
    MAX_MESSAGE_BYTES, NAMES_KINDS, PROTOCOL_VERSION, SUPPORTED_FEATURES, known_kinds, positions_to_wire,
};
use tidegate_proxy::{Gateway, Trial};
use tidegate_types::{CredentialId, OrganizationId, Shard};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Code, Status, Streaming};

use super::Handle;
use crate::backoff::Backoff;
use crate::identity::Identity;
use crate::link::Link;
use crate::outage::{Outage, is_refusal, why};
use crate::pulse::Pulse;
use crate::vault::NodeVault;

/// Messages that wait to be sent.
const OUTBOUND: usize = 64;
/// What a welcome may ask for between two heartbeats.
const HEARTBEAT: std::ops::RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(10);

/// What the node says of itself when it comes.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) software_version: String,
    pub(crate) boot: u64,
    pub(crate) gateway_address: String,
}

/// The stream's owner.
pub(crate) struct Client {
    pub(crate) about: About,
    pub(crate) identity: Arc<Identity>,
    pub(crate) handle: Arc<Handle>,
    pub(crate) vault: Arc<NodeVault>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) link: Arc<Link>,
    /// Cancelled when the control plane asks the node to drain.
    pub(crate) drain_asked: CancellationToken,
    /// Tries credentials.
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) tasks: TaskTracker,
    pub(crate) outage: Outage,
    /// When the newest copy of the configuration was published, as the control plane says, in microseconds.
    pub(crate) copies: watch::Sender<i64>,
}

/// The heartbeats of one session.
struct Beats<'s> {
    out: &'s mpsc::Sender<NodeMessage>,
    pulse: &'s Pulse,
    sequence: AtomicU64,
}

impl Beats<'_> {
    async fn send(&self) -> Result<(), Status> {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        say(self.out, Said::Heartbeat(self.pulse.beat(sequence))).await
    }

    /// Sends them once the welcome has told how often, and one when the node begins to drain.
    async fn keep(&self, mut welcome: watch::Receiver<Option<Duration>>) -> Result<(), Status> {
        let welcomed = welcome.wait_for(Option::is_some).await.ok().and_then(|every| *every);
        let Some(every) = welcomed else { return std::future::pending().await };
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut drains = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.pulse.draining.cancelled(), if !drains => drains = true,
            }
            self.send().await?;
        }
    }
}

impl Client {
    /// Keeps a stream open until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.session() => ended,
            };
            let wait = backoff.next(began.elapsed());
            let status = ended.err().unwrap_or_else(|| Status::unavailable("the stream ended"));
            if self.outage.begins(is_refusal(&status)) {
                tracing::warn!(
                    why = why(&status), code = ?status.code(),
                    "no contact with the control plane: calls are served by the configuration that is held"
                );
            } else {
                tracing::debug!(why = why(&status), wait_ms = wait.as_millis() as u64, "still no contact");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(wait) => {}
            }
        }
    }

    async fn session(&self) -> Result<(), Status> {
        self.handle.restart();
        let (out, outbound) = mpsc::channel(OUTBOUND);
        say(&out, Said::Hello(self.hello())).await?;
        let mut client =
            ConfigServiceClient::new(self.link.channel()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let (welcomed, welcome) = watch::channel(None);
        let beats = Beats { out: &out, pulse: &self.pulse, sequence: AtomicU64::new(0) };
        let receive = async {
            let inbound = client.stream(ReceiverStream::new(outbound)).await?.into_inner();
            self.receive(inbound, &out, &beats, &welcomed).await
        };
        tokio::select! {
            ended = receive => ended,
            ended = beats.keep(welcome) => ended,
            () = self.handle.is_due() => Err(Status::aborted("what was held back is tried once more")),
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            protocol_version: PROTOCOL_VERSION,
            software_version: self.about.software_version.clone(),
            boot: self.about.boot,
            positions: positions_to_wire(&self.handle.position()),
            features: features(),
            gateway_address: self.about.gateway_address.clone(),
        }
    }

    async fn receive(
        &self,
        mut inbound: Streaming<tidegate_proto::config::ControlMessage>,
        out: &mpsc::Sender<NodeMessage>,
        beats: &Beats<'_>,
        welcomed: &watch::Sender<Option<Duration>>,
    ) -> Result<(), Status> {
        while let Some(message) = inbound.message().await? {
            match message.message {
                Some(Control::Welcome(welcome)) => {
                    let away_seconds = self.outage.ends().map(|away| away.as_secs());
                    tracing::info!(pool = %welcome.pool, away_seconds, "connected to the control plane");
                    let every = Duration::from_millis(u64::from(welcome.heartbeat_ms));
                    welcomed.send_replace(Some(every.clamp(*HEARTBEAT.start(), *HEARTBEAT.end())));
                }
                Some(Control::Delta(delta)) => {
                    let (synchronised, shard) = (delta.synchronised, delta.shard);
                    if let Some(ack) = self.apply(delta).await? {
                        // A wave counts failures from here on: not those of the second before.
                        if shard == Shard::SYSTEM.index() as u32 {
                            beats.send().await?;
                        }
                        say(out, Said::Ack(ack)).await?;
                    }
                    if synchronised {
                        self.tell_standing(out).await?;
                    }
                }
                Some(Control::Current(current)) => {
                    self.copies.send_replace(current.copy_issued_at_micros);
                    self.confirm().await?;
                }
                Some(Control::Heal(heal)) => self.handle.forget_position(heal.shard),
                Some(Control::PoolKey(key)) => self.unlock(key).await?,
                Some(Control::Command(command)) => {
                    if let Some(result) = self.obey(&command, out) {
                        say(out, Said::CommandResult(result)).await?;
                    }
                }
                // A message of a later protocol; it may be left out.
                None => {}
            }
        }
        Ok(())
    }

    async fn apply(&self, delta: Delta) -> Result<Option<tidegate_proto::config::Ack>, Status> {
        let handle = Arc::clone(&self.handle);
        let (shard, from, to) = (delta.shard, delta.from, delta.to);
        let applied = tokio::task::spawn_blocking(move || handle.apply(delta))
            .await
            .map_err(|_| Status::new(Code::Internal, "applying a delta ended in a panic"))?;
        applied.map_err(|error| {
            tracing::error!(shard, from, to, %error, "a delta was not taken");
            Status::new(Code::FailedPrecondition, error.to_string())
        })
    }

    async fn tell_standing(&self, out: &mpsc::Sender<NodeMessage>) -> Result<(), Status> {
        let handle = Arc::clone(&self.handle);
        let standing = tokio::task::spawn_blocking(move || handle.standing()).await;
        for ack in standing.map_err(|_| Status::internal("looking at what is held failed"))? {
            say(out, Said::Ack(ack)).await?;
        }
        Ok(())
    }

    async fn confirm(&self) -> Result<(), Status> {
        let handle = Arc::clone(&self.handle);
        let confirmed = tokio::task::spawn_blocking(move || handle.confirm()).await;
        confirmed.map_err(|_| Status::internal("noting the contact failed"))
    }

    async fn unlock(&self, key: PoolKey) -> Result<(), Status> {
        let (vault, identity, handle) =
            (Arc::clone(&self.vault), Arc::clone(&self.identity), Arc::clone(&self.handle));
        let unlock = move || match vault.unlock(&identity, &key) {
            Ok(()) => handle.keep_pool_key(key.version, key.sealed),
            Err(error) => tracing::error!(%error, version = key.version, "the pool key cannot be opened"),
        };
        tokio::task::spawn_blocking(unlock).await.map_err(|_| Status::internal("opening the pool key failed"))
    }

    /// The result, unless it comes later.
    fn obey(&self, command: &Command, out: &mpsc::Sender<NodeMessage>) -> Option<CommandResult> {
        let (ok, code) = match &command.command {
            Some(command::Command::Drain(_)) => {
                self.drain_asked.cancel();
                (true, "draining")
            }
            Some(command::Command::TestCredential(test)) => {
                match (test.organization_id.parse(), test.credential_id.parse()) {
                    (Ok(organization), Ok(credential)) => {
                        self.try_credential(command.id, organization, credential, out.clone());
                        return None;
                    }
                    _ => (false, "unknown_credential"),
                }
            }
            None => (false, "unsupported"),
        };
        Some(CommandResult { id: command.id, ok, code: code.to_owned(), ..CommandResult::default() })
    }

    /// Tries a credential beside the stream; it ends by itself within seconds.
    fn try_credential(
        &self,
        id: u64,
        organization: OrganizationId,
        credential: CredentialId,
        out: mpsc::Sender<NodeMessage>,
    ) {
        let gateway = Arc::clone(&self.gateway);
        self.tasks.spawn(async move {
            let Trial { ok, status, code, error_type, latency_ms, model } =
                gateway.try_credential(organization, credential).await;
            let (status, code) = (u32::from(status), code.to_owned());
            let result = CommandResult { id, ok, status, code, error_type, latency_ms, model };
            // When the stream has ended meanwhile, nobody waits for it any more.
            let _ = say(&out, Said::CommandResult(result)).await;
        });
    }
}

/// What this release can do and knows.
fn features() -> Vec<String> {
    let words = SUPPORTED_FEATURES.iter().chain([&NAMES_KINDS]).map(|one| (*one).to_owned());
    words.chain([known_kinds()]).collect()
}

async fn say(out: &mpsc::Sender<NodeMessage>, message: Said) -> Result<(), Status> {
    let message = NodeMessage { message: Some(message) };
    out.send(message).await.map_err(|_| Status::unavailable("the stream ended"))
}
