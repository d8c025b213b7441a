//! Anthropic messages.

pub(crate) mod answer;
mod arrange;
mod blocks;
pub(crate) mod call;
pub(crate) mod decode_stream;
pub(crate) mod encode;
pub(crate) mod encode_stream;
pub(crate) mod watch;
