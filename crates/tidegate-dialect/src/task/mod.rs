//! Operations beyond language models: embeddings, rerankings, images, speech, transcripts, videos. Each has one
//! small form of request and answer, and a codec for each family on each side that it has.
//!
//! The same way as for language models: [`read`] → [`request`] → [`complete`]. The same family in and
//! out, where the provider has no ways of its own: the client's bytes with a few edits.

pub(crate) mod ai_sdk;
mod blob;
mod form;
mod kinds;
mod options;
mod sides;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_types::resource::Operation;
use tidegate_types::usage::Usage;

use crate::answer::AnswerFacts;
use crate::embedding::Embedding;
use crate::image::{Edit, Image};
use crate::json::{Span, Value, write_text};
use crate::outbound::{Body, Edits};
use crate::read::{CallBody, Fields, GatewayOptions, Outside, Path, Spot, Way, model, named, registered};
use crate::registry::{Carriage, Effect, Field, find_in};
use crate::reranking::Reranking;
use crate::speech::Speech;
use crate::transcription::Transcription;
use crate::video::Video;
use crate::{AnswerFault, Dialect, RequestError};

pub(crate) use blob::Blob;
pub(crate) use form::Form;
pub(crate) use kinds::{Kind, Task};
pub(crate) use options::Wishes;
pub(crate) use sides::{Client, Incoming, Provider, Received, Source};

/// A body and what it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    /// The body.
    pub bytes: Bytes,
    /// Value of `content-type`.
    pub content_type: Cow<'static, str>,
}

impl Payload {
    /// JSON.
    #[must_use]
    pub fn json(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), content_type: Cow::Borrowed("application/json") }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{} bytes]", self.content_type, self.bytes.len())
    }
}

/// A whole answer for the client.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The body.
    pub payload: Payload,
    /// What was used: as the provider reported it, and what can be counted with certainty.
    pub usage: Option<Usage>,
}

/// The header in which Bedrock tells the tokens of an input, whatever the body says.
pub const INPUT_TOKENS: &str = "x-amzn-bedrock-input-token-count";

/// Reads a client's request for such an operation.
///
/// # Errors
/// [`RequestError`] with the place of what is wrong; the answer is a 400.
pub fn read(
    operation: Operation,
    surface: Dialect,
    outside: Outside<'_>,
    content_type: &str,
    body: Bytes,
) -> Result<CallBody, RequestError> {
    let incoming = Incoming { surface, outside, content_type, body };
    match operation {
        Operation::Embedding => read_as::<Embedding>(&incoming),
        Operation::Reranking => read_as::<Reranking>(&incoming),
        Operation::Image if outside.way == Way::Edit => read_as::<Edit>(&incoming),
        Operation::Image => read_as::<Image>(&incoming),
        Operation::Speech => read_as::<Speech>(&incoming),
        Operation::Transcription => read_as::<Transcription>(&incoming),
        Operation::Video => read_as::<Video>(&incoming),
        Operation::Language | Operation::CountTokens => Err(no_such_operation()),
    }
}

/// The request for a provider of this family.
///
/// # Errors
/// [`RequestError::Untranslatable`] naming what the provider's family cannot carry.
pub fn request(call: &CallBody, target: Dialect, edits: &Edits<'_>) -> Result<Payload, RequestError> {
    match call.task.as_deref() {
        Some(Task::Embedding(task)) => request_as::<Embedding>(call, task, target, edits),
        Some(Task::Reranking(task)) => request_as::<Reranking>(call, task, target, edits),
        Some(Task::Image(task)) => request_as::<Image>(call, task, target, edits),
        Some(Task::Edit(task)) => request_as::<Edit>(call, task, target, edits),
        Some(Task::Speech(task)) => request_as::<Speech>(call, task, target, edits),
        Some(Task::Transcription(task)) => request_as::<Transcription>(call, task, target, edits),
        Some(Task::Video(task)) => request_as::<Video>(call, task, target, edits),
        None => Err(no_such_operation()),
    }
}

/// Reads the whole answer of the provider of this slug and gives it in the client's words.
/// `input_tokens`: as a header tells them ([`INPUT_TOKENS`]).
///
/// # Errors
/// [`AnswerFault`] when it is no answer, or has a part that the client's family cannot carry.
pub fn complete(
    call: &CallBody,
    target: Dialect,
    provider: &str,
    received: &Payload,
    input_tokens: Option<u64>,
    facts: &AnswerFacts,
) -> Result<Finished, AnswerFault> {
    let from = From { target, provider, input_tokens };
    match call.task.as_deref() {
        Some(Task::Embedding(task)) => complete_as::<Embedding>(call, task, from, received, facts),
        Some(Task::Reranking(task)) => complete_as::<Reranking>(call, task, from, received, facts),
        Some(Task::Image(task)) => complete_as::<Image>(call, task, from, received, facts),
        Some(Task::Edit(task)) => complete_as::<Edit>(call, task, from, received, facts),
        Some(Task::Speech(task)) => complete_as::<Speech>(call, task, from, received, facts),
        Some(Task::Transcription(task)) => complete_as::<Transcription>(call, task, from, received, facts),
        Some(Task::Video(task)) => complete_as::<Video>(call, task, from, received, facts),
        None => Err(AnswerFault::Untranslatable("no such operation")),
    }
}

fn no_such_operation() -> RequestError {
    RequestError::Wrong { path: "path".to_owned(), expected: "an operation that this surface has" }
}

