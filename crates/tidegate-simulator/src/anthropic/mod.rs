//! Anthropic messages.
//!
//! Shapes: the public Anthropic API reference (messages, streaming, errors).

mod answer;
mod messages;
mod request;
mod tools;

pub(crate) use answer::{error_body, error_event, plain, stream};
pub(crate) use request::read;
