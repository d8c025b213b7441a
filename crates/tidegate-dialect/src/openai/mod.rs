//! OpenAI chat completions.

pub(crate) mod answer;
pub(crate) mod call;
pub(crate) mod decode_stream;
pub(crate) mod encode;
pub(crate) mod encode_stream;
mod messages;
mod reasoning;
pub(crate) mod watch;
