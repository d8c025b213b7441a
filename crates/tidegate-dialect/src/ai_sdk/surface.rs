//! What a provider's side would be: no provider speaks this protocol, so everything is refused.

use crate::canonical::{Answer, Call, Event};
use crate::codec::{Passage, StreamDecoder, Weight};
use crate::json::Value;
use crate::outbound::Edits;
use crate::sse::Ready;
use crate::stream::{Facts, Out};
use crate::{AnswerFault, RequestError};

const WHY: &str = "the AI SDK's protocol is spoken by clients, not by providers";

/// In place of a provider's stream.
pub(super) struct NoProvider;

impl Passage for NoProvider {
    fn take(&mut self, _: &Ready, facts: &mut Facts, _: &mut Out<'_>) {
        facts.fault = Some(AnswerFault::Untranslatable(WHY));
    }
}

impl StreamDecoder for NoProvider {
    fn decode(&mut self, _: &[u8], _: &[u8], _: &mut Vec<Event>) -> Result<(), AnswerFault> {
        Err(AnswerFault::Untranslatable(WHY))
    }

    fn counts_first(&self) -> bool {
        false
    }
}

pub(super) fn encode_call(_: &Call, _: &Edits<'_>) -> Result<Vec<u8>, RequestError> {
    Err(RequestError::Untranslatable { field: "body".to_owned(), why: WHY })
}

pub(super) fn weigh(_: &Value<'_>) -> Result<Weight, AnswerFault> {
    Err(AnswerFault::Untranslatable(WHY))
}

pub(super) fn decode_answer(_: &Value<'_>) -> Result<Answer, AnswerFault> {
    Err(AnswerFault::Untranslatable(WHY))
}
