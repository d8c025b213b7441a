//! Anthropic messages.
//!
//! Shapes: the public Anthropic API reference (messages, streaming, errors).

mod answer;
mod messages;
mod request;
mod tools;

pub(crate) use answer::{counted, error_body, error_event, plain, stream};
pub(crate) use request::{read, read_to_count};

/// Whether only tokens are to be counted.
pub(crate) fn counts(path: &str) -> bool {
    path.ends_with("/count_tokens")
}
