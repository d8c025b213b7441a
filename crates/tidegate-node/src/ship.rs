//! Ships the journal: batches up, cumulative acknowledgements down, for as long as it takes.
//!
//! Nothing is removed before it is acknowledged and everything unacknowledged is sent again
//! after a break; the other side takes a repetition without doubling. Each stream begins where the
//! control plane says it is, also when that is behind what it acknowledged once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tidegate_proto::usage::{LanePosition, ReportResponse};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::backoff::Backoff;
use crate::journal::{Journal, KeepsAll, ShipReader};
use crate::link::Link;
use crate::notary::{Docket, Notary};
use crate::outage::{Outage, is_refusal, why};
use crate::report::{Report, report};

/// Most records in one message.
const BATCH: usize = 500;
/// A batch that is not full goes after this time.
const EVERY: Duration = Duration::from_millis(200);
/// Most records on their way without an acknowledgement.
const WINDOW: u64 = 16 * BATCH as u64;
/// A control plane that keeps seals says so at once; one of an earlier version is waited for this long.
const SEALS: Duration = Duration::from_secs(2);
/// Without an acknowledgement for this long the stream is taken for dead.
const STALL: Duration = Duration::from_secs(30);

/// Ships until `stop`.
pub(crate) async fn run(
    journal: Arc<Journal>,
    link: Arc<Link>,
    notary: Arc<Notary>,
    stop: CancellationToken,
) {
    let (mut backoff, outage) = (Backoff::default(), Outage::default());
    loop {
        let began = Instant::now();
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            ended = session(&journal, &link, &notary, &outage) => ended,
        };
        let wait = backoff.next(began.elapsed());
        if let Err(status) = ended {
            if outage.begins(is_refusal(&status)) {
                tracing::warn!(
                    why = why(&status), code = ?status.code(),
                    "shipping is interrupted: the journal keeps what is not acknowledged"
                );
            } else {
                tracing::debug!(why = why(&status), wait_ms = wait.as_millis() as u64, "still no shipping");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(wait) => {}
        }
    }
}

async fn session(
    journal: &Arc<Journal>,
    link: &Link,
    notary: &Arc<Notary>,
    outage: &Outage,
) -> Result<(), Status> {
    let (sender, receiver) = mpsc::channel(2);
    let (keeps_all, oldest_held) = oldest_held(journal).await?;
    let lanes = oldest_held.iter().map(|lane| (lane.boot, lane.lane)).collect();
    sender.send(Report::opening(oldest_held, notary.boot())).await.map_err(|_| stalled())?;
    let mut answers = report(link.channel(), ReceiverStream::new(receiver)).await?;
    let seals =
        timeout(STALL, resume(journal, &mut answers, lanes, notary)).await.map_err(|_| stalled())??;
    drop(keeps_all);
    if let Some(away) = outage.ends() {
        tracing::info!(away_seconds = away.as_secs(), "shipping goes on");
    }
    let acknowledged = Notify::new();
    tokio::select! {
        ended = receive(journal, answers, notary, &acknowledged) => ended,
        ended = send(journal, &sender, seals.then_some(notary), &acknowledged) => ended,
    }
}

async fn oldest_held(journal: &Arc<Journal>) -> Result<(KeepsAll, Vec<LanePosition>), Status> {
    let journal = Arc::clone(journal);
    let look = move || {
        let keeps_all = KeepsAll::of(&journal);
        let oldest = journal.oldest_held().map_err(|error| Status::internal(error.to_string()))?;
        Ok((keeps_all, oldest))
    };
    tokio::task::spawn_blocking(look).await.map_err(|_| Status::internal("read the journal"))?
}

/// Goes to where the control plane has each lane and the seals, before anything is read. Whether it keeps
/// seals: one of an earlier version says nothing of them.
async fn resume(
    journal: &Journal,
    answers: &mut Streaming<ReportResponse>,
    mut lanes: BTreeSet<(u64, u32)>,
    notary: &Notary,
) -> Result<bool, Status> {
    let (mut again, mut sealed) = (0, None);
    while !lanes.is_empty() || sealed.is_none() {
        let answer = if lanes.is_empty() {
            match timeout(SEALS, answers.message()).await {
                Ok(answer) => answer?,
                Err(_) => break,
            }
        } else {
            answers.message().await?
        };
        let answer = answer.ok_or_else(|| Status::unavailable("the stream ended"))?;
        sealed = sealed.or(answer.sealed);
        for position in &answer.acknowledged {
            // Only the first word on a lane may take it back.
            if lanes.remove(&(position.boot, position.lane)) {
                again += journal.restate(position);
            } else {
                journal.acknowledge(position);
            }
        }
    }
    if again > 0 {
        tracing::warn!(
            records = again,
            "the control plane lacks records that it acknowledged once: what is still held is shipped again"
        );
    }
    match sealed {
        Some(stored) if notary.resume(stored) => Ok(true),
        Some(_) => {
            Err(Status::aborted("the control plane lacks seals that it confirmed once: new chains begin"))
        }
        None => Ok(false),
    }
}

async fn receive(
    journal: &Journal,
    mut answers: Streaming<ReportResponse>,
    notary: &Notary,
    acknowledged: &Notify,
) -> Result<(), Status> {
    while let Some(answer) = answers.message().await? {
        answer.sealed.into_iter().for_each(|stored| notary.confirm(stored));
        for position in &answer.acknowledged {
            journal.acknowledge(position);
        }
        acknowledged.notify_one();
    }
    Ok(())
}

async fn send(
    journal: &Arc<Journal>,
    sender: &mpsc::Sender<Report>,
    notary: Option<&Arc<Notary>>,
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
        let (back, report, count) = read(journal, reader, notary).await?;
        reader = back;
        let full = count >= BATCH;
        if count > 0 && sender.send(report).await.is_err() {
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
    notary: Option<&Arc<Notary>>,
) -> Result<(ShipReader, Report, usize), Status> {
    let (journal, notary) = (Arc::clone(journal), notary.map(Arc::clone));
    tokio::task::spawn_blocking(move || {
        let (mut report, mut docket) = (Report::default(), Docket::default());
        let take = |payload: &[u8]| {
            report.push(payload);
            if notary.is_some() {
                docket.note(payload);
            }
        };
        let count = journal
            .read_payloads(&mut reader, BATCH, take)
            .map_err(|error| Status::internal(error.to_string()))?;
        if let Some(notary) = notary {
            let seal = notary.seal(docket).map_err(|error| Status::internal(error.to_string()))?;
            if let Some(seal) = seal {
                report = report.sealed(seal);
            }
        }
        Ok((reader, report, count))
    })
    .await
    .map_err(|_| Status::internal("read the journal"))?
}

fn stalled() -> Status {
    Status::deadline_exceeded("no acknowledgement")
}
