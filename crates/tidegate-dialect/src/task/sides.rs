//! The two sides of an operation: how clients ask for it and hear of it, how providers do.

use bytes::Bytes;
use tidegate_types::usage::Usage;

use super::Payload;
use crate::answer::AnswerFacts;
use crate::outbound::Edits;
use crate::read::{CallBody, Fields, Outside};
use crate::registry::Field;
use crate::{AnswerFault, Dialect, RequestError};

/// A client's request as it came.
pub(crate) struct Incoming<'a> {
    pub(crate) surface: Dialect,
    pub(crate) outside: Outside<'a>,
    pub(crate) content_type: &'a str,
    pub(crate) body: Bytes,
}

/// Takes the members that it knows out of the body, and notes sizes and labels.
pub(crate) type Decode<C> = fn(&mut Fields<'_>, &mut CallBody) -> Result<C, RequestError>;

/// Makes what the client asked for of what the provider was asked for in its place.
pub(crate) type Finish<C> = fn(&C, &Payload) -> Result<Payload, AnswerFault>;

/// How a request is written.
pub(crate) enum Source<C> {
    /// A JSON object with these fields.
    Json {
        /// Registered fields, sorted by name.
        fields: &'static [Field],
        /// Its reader.
        decode: Decode<C>,
    },
    /// A form with a file.
    Form {
        /// Its reader, which also finds the model.
        decode: fn(&Incoming<'_>, &mut CallBody) -> Result<C, RequestError>,
    },
}

/// How clients of a family ask, and how they are answered.
pub(crate) struct Client<C, A> {
    pub(crate) source: Source<C>,
    /// The one form into an answer.
    pub(crate) encode: fn(&A, &C, &AnswerFacts) -> Result<Payload, AnswerFault>,
    /// What has to be done to an answer of the same family; as a rule nothing.
    pub(crate) finish: Option<Finish<C>>,
}

/// An answer, and what was asked.
pub(crate) struct Received<'a, C> {
    pub(crate) payload: &'a Payload,
    pub(crate) call: &'a C,
    /// Tokens of the input, where a header tells them.
    pub(crate) input_tokens: Option<u64>,
}

/// How providers of a family are asked, and how they answer.
pub(crate) struct Provider<C, A> {
    /// The one form into a request.
    pub(crate) encode: fn(&C, &Edits<'_>) -> Result<Payload, RequestError>,
    /// A request of the same family, edited.
    pub(crate) pass: fn(&CallBody, &C, &Edits<'_>) -> Result<Payload, RequestError>,
    /// What an answer used, without decoding it.
    pub(crate) weigh: fn(&Received<'_, C>) -> Result<Option<Usage>, AnswerFault>,
    /// An answer into the one form.
    pub(crate) decode: fn(&Received<'_, C>) -> Result<A, AnswerFault>,
}

/// Providers that are asked almost as OpenAI is: their requests are always written anew.
/// Sources: their API references, read November 2026.
pub(crate) fn has_own_ways(provider: &str) -> bool {
    matches!(provider, "voyage" | "jina")
}
