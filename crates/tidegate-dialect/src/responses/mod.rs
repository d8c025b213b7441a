//! OpenAI responses.
//!
//! Source: the public API reference and the types of the official SDK, read November 2026.

mod answer;
mod call;
mod decode_stream;
mod encode;
mod encode_items;
mod encode_stream;
mod error;
mod fields;
mod items;
mod output;
mod passage;
mod read;
mod sealed;
mod tools;
mod usage;
mod watch;

use crate::AnswerFault;
use crate::codec::{Codec, Weight};
use crate::json::Value;
use crate::outbound::{Body, Edits, IN_MEMORY};

/// OpenAI responses.
pub(crate) const CODEC: Codec = Codec {
    fields: fields::FIELDS,
    nested: fields::NESTED,
    names_model: true,
    read: read::read,
    edit,
    decode_call: call::decode,
    encode_call: encode::encode,
    weigh,
    decode_answer: answer::decode,
    encode_answer: answer::encode,
    passage: |_| Box::new(passage::Passthrough::default()),
    decoder: || Box::new(decode_stream::Decoder::default()),
    encoder: |facts| Box::new(encode_stream::Encoder::new(facts)),
    error: crate::openai::error::document,
    error_event: error::event,
};

/// Streams always carry usage; only the output limit and storage are edited.
fn edit(body: &mut Body<'_>, edits: &Edits<'_>) {
    if let Some(limit) = edits.output_limit {
        body.limit("max_output_tokens", limit);
    }
    if edits.no_store && body.value("store").is_none_or(|store| store.bool() != Some(false)) {
        body.set("store", "false");
    }
    let kept_long = |value: &Value<'_>| !IN_MEMORY.contains(&value.raw());
    if edits.no_store && body.value("prompt_cache_retention").is_some_and(|value| kept_long(&value)) {
        body.set("prompt_cache_retention", "null");
    }
}

fn weigh(root: &Value<'_>) -> Result<Weight, AnswerFault> {
    let output = root.get("output").ok_or(AnswerFault::Malformed("no output"))?;
    let visible_bytes = output.elements().map(|item| watch::item_bytes(&item)).sum();
    Ok(Weight { usage: usage::read(root), visible_bytes, places: None })
}
