//! The dialect crate through its public face.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod ai_sdk;
mod bedrock;
mod bedrock_streams;
mod bounds;
mod caching;
mod captures;
mod cohere;
mod edits;
mod errors;
mod eventstream;
mod fingerprint;
mod gemini;
mod groq;
mod json;
mod logprobs;
mod matrix;
mod passthrough;
mod reading;
mod responses;
mod searches;
mod spellings;
mod split;
mod sse;
mod streams;
mod support;
mod tasks;
mod translation;