fn read_as<K: Kind>(incoming: &Incoming<'_>) -> Result<CallBody, RequestError> {
    let client = K::client(incoming.surface).ok_or_else(no_such_operation)?;
    let mut call = match client.source {
        Source::Json { fields, decode } => read_json::<K>(incoming, fields, decode)?,
        Source::Form { decode } => {
            let root = Span::at(0);
            let mut call =
                CallBody::new(incoming.surface, incoming.outside.spec, incoming.body.clone(), root);
            let task = decode(incoming, &mut call)?;
            call.task = Some(Arc::new(K::wrap(task)));
            call
        }
    };
    call.stream = false;
    call.way = incoming.outside.way;
    Ok(call)
}

fn read_json<K: Kind>(
    incoming: &Incoming<'_>,
    known: &'static [Field],
    decode: sides::Decode<K::Call>,
) -> Result<CallBody, RequestError> {
    let Incoming { surface, outside, ref body, .. } = *incoming;
    let root = Value::parse(body)?;
    let mut fields = Fields::read(&root, Path::Root)?;
    let mut call = CallBody::new(surface, outside.spec, body.clone(), root.span());
    call.gateway = GatewayOptions::read(&fields, &mut call.labels, surface == Dialect::AiSdk)?;
    call.model = match outside.model {
        Some(name) => named(name)?,
        None => model(&fields)?,
    };
    for member in fields.iter() {
        let field = registered(known, member, &mut call.findings)?;
        call.spots.members.push(Spot { field, start: member.start, value: member.value.span() });
    }
    let task = decode(&mut fields, &mut call)?;
    call.task = Some(Arc::new(K::wrap(task)));
    call.forget_credentials();
    Ok(call)
}

fn request_as<K: Kind>(
    call: &CallBody,
    task: &K::Call,
    target: Dialect,
    edits: &Edits<'_>,
) -> Result<Payload, RequestError> {
    let provider = K::provider(target).ok_or_else(unspoken)?;
    let client = K::client(call.surface).ok_or_else(no_such_operation)?;
    if passes(call, target, edits.provider) {
        return (provider.pass)(call, task, edits);
    }
    if let Source::Json { fields, .. } = client.source {
        nothing_is_lost(call, fields)?;
    }
    (provider.encode)(task, edits)
}

/// Whether the client's bytes go on, and the provider's come back.
fn passes(call: &CallBody, target: Dialect, provider: &str) -> bool {
    call.surface == target && !sides::has_own_ways(provider)
}

/// Who answers.
#[derive(Clone, Copy)]
struct From<'a> {
    target: Dialect,
    provider: &'a str,
    /// By its headers.
    input_tokens: Option<u64>,
}

fn unspoken() -> RequestError {
    let why = "providers of this family have no such operation";
    RequestError::Untranslatable { field: "body".to_owned(), why }
}

/// Refuses, before a translation, what the registry does not carry.
fn nothing_is_lost(call: &CallBody, known: &'static [Field]) -> Result<(), RequestError> {
    let root = Value::validated(&call.bytes, call.spots.root);
    for member in root.members().filter(|member| !member.value.is_null()) {
        let field = || Path::Root.key(&member.key).to_string();
        match find_in(known, &member.key) {
            None => {
                let why = "the gateway does not know how to carry it over";
                return Err(RequestError::Untranslatable { field: field(), why });
            }
            Some(known) if known.effect == Effect::Gateway => {}
            Some(known) if known.harmless.contains(&member.value.raw()) => {}
            Some(Field { carriage: Carriage::Refused(why), .. }) => {
                return Err(RequestError::Untranslatable { field: field(), why });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn complete_as<K: Kind>(
    call: &CallBody,
    task: &K::Call,
    from: From<'_>,
    received: &Payload,
    facts: &AnswerFacts,
) -> Result<Finished, AnswerFault> {
    let provider = K::provider(from.target).ok_or(AnswerFault::Untranslatable("no such operation"))?;
    let client = K::client(call.surface).ok_or(AnswerFault::Untranslatable("no such operation"))?;
    let heard = Received { payload: received, call: task, input_tokens: from.input_tokens };
    if passes(call, from.target, from.provider) {
        let usage = (provider.weigh)(&heard)?;
        let payload = match client.finish {
            Some(finish) => finish(task, received)?,
            None => received.clone(),
        };
        return Ok(noted(call, payload, usage, facts));
    }
    let answer = (provider.decode)(&heard)?;
    let usage = K::usage(&answer);
    let payload = (client.encode)(&answer, task, facts)?;
    Ok(noted(call, payload, usage, facts))
}

/// With the gateway's note, where the body is JSON and has a place for it.
fn noted(call: &CallBody, payload: Payload, usage: Option<Usage>, facts: &AnswerFacts) -> Finished {
    let payload = match (&facts.note, &usage) {
        (Some(note), Some(usage)) if payload.content_type.starts_with("application/json") => Payload {
            bytes: crate::note::on_answer(call.surface, payload.bytes, note, usage),
            content_type: payload.content_type,
        },
        _ => payload,
    };
    Finished { payload, usage }
}

/// The client's JSON with the provider's name of the model, without what was meant for the gateway.
pub(crate) fn pass_json<'c>(call: &'c CallBody, edits: &Edits<'_>) -> Body<'c> {
    let mut body = Body::new(call);
    if call.model != edits.model {
        let mut name = Vec::new();
        write_text(&mut name, edits.model);
        body.set("model", name);
    }
    body.take_out();
    body
}
