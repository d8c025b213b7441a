//! Anthropic messages.

pub(crate) mod watch;
