//! The answer to a request that waits for its videos: one event when they are there, and signs of life
//! until then, so that nothing between gives up.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tidegate_dialect::task::Payload;
use tidegate_dialect::video::job::State;
use tidegate_policy::View;
use tidegate_types::usage::{CallOutcome, RefusalCause};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Beginning, ask};
use crate::account::Account;
use crate::failed::stopping;
use crate::gateway::Gateway;
use crate::refusal::{Refusal, Refused, failure};
use crate::ticket::Ticket;

/// Pauses between questions: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Questions without an answer, one after the other, until nobody asks any more.
const MOST_FAILURES: usize = 5;

/// What the AI SDK calls a failed dependency, and does not try again.
const FAILED_DEPENDENCY: u16 = 424;

/// Follows a job that has begun. Ends with the job, with its reader, or with the node.
pub(crate) fn watch(
    gateway: &Arc<Gateway>,
    account: &Arc<Account>,
    view: Box<View>,
    beginning: Payload,
) -> mpsc::Receiver<Bytes> {
    let (pieces, receiver) = mpsc::channel(4);
    account.note_outcome(0, CallOutcome::Disconnected);
    let (gateway, account) = (gateway.clone(), account.clone());
    gateway.clone().tasks.spawn(async move {
        let beginning: Option<Beginning> = serde_json::from_slice(&beginning.bytes).ok();
        let found = match &beginning {
            Some(beginning) => tokio::select! {
                found = follow(&gateway, &view, &beginning.operation, &pieces) => found,
                () = gateway.cut.cancelled() => Err(stopping()),
                () = pieces.closed() => return,
            },
            None => Err(Refusal::new(RefusalCause::UpstreamFailed, "the job has no name").status(502)),
        };
        let event = match found.and_then(|state| done(state, beginning.as_ref())) {
            Ok(event) => {
                account.note_outcome(200, CallOutcome::Answered);
                event
            }
            Err(refusal) => {
                account.note_refusal(&refusal);
                told(&refusal, &account)
            }
        };
        let _ = pieces.send(event).await;
    });
    receiver
}

/// Asks until the job is done.
async fn follow(
    gateway: &Arc<Gateway>,
    view: &View,
    operation: &str,
    pieces: &mpsc::Sender<Bytes>,
) -> Result<State, Refused> {
    let ticket = Ticket::open(view, operation)?;
    let deadline = Instant::now() + gateway.settings.max_stream;
    let (mut pause, mut failures) = (FIRST_PAUSE, 0);
    while Instant::now() < deadline {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        match ask::ask(gateway, view, &ticket).await {
            Ok(State::Pending) => failures = 0,
            Ok(state) => return Ok(state),
            Err(refusal) if failures >= MOST_FAILURES || refusal.http_status() < 429 => return Err(refusal),
            Err(_) => failures += 1,
        }
        // Full: the reader does not read, and needs no more signs.
        let _ = pieces.try_send(Bytes::from_static(b": making the video\n\n"));
    }
    Err(Refusal::new(RefusalCause::Timeout, "the video was not made in time"))
}

/// The event of a job that is done.
fn done(state: State, beginning: Option<&Beginning>) -> Result<Bytes, Refused> {
    let clips = match state {
        State::Done(clips) => clips,
        State::Failed(said) => {
            let message = said.into_string();
            return Err(Refusal::new(RefusalCause::UpstreamFailed, message).status(502).code("video_failed"));
        }
        State::Pending => return Err(Refusal::new(RefusalCause::UpstreamFailed, "no outcome").status(502)),
    };
    let videos = ask::videos(&clips)?;
    let mut event = [r#"data: {"type":"result","videos":"#, videos.get()].concat();
    let warnings = beginning.and_then(|beginning| beginning.warnings.as_deref());
    let metadata = beginning.and_then(|beginning| beginning.provider_metadata.as_deref());
    for (key, value) in [("warnings", warnings), ("providerMetadata", metadata)] {
        if let Some(value) = value.map(RawValue::get) {
            event.extend([",\"", key, "\":", value]);
        }
    }
    event.push_str("}\n\n");
    Ok(Bytes::from(event))
}

/// The event of a job that made nothing, in the words of the caller's error bodies.
fn told(refusal: &Refusal, account: &Account) -> Bytes {
    let id = account.arrival.call_id.to_string();
    let body = tidegate_dialect::refusal::body(account.dialect(), &failure(refusal, &id));
    let written: Value = serde_json::from_slice(&body.bytes).unwrap_or_default();
    let error = &written["error"];
    // The job was begun and is charged: a status that SDKs try again would begin, and charge, another one.
    let again = |status| status >= 500 || matches!(status, 408 | 409 | 429);
    let status = if again(body.status) { FAILED_DEPENDENCY } else { body.status };
    let event = json!({"type": "error", "message": error["message"], "errorType": error["type"],
        "statusCode": status, "param": error["param"]});
    Bytes::from(format!("data: {event}\n\n"))
}
