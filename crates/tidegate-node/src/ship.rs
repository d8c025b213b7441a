//! Ships the journal: batches up, cumulative acknowledgements down, for as long as it takes.
//!
//! Nothing is removed before it is acknowledged and everything unacknowledged is sent again
//! after a break; the other side takes a repetition without doubling.

use std::sync::Arc;
use std::time::Duration;

use tidegate_proto::usage::usage_service_client::UsageServiceClient;
use tidegate_proto::usage::{JournalRecord, ReportRequest, ReportResponse};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::backoff::Backoff;
use crate::journal::{Journal, ShipReader};
use crate::link::Link;

/// Most records in one message.
const BATCH: usize = 500;
/// A batch that is not full goes after this time.
const EVERY: Duration = Duration::from_millis(200);
/// Most records on their way without an acknowledgement.
const WINDOW: u64 = 16 * BATCH as u64;
/// Without an acknowledgement for this long the stream is taken for dead.
const STALL: Duration = Duration::from_secs(30);

/// Ships until `stop`.
pub(crate) async fn run(journal: Arc<Journal>, link: Arc<Link>, stop: CancellationToken) {
    let mut backoff = Backoff::default();
    loop {
        let began = Instant::now();
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            ended = session(&journal, &link) => ended,
        };
        let wait = backoff.next(began.elapsed());
        if let Err(status) = ended {
            tracing::warn!(code = ?status.code(), wait_ms = wait.as_millis() as u64, "shipping was interrupted");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(wait) => {}
        }
    }
}

async fn session(journal: &Arc<Journal>, link: &Link) -> Result<(), Status> {
    let mut client =
        UsageServiceClient::new(link.channel()).max_decoding_message_size(tidegate_proto::MAX_MESSAGE_BYTES);
    let (sender, receiver) = mpsc::channel(2);
    let acknowledged = Notify::new();
    let receive = async {
        let answers = client.report(ReceiverStream::new(receiver)).await?.into_inner();
        receive(journal, answers, &acknowledged).await
    };
    tokio::select! {
        ended = receive => ended,
        ended = send(journal, &sender, &acknowledged) => ended,
    }
}

async fn receive(
    journal: &Journal,
    mut answers: Streaming<ReportResponse>,
    acknowledged: &Notify,
) -> Result<(), Status> {
    while let Some(answer) = answers.message().await? {
        for position in &answer.acknowledged {
            journal.acknowledge(position);
        }
        acknowledged.notify_one();
    }
    Ok(())
}

async fn send(
    journal: &Arc<Journal>,
    sender: &mpsc::Sender<ReportRequest>,
    acknowledged: &Notify,
) -> Result<(), Status> {
    let mut reader = journal.reader();
    let mut heard = Instant::now();
    loop {
        if reader.outstanding() > WINDOW {
            timeout(STALL, acknowledged.notified()).await.map_err(|_| stalled())?;
            heard = Instant::now();
            continue;
        }
        let due = Instant::now() + EVERY;
        let (back, records) = read(journal, reader).await?;
        reader = back;
        let full = records.len() >= BATCH;
        if !records.is_empty() && sender.send(ReportRequest { records }).await.is_err() {
            // The call has ended; the other half says why.
            return std::future::pending().await;
        }
        if full {
            continue;
        }
        if reader.outstanding() == 0 {
            heard = Instant::now();
        } else if heard.elapsed() > STALL {
            return Err(stalled());
        }
        tokio::select! {
            () = acknowledged.notified() => heard = Instant::now(),
            () = sleep_until(due) => {}
        }
        sleep_until(due).await;
    }
}

async fn read(
    journal: &Arc<Journal>,
    mut reader: ShipReader,
) -> Result<(ShipReader, Vec<JournalRecord>), Status> {
    let journal = Arc::clone(journal);
    tokio::task::spawn_blocking(move || {
        let records =
            journal.read(&mut reader, BATCH).map_err(|error| Status::internal(error.to_string()))?;
        Ok((reader, records))
    })
    .await
    .map_err(|_| Status::internal("read the journal"))?
}

fn stalled() -> Status {
    Status::deadline_exceeded("no acknowledgement")
}
