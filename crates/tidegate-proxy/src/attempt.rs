//! One attempt at one candidate: translate, sign, send, read until it answers or fails.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tidegate_dialect::answer::{self, AnswerFacts};
use tidegate_dialect::count;
use tidegate_dialect::read::CallBody;
use tidegate_dialect::stream::{AnswerStream, End};
use tidegate_dialect::task::{self, Payload};
use tidegate_dialect::{AnswerFault, Dialect};
use tidegate_types::OrganizationId;
use tidegate_upstream::{Endpoint, RequestBody, ResponseBody, SignIn, Unsent};

use crate::cache::Keep;
use crate::failed::Failed;
use crate::gateway::{Gateway, gather};
use crate::relay::Live;
use crate::settle::Attempt;

/// What is sent, and how the answer is to be read.
pub(crate) struct Outbound {
    pub(crate) endpoint: Arc<Endpoint>,
    /// What it is signed in with: no error may repeat it.
    pub(crate) sign_in: Option<Arc<SignIn>>,
    pub(crate) owner: OrganizationId,
    pub(crate) request: http::Request<RequestBody>,
    pub(crate) surface: Dialect,
    pub(crate) target: Dialect,
    pub(crate) stream: bool,
    /// Only the prompt's tokens are counted.
    pub(crate) counting: bool,
    pub(crate) facts: AnswerFacts,
    /// What is asked for, where it is not an answer of a language model, and the provider's slug.
    pub(crate) task: Option<Box<(CallBody, String)>>,
    /// Where the answer is kept, if it is to be.
    pub(crate) keep: Option<Box<Keep>>,
}

/// How an attempt went.
pub(crate) enum Exchanged {
    /// A whole answer, settled.
    Whole(Payload),
    /// A stream whose first event is there.
    Stream(Box<Live>),
    /// No answer, settled.
    Failed(Failed),
}

/// Largest error body that is read.
const MAX_ERROR: usize = 256 * 1024;

/// An exchange that is read to its end even when its caller leaves, where the provider would
/// bill it anyway.
pub(crate) struct Exchange {
    gateway: Arc<Gateway>,
    account: Arc<crate::account::Account>,
    running: Option<Pin<Box<dyn Future<Output = Exchanged> + Send>>>,
    reads_on: bool,
}

impl Exchange {
    pub(crate) fn new(gateway: &Arc<Gateway>, attempt: Box<Attempt>, outbound: Outbound) -> Self {
        let (account, reads_on) = (attempt.account.clone(), attempt.is_read_on());
        let running = exchange(gateway.clone(), attempt, outbound);
        Self { gateway: gateway.clone(), account, running: Some(Box::pin(running)), reads_on }
    }

    /// Gives up, because time is up: nobody reads on.
    pub(crate) fn abandon(&mut self) {
        self.running = None;
    }
}

impl Future for Exchange {
    type Output = Exchanged;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Exchanged> {
        let Some(running) = &mut self.running else { return Poll::Pending };
        let Poll::Ready(exchanged) = running.as_mut().poll(cx) else { return Poll::Pending };
        self.running = None;
        Poll::Ready(exchanged)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(running) = self.running.take()
            && self.reads_on
            && self.account.is_sent()
        {
            self.account.note_left();
            self.gateway.clone().read_on(async move {
                if let Exchanged::Stream(live) = running.await {
                    live.read_to_end().await;
                }
            });
        }
    }
}

