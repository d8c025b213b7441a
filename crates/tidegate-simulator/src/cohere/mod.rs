//! Cohere's chat, version 2.
//!
//! Shapes: the public API reference and Cohere's own Python package.

mod answer;
mod messages;
mod request;

pub(crate) use answer::{error_body, error_event, plain, stream};
pub(crate) use request::read;
