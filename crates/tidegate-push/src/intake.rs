//! The usage stream: batches of a node's journal go into the store, acknowledgements come back
//! once they are committed.
//!
//! Whose journal it is, is read from the certificate. A record that cannot be read ends the
//! stream before anything of its batch is stored: nothing is lost, and nothing is made up.

use std::sync::Arc;

use tidegate_proto::usage::journal_record::Record as Wire;
use tidegate_proto::usage::usage_service_server::UsageService;
use tidegate_proto::usage::{DecisionSeal, JournalRecord, LanePosition, ReportRequest, ReportResponse};
use tidegate_secrets::decision::Certificates;
use tidegate_store::decisions::{self, SealedBatch};
use tidegate_store::intake::{self, LaneMark, Record, Shipped};
use tidegate_store::{Store, StoreError, missing};
use tidegate_types::usage::{BillingEvent, CallRecord, RecordKey};
use tidegate_types::{Clock, NodeId};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

use crate::metrics::PushMetrics;
use crate::nodes::{Admitted, Nodes, unavailable};
use crate::peer;
use crate::prices::Prices;
use crate::seals;
use crate::session::malformed;

/// Records in one message; nodes send a tenth of it.
const MOST_RECORDS: usize = 5000;
/// Lanes in one message; a node has at most some dozens.
const MOST_LANES: usize = 4096;

/// The service behind `Report`.
#[derive(Clone)]
pub(crate) struct Intake {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) prices: Arc<Prices>,
    pub(crate) metrics: PushMetrics,
    /// By which nodes' seals are verified.
    pub(crate) roots: Arc<Certificates>,
    pub(crate) tracker: TaskTracker,
    pub(crate) stop: CancellationToken,
}

type Out = mpsc::Sender<Result<ReportResponse, Status>>;

#[tonic::async_trait]
impl UsageService for Intake {
    type ReportStream = ReceiverStream<Result<ReportResponse, Status>>;

