//! A dialect whose codec is not there yet: everything is refused. Goes away with the last of them.

use crate::canonical::{Event, Stop};
use crate::codec::{Codec, Passage, StreamDecoder, StreamEncoder};
use crate::sse::Ready;
use crate::stream::{Facts, Out};
use crate::{AnswerFault, Content, RequestError};
use tidegate_types::usage::Usage;

const WHY: &str = "the gateway does not speak this dialect";

struct Nothing;

impl Passage for Nothing {
    fn take(&mut self, _: &Ready, facts: &mut Facts, _: &mut Out<'_>) {
        facts.fault = Some(AnswerFault::Untranslatable(WHY));
    }
}

impl StreamDecoder for Nothing {
    fn decode(&mut self, _: &[u8], _: &[u8], _: &mut Vec<Event>) -> Result<(), AnswerFault> {
        Err(AnswerFault::Untranslatable(WHY))
    }

    fn counts_first(&self) -> bool {
        false
    }
}

impl StreamEncoder for Nothing {
    fn encode(&mut self, _: &Event, _: &mut Vec<u8>) {}

    fn finish(&mut self, _: Stop, _: Option<&Content>, _: Option<&Usage>, _: &mut Vec<u8>) {}
}

fn refused() -> RequestError {
    RequestError::Untranslatable { field: "body".to_owned(), why: WHY }
}

pub(crate) const CODEC: Codec = Codec {
    fields: &[],
    nested: &[],
    names_model: true,
    read: |_, _| Err(refused()),
    edit: |_, _| {},
    decode_call: |_| Err(refused()),
    encode_call: |_, _| Err(refused()),
    weigh: |_| Err(AnswerFault::Untranslatable(WHY)),
    decode_answer: |_| Err(AnswerFault::Untranslatable(WHY)),
    encode_answer: |_, _| Vec::new(),
    passage: |_| Box::new(Nothing),
    decoder: || Box::new(Nothing),
    encoder: |_| Box::new(Nothing),
    error: crate::openai::error::document,
    error_event: crate::openai::error::event,
};
