//! Anthropic messages.

pub(crate) mod answer;
pub(crate) mod arrange;
mod blocks;
pub(crate) mod call;
mod decode_stream;
mod documents;
mod encode;
mod encode_stream;
mod error;
mod passage;
mod read;
pub(crate) mod watch;

use crate::AnswerFault;
use crate::codec::{Codec, Weight};
use crate::json::Value;
use crate::usage::read_anthropic;

/// Anthropic messages.
pub(crate) const CODEC: Codec = Codec {
    fields: crate::registry::anthropic::FIELDS,
    nested: crate::registry::nested::ANTHROPIC,
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
    passage: |_| Box::new(passage::Passthrough::default()),
    decoder: || Box::new(decode_stream::Decoder::default()),
    encoder: |facts| Box::new(encode_stream::Encoder::new(facts)),
    error: error::document,
    error_event: error::event,
};

fn weigh(root: &Value<'_>) -> Result<Weight, AnswerFault> {
    let content = root.get("content").ok_or(AnswerFault::Malformed("no content"))?;
    let visible_bytes = content.elements().map(|block| watch::block_bytes(&block)).sum();
    Ok(Weight {
        usage: root.get("usage").and_then(|usage| read_anthropic(&usage)),
        visible_bytes,
        places: None,
    })
}
