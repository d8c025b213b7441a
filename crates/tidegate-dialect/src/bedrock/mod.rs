//! Bedrock Converse: JSON both ways, streams in AWS's binary frames.

mod answer;
mod arrange;
mod blocks;
mod call;
mod decode_stream;
mod edit;
mod encode;
mod encode_blocks;
mod encode_stream;
pub(crate) mod error;
mod fields;
mod model;
mod passage;
mod read;
mod usage;
mod watch;

use tidegate_types::usage::Usage;

use crate::AnswerFault;
use crate::codec::{Codec, Weight};
use crate::json::Value;

/// Bedrock Converse.
pub(crate) const CODEC: Codec = Codec {
    fields: fields::FIELDS,
    nested: fields::NESTED,
    names_model: false,
    read: read::read,
    edit: edit::edit,
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
    let content = answer::content(root)?;
    let visible_bytes = content.elements().map(|block| watch::block_bytes(&block)).sum();
    let searched = |block: &Value<'_>| block.get("toolUse").is_some_and(|tool| watch::is_search(&tool));
    let searches = content.elements().filter(searched).count() as u64;
    let usage = root.get("usage").and_then(|counts| usage::read(&counts));
    Ok(Weight { usage: usage.map(|usage| Usage { searches, ..usage }), visible_bytes, places: None })
}