#[expect(clippy::manual_async_fn, reason = "arguments of an async function lie in its state twice")]
fn exchange(
    gateway: Arc<Gateway>,
    mut attempt: Box<Attempt>,
    outbound: Outbound,
) -> impl Future<Output = Exchanged> + Send {
    async move {
        let Outbound { surface, target, .. } = outbound;
        let request = outbound.request;
        let response = match send(&gateway, &mut attempt, &outbound.endpoint, outbound.owner, request).await {
            Ok(response) => response,
            Err(failed) => return Exchanged::Failed(failed),
        };
        attempt.note_head(response.status().as_u16(), response.headers(), target);
        if !response.status().is_success() {
            let sign_in = outbound.sign_in.as_deref();
            return Exchanged::Failed(read_error(attempt, response, target, sign_in).await);
        }
        let (facts, keep) = (&outbound.facts, outbound.keep);
        let head = outbound.task.is_some().then(|| TaskHead::of(response.headers()));
        let body = response.into_body();
        let exchanged = if outbound.counting {
            counted(attempt, body, surface, target).await
        } else if let (Some(task), Some(head)) = (&outbound.task, head) {
            task_done(&gateway, attempt, body, head, target, task, (facts, keep)).await
        } else if outbound.stream {
            let stream = AnswerStream::new(surface, target, facts);
            until_first_event(Box::new(Live::new(gateway, attempt, body, stream, keep))).await
        } else {
            whole(&gateway, attempt, body, surface, target, (facts, keep)).await
        };
        exchanged.unwrap_or_else(Exchanged::Failed)
    }
}

/// Sends the request. A kept connection may turn out to be closed: then it is sent again.
async fn send(
    gateway: &Gateway,
    attempt: &mut Attempt,
    endpoint: &Arc<Endpoint>,
    owner: OrganizationId,
    mut request: http::Request<RequestBody>,
) -> Result<Response<ResponseBody>, Failed> {
    for _ in 0..3 {
        let line = gateway.upstreams.line(endpoint, owner).await.map_err(|error| {
            attempt.not_sent();
            Failed::NotSent(error)
        })?;
        let prepared = line.prepare(request);
        if gateway.is_crowded() {
            attempt.stage_intent()?;
            gather().await;
        }
        attempt.intend()?;
        attempt.mark_sent();
        match prepared.send().await {
            Ok(response) => return Ok(response),
            Err(Unsent { request: Some(back), .. }) => {
                attempt.mark_unsent();
                request = *back;
            }
            Err(Unsent { error, request: None }) => {
                attempt.unresolved();
                return Err(Failed::Broken(error));
            }
        }
    }
    attempt.not_sent();
    Err(Failed::NotSent(tidegate_upstream::SendError::Unwritten))
}

/// A complete error answer before any event: nothing is billed.
async fn read_error(
    mut attempt: Box<Attempt>,
    response: Response<ResponseBody>,
    target: Dialect,
    sign_in: Option<&SignIn>,
) -> Failed {
    let (head, body) = response.into_parts();
    match collect(body, MAX_ERROR).await {
        Ok(body) => {
            attempt.refused();
            let repeats = sign_in.is_some_and(|sign_in| sign_in.is_repeated_in(&body));
            Failed::status(&head, if repeats { Bytes::new() } else { body }, target)
        }
        Err(failed) => {
            attempt.unresolved();
            failed
        }
    }
}

/// An answer's body. Where it breaks off, nobody knows what is billed.
async fn whole_body(gateway: &Gateway, attempt: &mut Attempt, body: ResponseBody) -> Result<Bytes, Failed> {
    let bytes = collect(body, gateway.settings.max_answer).await;
    if bytes.is_err() {
        attempt.unresolved();
    }
    bytes
}

async fn whole(
    gateway: &Gateway,
    mut attempt: Box<Attempt>,
    body: ResponseBody,
    surface: Dialect,
    target: Dialect,
    (facts, keep): (&AnswerFacts, Option<Box<Keep>>),
) -> Result<Exchanged, Failed> {
    let bytes = whole_body(gateway, &mut attempt, body).await?;
    match answer::complete(surface, target, &bytes, facts) {
        Ok(complete) => {
            if let Some(keep) = keep.filter(|_| !attempt.account.is_left()) {
                keep.whole(&bytes, "application/json".into(), None, complete.usage);
            }
            attempt.answers();
            attempt.answered(complete.usage, complete.visible_bytes);
            Ok(Exchanged::Whole(Payload::json(complete.bytes)))
        }
        Err(fault) => {
            attempt.unresolved();
            Err(Failed::Fault(fault))
        }
    }
}

