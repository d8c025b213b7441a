//! The one table of dialects: which functions read and write which. A new dialect is a folder and an entry.

use tidegate_types::usage::Usage;

use crate::answer::AnswerFacts;
use crate::canonical::{Answer, Call, Event, Stop};
use crate::json::{Span, Value};
use crate::outbound::{Body, Edits};
use crate::read::{CallBody, Fields};
use crate::refusal::Failure;
use crate::registry::Field;
use crate::sse::Ready;
use crate::stream::{Facts, Out};
use crate::{AnswerFault, Content, Dialect, RequestError};

/// Everything that is known of one dialect.
pub(crate) struct Codec {
    /// Registered top-level fields of requests, sorted by name.
    pub(crate) fields: &'static [Field],
    /// Registered nested fields that are not carried.
    pub(crate) nested: &'static [Field],
    /// The body names the model; otherwise it comes from the path or a header.
    pub(crate) names_model: bool,
    /// Reads facts and places of a body whose top level has been looked at.
    pub(crate) read: fn(&Fields<'_>, &mut CallBody) -> Result<(), RequestError>,
    /// Edits of a body that goes to a provider of the same dialect, beyond the model and the gateway's fields.
    pub(crate) edit: fn(&mut Body<'_>, &Edits<'_>),
    /// A client's request into the one form.
    pub(crate) decode_call: fn(&CallBody) -> Result<Call, RequestError>,
    /// The one form into a provider's request.
    pub(crate) encode_call: fn(&Call, &Edits<'_>) -> Result<Vec<u8>, RequestError>,
    /// Usage and size of a whole answer, without decoding it.
    pub(crate) weigh: fn(&Value<'_>) -> Result<Weight, AnswerFault>,
    /// A provider's whole answer into the one form.
    pub(crate) decode_answer: fn(&Value<'_>) -> Result<Answer, AnswerFault>,
    /// The one form into a client's whole answer.
    pub(crate) encode_answer: fn(&Answer, &AnswerFacts) -> Vec<u8>,
    /// A stream that stays in this dialect.
    pub(crate) passage: fn(&AnswerFacts) -> Box<dyn Passage>,
    /// A provider's stream into canonical events.
    pub(crate) decoder: fn() -> Box<dyn StreamDecoder>,
    /// Canonical events into a client's stream.
    pub(crate) encoder: fn(&AnswerFacts) -> Box<dyn StreamEncoder>,
    /// The body of an error answer with this status.
    pub(crate) error: fn(&Failure<'_>, u16) -> Vec<u8>,
    /// The piece that ends a stream with an error.
    pub(crate) error_event: fn(&Failure<'_>, u16) -> Vec<u8>,
}

/// What a whole answer weighs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weight {
    /// The provider's usage, when it gave a sensible one.
    pub(crate) usage: Option<Usage>,
    /// UTF-8 bytes of visible output: an upper bound of its tokens.
    pub(crate) visible_bytes: u64,
    /// Where the gateway's note goes, of dialects whose weighing comes by it.
    pub(crate) places: Option<Places>,
}

/// Values of a whole answer that the gateway adds to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    /// The usage.
    pub(crate) counts: Option<Span>,
    /// The first choice's message, unless it has `provider_metadata`.
    pub(crate) said: Option<Span>,
}

/// A stream in the same dialect in and out: slices of the input, watched.
pub(crate) trait Passage: Send {
    /// Takes whole events.
    fn take(&mut self, ready: &Ready, facts: &mut Facts, out: &mut Out<'_>);

    /// Whether the finish waits for usage.
    fn holding(&self) -> bool {
        false
    }

    /// What is held goes out as it is.
    fn release(&mut self, _out: &mut Out<'_>) {}
}

/// A provider's stream into canonical events.
pub(crate) trait StreamDecoder: Send {
    /// Decodes one event: its name, empty where the framing gave none, and its data.
    fn decode(&mut self, name: &[u8], data: &[u8], out: &mut Vec<Event>) -> Result<(), AnswerFault>;

    /// Whether the counts come before the finish, or in the same event: then the finish does not wait
    /// for them, and what came earlier was a first guess.
    fn counts_first(&self) -> bool;
}

/// Canonical events into a client's stream.
pub(crate) trait StreamEncoder: Send {
    /// Encodes an event other than the finish.
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>);

    /// The finish, with usage as the client wants it.
    fn finish(&mut self, stop: Stop, sequence: Option<&Content>, usage: Option<&Usage>, out: &mut Vec<u8>);

    /// Ends the stream with an error in its own way, with the usage so far. `false`: it has none, and the
    /// dialect's `error_event` ends it.
    fn fail(
        &mut self,
        _failure: &Failure<'_>,
        _status: u16,
        _usage: Option<&Usage>,
        _out: &mut Vec<u8>,
    ) -> bool {
        false
    }
}

/// The codec of a dialect.
pub(crate) const fn of(dialect: Dialect) -> &'static Codec {
    match dialect {
        Dialect::OpenaiChat => &crate::openai::CODEC,
        Dialect::AnthropicMessages => &crate::anthropic::CODEC,
        Dialect::OpenaiResponses => &crate::responses::CODEC,
        Dialect::Gemini => &crate::gemini::CODEC,
        Dialect::BedrockConverse => &crate::bedrock::CODEC,
        Dialect::CohereChat => &crate::cohere::CODEC,
        Dialect::AiSdk => &crate::ai_sdk::CODEC,
    }
}
