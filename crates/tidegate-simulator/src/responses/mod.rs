//! OpenAI responses.
//!
//! Shapes: the public OpenAI API reference (responses, streaming events, errors). Nothing is stored:
//! what refers to an earlier response is not found.

mod answer;
mod items;
mod request;
mod tools;

pub(crate) use answer::{error_event, plain, stream};
pub(crate) use request::read;