/// The count of a prompt's tokens. It costs nothing.
async fn counted(
    mut attempt: Box<Attempt>,
    body: ResponseBody,
    surface: Dialect,
    target: Dialect,
) -> Result<Exchanged, Failed> {
    let counted = match collect(body, MAX_ERROR).await {
        Ok(bytes) => count::complete(surface, target, &bytes).map_err(Failed::Fault),
        Err(failed) => Err(failed),
    };
    attempt.counted();
    let bytes = counted?;
    attempt.answers();
    Ok(Exchanged::Whole(Payload::json(bytes)))
}

/// What the head says of an answer to something else than a call of a language model.
struct TaskHead {
    content_type: String,
    input_tokens: Option<u64>,
}

impl TaskHead {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            content_type: text("content-type").unwrap_or("application/octet-stream").to_owned(),
            input_tokens: text(task::INPUT_TOKENS).and_then(|count| count.parse().ok()),
        }
    }
}

/// The whole answer to something else than a call of a language model.
async fn task_done(
    gateway: &Gateway,
    mut attempt: Box<Attempt>,
    body: ResponseBody,
    head: TaskHead,
    target: Dialect,
    (call, provider): &(CallBody, String),
    (facts, keep): (&AnswerFacts, Option<Box<Keep>>),
) -> Result<Exchanged, Failed> {
    let bytes = whole_body(gateway, &mut attempt, body).await?;
    let received = Payload { bytes, content_type: head.content_type.into() };
    match task::complete(call, target, provider, &received, head.input_tokens, facts) {
        Ok(finished) => {
            if let Some(keep) = keep.filter(|_| !attempt.account.is_left()) {
                keep.whole(&received.bytes, received.content_type.clone(), head.input_tokens, finished.usage);
            }
            attempt.answers();
            attempt.task_completed(finished.usage);
            Ok(Exchanged::Whole(finished.payload))
        }
        Err(fault) => {
            attempt.unresolved();
            Err(Failed::Fault(fault))
        }
    }
}

/// Holds the answer back until it looks like one: until then another candidate may still answer.
async fn until_first_event(mut live: Box<Live>) -> Result<Exchanged, Failed> {
    loop {
        std::future::poll_fn(|cx| live.poll_more(cx)).await;
        let facts = live.stream.facts();
        if facts.started || live.end == Some(End::Complete) {
            live.attempt.answers();
            return Ok(Exchanged::Stream(live));
        }
        match (&facts.fault, live.end) {
            (None, None) => {}
            // An error as the first event is an error answer like any other.
            (Some(AnswerFault::Reported), _) => {
                let reported = facts.reported.clone().unwrap_or_default();
                live.attempt.refused();
                return Err(Failed::Reported(reported));
            }
            (Some(fault), _) => {
                let fault = fault.clone();
                live.attempt.unresolved();
                return Err(Failed::Fault(fault));
            }
            (None, Some(_)) => {
                live.attempt.unresolved();
                return Err(Failed::Broken(tidegate_upstream::SendError::Broken));
            }
        }
    }
}

pub(crate) async fn collect(mut body: ResponseBody, most: usize) -> Result<Bytes, Failed> {
    if body.size_hint().lower() > most as u64 {
        return Err(Failed::Fault(AnswerFault::TooLong));
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Failed::Broken)?.into_data() else { continue };
        if first.len() + rest.len() + data.len() > most {
            return Err(Failed::Fault(AnswerFault::TooLong));
        }
        if first.is_empty() && rest.is_empty() {
            first = data;
            continue;
        }
        if rest.is_empty() {
            rest.extend_from_slice(&std::mem::take(&mut first));
        }
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}
