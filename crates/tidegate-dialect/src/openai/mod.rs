//! OpenAI chat completions.

pub(crate) mod answer;
pub(crate) mod call;
mod decode_stream;
mod edit;
mod encode;
mod encode_stream;
pub(crate) mod error;
mod media;
pub(crate) mod messages;
mod passage;
pub(crate) mod read;
mod reasoning;
pub(crate) mod watch;

use crate::AnswerFault;
use crate::codec::{Codec, Places, Weight};
use crate::json::Value;

/// OpenAI chat completions.
pub(crate) const CODEC: Codec = Codec {
    fields: crate::registry::openai::FIELDS,
    nested: crate::registry::nested::OPENAI,
    names_model: true,
    read: read::read,
    edit: edit::edit,
    decode_call: call::decode,
    encode_call: encode::encode,
    weigh,
    decode_answer: answer::decode,
    encode_answer: answer::encode,
    passage: |facts| Box::new(passage::Passthrough::new(facts.asked_usage)),
    decoder: || Box::new(decode_stream::Decoder::new()),
    encoder: |facts| Box::new(encode_stream::Encoder::new(facts)),
    error: error::document,
    error_event: error::event,
};

fn weigh(root: &Value<'_>) -> Result<Weight, AnswerFault> {
    let seen = watch::glance(root);
    if !seen.choices {
        return Err(AnswerFault::Malformed("no choices"));
    }
    let span = |value: Value<'_>| value.span();
    let places =
        Places { counts: seen.usage_member.map(span), said: seen.said.filter(|_| !seen.noted).map(span) };
    Ok(Weight { usage: seen.usage, visible_bytes: seen.visible_bytes, places: Some(places) })
}
