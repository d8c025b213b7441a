//! Wire formats: what clients and providers say, read and written without I/O.
//!
//! The request's way through this crate: [`read::call`] (facts and spans of the body) →
//! [`outbound::request`] (edited bytes for the same dialect, else through [`canonical`]) →
//! [`stream::AnswerStream`] or [`answer::complete`] (the same two ways back) → [`refusal`] (errors).
//! One codec per dialect, both ways, so that N dialects need N codecs. Nothing here knows
//! prices, policies, HTTP connections or the time.

mod ai_sdk;
pub mod answer;
mod anthropic;
mod asked;
mod bedrock;
mod canonical;
mod codec;
mod cohere;
pub mod content;
pub mod count;
mod decode;
mod embedding;
pub mod error;
pub mod eventstream;
pub mod fingerprint;
mod gemini;
mod image;
pub mod json;
mod note;
mod openai;
pub mod outbound;
pub mod read;
pub mod refusal;
pub mod registry;
mod reranking;
mod responses;
mod speech;
pub mod sse;
pub mod stream;
pub mod task;
mod transcription;
mod usage;
pub mod video;

pub use asked::Asked;
pub use content::Content;
pub use error::{AnswerFault, RequestError};
pub use tidegate_types::resource::DialectName as Dialect;
