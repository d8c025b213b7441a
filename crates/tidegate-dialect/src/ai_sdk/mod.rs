//! The AI SDK's gateway protocol, language model: a surface for clients of SDK 5, 6 and 7
//! (specifications v2, v3, v4), never a provider. Source: the packages `@ai-sdk/provider` and
//! `@ai-sdk/gateway`, read November 2026, and requests that they sent.

mod answer;
mod call;
mod encode_stream;
mod error;
mod fields;
mod files;
mod metadata;
mod options;
mod parts;
pub(crate) mod place;
mod prompt;
mod read;
mod results;
mod surface;
mod usage;

use crate::codec::Codec;

/// Newest version of the specification that is spoken.
pub(crate) const NEWEST: u8 = 4;

/// The AI SDK's language model.
pub(crate) const CODEC: Codec = Codec {
    fields: fields::FIELDS,
    nested: fields::NESTED,
    names_model: false,
    read: read::read,
    edit: |_, _| {},
    decode_call: call::decode,
    encode_call: surface::encode_call,
    weigh: surface::weigh,
    decode_answer: surface::decode_answer,
    encode_answer: answer::encode,
    passage: |_| Box::new(surface::NoProvider),
    decoder: || Box::new(surface::NoProvider),
    encoder: |facts| Box::new(encode_stream::Encoder::new(facts)),
    error: error::document,
    error_event: error::event,
};
