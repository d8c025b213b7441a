//! The one form that every dialect is read into and written from, so that N dialects need N codecs.
//!
//! It holds what chat dialects have in common. What only one of them has stays out: its decoder
//! refuses it by name, or leaves it out for a reason that the registry states.

mod answer;
mod call;
mod event;
mod logprobs;
pub(crate) mod schema;
pub(crate) mod signature;

pub(crate) use answer::{Answer, Stop};
pub(crate) use call::{
    Call, Effort, Image, Json, Names, OutputFormat, Part, ProviderOptions, Reasoning, ReasoningMode, Role,
    Tool, ToolChoice, Turn,
};
pub(crate) use event::{Block, Delta, Event};
pub(crate) use logprobs::Logprobs;
