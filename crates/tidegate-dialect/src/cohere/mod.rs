//! Cohere's chat, version 2.

mod answer;
mod call;
mod decode_stream;
mod encode;
mod encode_stream;
mod error;
mod fields;
mod passage;
mod read;
mod usage;
mod watch;

use crate::AnswerFault;
use crate::codec::{Codec, Weight};
use crate::json::Value;

/// Cohere's chat.
pub(crate) const CODEC: Codec = Codec {
    fields: fields::FIELDS,
    nested: fields::NESTED,
    names_model: true,
    read: read::read,
    edit: |body, edits| {
        if let Some(limit) = edits.output_limit {
            body.limit("max_tokens", limit);
        }
    },
    decode_call: call::decode,
    encode_call: encode::encode,
    weigh,
    decode_answer: answer::decode,
    encode_answer: answer::encode,
    passage: |_| Box::new(passage::Passthrough),
    decoder: || Box::new(decode_stream::Decoder::default()),
    encoder: |facts| Box::new(encode_stream::Encoder::new(facts)),
    error: error::document,
    error_event: error::event,
};

fn weigh(root: &Value<'_>) -> Result<Weight, AnswerFault> {
    let message = root.get("message").filter(|message| message.get("role").is_some());
    let message = message.ok_or(AnswerFault::Malformed("no message"))?;
    Ok(Weight {
        usage: root.get("usage").and_then(|counts| usage::read(&counts)),
        visible_bytes: watch::message_bytes(&message),
        places: None,
    })
}
