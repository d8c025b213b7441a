//! OpenAI chat completions.

pub(crate) mod watch;
