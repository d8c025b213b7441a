//! OpenAI chat completions.
//!
//! Shapes: the public OpenAI API reference (chat completions, streaming, errors).

mod answer;
mod request;
mod tools;

pub(crate) use answer::{error_body, error_event, models, plain, stream};
pub(crate) use request::read;
