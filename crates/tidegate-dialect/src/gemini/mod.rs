//! Gemini's `generateContent` and `streamGenerateContent?alt=sse`, as AI Studio and Vertex AI speak it.

mod answer;
mod call;
mod contents;
mod decode_stream;
mod edit;
mod encode;
mod encode_stream;
mod error;
mod logprobs;
mod media;
mod names;
mod parts;
mod passage;
mod read;
mod schema;
mod tools;
mod turns;
mod usage;
mod watch;
mod wire;

use crate::AnswerFault;
use crate::codec::{Codec, Weight};
use crate::json::Value;

/// Gemini.
pub(crate) const CODEC: Codec = Codec {
    fields: crate::registry::gemini::FIELDS,
    nested: crate::registry::gemini::NESTED,
    names_model: false,
    read: read::read,
    edit: edit::edit,
    decode_call: call::decode,
    encode_call: encode::encode,
    weigh,
    decode_answer: answer::decode,
    encode_answer: answer::encode,
    passage: |_| Box::new(passage::Passthrough::default()),
    decoder: || Box::new(decode_stream::Decoder::new()),
    encoder: |facts| Box::new(encode_stream::Encoder::new(facts)),
    error: error::document,
    error_event: error::event,
};

/// Usage of a whole answer.
pub(crate) fn usage_of(root: &Value<'_>) -> Option<tidegate_types::usage::Usage> {
    watch::glance(root).usage
}

fn weigh(root: &Value<'_>) -> Result<Weight, AnswerFault> {
    let seen = watch::glance(root);
    if !seen.answer {
        return Err(AnswerFault::Malformed("no candidates"));
    }
    Ok(Weight { usage: seen.usage, visible_bytes: seen.visible_bytes, places: None })
}