    async fn report(
        &self,
        request: Request<Streaming<ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let node = self.nodes.admit(peer::identity(&request)?).await?;
        let inbound = request.into_inner();
        let (out, answers) = mpsc::channel(4);
        let intake = self.clone();
        self.tracker.spawn(async move {
            let ended = tokio::select! {
                ended = intake.receive(&node, inbound, &out) => ended,
                () = node.gone.cancelled() => Err(Status::permission_denied("this node may not connect any more")),
            };
            if let Err(status) = ended {
                let _ = out.try_send(Err(status));
            }
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

impl Intake {
    async fn receive(
        &self,
        node: &Admitted,
        mut inbound: Streaming<ReportRequest>,
        out: &Out,
    ) -> Result<(), Status> {
        // What is stored already need not be sent again.
        let marks = intake::marks(&self.store, node.node_id).await.map_err(|error| unavailable(&error))?;
        if !marks.is_empty() {
            acknowledge(out, &marks, None).await?;
        }
        loop {
            // Between batches, never within one: what was stored is also acknowledged.
            let request = tokio::select! {
                request = inbound.message() => request?,
                () = self.stop.cancelled() => {
                    return Err(Status::unavailable("the control plane is draining; reconnect"));
                }
            };
            let Some(request) = request else { return Ok(()) };
            if self.clock.now() >= node.not_after {
                return Err(Status::unauthenticated("the certificate has expired"));
            }
            let resumed = self.resume(node.node_id, &request.oldest_held).await?;
            let known = self.known_seals(node.node_id, request.sealing_boot).await?;
            let (stored, sealed) = self.store_batch(node.node_id, request.records, request.seal).await?;
            acknowledge(out, &[resumed, stored].concat(), sealed.or(known)).await?;
        }
    }

    /// Number of the last seal of the boot that a node names when it begins.
    async fn known_seals(&self, node: NodeId, boot: u64) -> Result<Option<u64>, Status> {
        if !(1..=i64::MAX as u64).contains(&boot) {
            return Ok(None);
        }
        let last = decisions::last_seal(&self.store, node, boot).await;
        last.map(Some).map_err(|error| unavailable(&error))
    }

    /// Takes up the lanes that a node names where the store is. What the store lacks and the node no
    /// longer holds is lost: that is told, and the lanes go on.
    async fn resume(&self, node: NodeId, held: &[LanePosition]) -> Result<Vec<LaneMark>, Status> {
        if held.is_empty() {
            return Ok(Vec::new());
        }
        if held.len() > MOST_LANES {
            self.metrics.malformed.inc();
            return Err(Status::invalid_argument("more than 4096 lanes in one message"));
        }
        let held = held.iter().map(lane_mark).collect::<Result<Vec<_>, _>>().inspect_err(|_| {
            self.metrics.malformed.inc();
        })?;
        let resumed = match missing::resume(&self.store, node, &held, self.clock.now()).await {
            Ok(resumed) => resumed,
            Err(StoreError::Dangling(_)) => return Err(Status::permission_denied("no such node")),
            Err(error) => return Err(unavailable(&error)),
        };
        if resumed.missing > 0 {
            self.metrics.missing.inc_by(resumed.missing);
            tracing::error!(
                %node, records = resumed.missing,
                "records are missing that were acknowledged once (was the database restored?): written down"
            );
        }
        Ok(resumed.marks)
    }

    /// Stores a batch; the number of its seal, if that holds.
    async fn store_batch(
        &self,
        node: NodeId,
        records: Vec<JournalRecord>,
        seal: Option<DecisionSeal>,
    ) -> Result<(Vec<LaneMark>, Option<u64>), Status> {
        if records.len() > MOST_RECORDS {
            self.metrics.malformed.inc();
            return Err(Status::invalid_argument("more than 5000 records in one message"));
        }
        let batch = self.read(node, records).await.inspect_err(|_| {
            self.metrics.malformed.inc();
        })?;
        if batch.is_empty() {
            return Ok((Vec::new(), None));
        }
        let sealed = seal.and_then(|seal| self.sealed(node, &seal, &batch));
        let now = self.clock.now();
        let ingested = match intake::ingest_sealed(&self.store, node, &batch, sealed.as_ref(), now).await {
            Ok(ingested) => ingested,
            Err(StoreError::VersionConflict { .. }) => {
                return Err(Status::aborted("this seal is not the next one; begin again"));
            }
            Err(StoreError::NotFound | StoreError::Dangling(_)) => {
                return Err(Status::permission_denied("no such node"));
            }
            Err(error) => return Err(unavailable(&error)),
        };
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        self.metrics.records.inc_by(count(ingested.inserted));
        let before = batch.len().saturating_sub(ingested.inserted + ingested.refused);
        self.metrics.duplicates.inc_by(count(before));
        if ingested.cost_differences > 0 {
            self.metrics.cost_disagreements.inc_by(count(ingested.cost_differences));
            tracing::error!(%node, events = ingested.cost_differences, "a node computed other costs than the control plane");
        }
        if ingested.refused > 0 {
            tracing::error!(%node, records = ingested.refused, "records that can never be stored were put aside");
        }
        Ok((ingested.marks, sealed.map(|sealed| sealed.number)))
    }

    /// The seal as it is kept; `None` when it does not hold.
    fn sealed(&self, node: NodeId, seal: &DecisionSeal, batch: &[Shipped]) -> Option<SealedBatch> {
        let in_range = |number: u64| (1..=i64::MAX as u64).contains(&number);
        if !in_range(seal.boot) || !in_range(seal.number) {
            self.metrics.malformed.inc();
            return None;
        }
        let checked = seals::check(node, seal, batch, &self.roots).inspect_err(|error| {
            self.metrics.malformed.inc();
            tracing::error!(%node, %error, "a node's signature over decisions does not hold");
        });
        checked.ok()
    }

    /// Reads the records and recomputes what they cost.
    async fn read(&self, node: NodeId, records: Vec<JournalRecord>) -> Result<Vec<Shipped>, Status> {
        let mut batch =
            records.into_iter().map(|record| shipped(node, record)).collect::<Result<Vec<_>, _>>()?;
        let events = batch.iter().filter_map(|shipped| match &shipped.record {
            Record::Event { event, .. } => Some(event),
            Record::Call(_) => None,
        });
        self.prices.learn(events).await.map_err(|error| unavailable(&error))?;
        for shipped in &mut batch {
            if let Record::Event { event, cost } = &mut shipped.record {
                let confirmed;
                (*cost, confirmed) = self.prices.cost(event);
                if !confirmed {
                    self.metrics.cost_disagreements.inc();
                    tracing::error!(%node, call = %event.call_id, "an event names no price that the store has");
                }
            }
        }
        Ok(batch)
    }
}

/// A place in a journal, within what the store can hold.
fn lane_mark(position: &LanePosition) -> Result<LaneMark, Status> {
    let out_of_range = || Status::invalid_argument("a record's boot, lane or sequence is out of range");
    let lane = u16::try_from(position.lane).map_err(|_| out_of_range())?;
    // Places in Postgres are signed.
    let place = |number: u64, least: u64| (least..=i64::MAX as u64).contains(&number);
    if !place(position.boot, 0) || !place(position.sequence, 1) {
        return Err(out_of_range());
    }
    Ok(LaneMark { boot: position.boot, lane, sequence: position.sequence })
}

fn shipped(node_id: NodeId, message: JournalRecord) -> Result<Shipped, Status> {
    let JournalRecord { boot, lane, sequence, .. } = message;
    let LaneMark { lane, .. } = lane_mark(&LanePosition { boot, lane, sequence })?;
    let key = RecordKey { node_id, boot, lane, sequence };
    let record = match message.record {
        Some(Wire::Event(event)) => {
            let event = BillingEvent::try_from(&event).map_err(|error| malformed(&error))?;
            Record::Event { cost: event.cost, event }
        }
        Some(Wire::Call(call)) => {
            Record::Call(CallRecord::try_from(&call).map_err(|error| malformed(&error))?)
        }
        None => return Err(Status::invalid_argument("JournalRecord.record is missing")),
    };
    Ok(Shipped { key, record })
}

async fn acknowledge(out: &Out, marks: &[LaneMark], sealed: Option<u64>) -> Result<(), Status> {
    let position = |mark: &LaneMark| LanePosition {
        boot: mark.boot,
        lane: u32::from(mark.lane),
        sequence: mark.sequence,
    };
    let acknowledged = marks.iter().map(position).collect();
    out.send(Ok(ReportResponse { acknowledged, sealed }))
        .await
        .map_err(|_| Status::cancelled("the node no longer listens"))
}
