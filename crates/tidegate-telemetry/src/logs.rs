//! Logs: to standard error, as text for people or as JSON for machines.

use std::str::FromStr;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One readable line each.
    #[default]
    Text,
    /// One JSON object each.
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("the log format is `text` or `json`"),
        }
    }
}

/// Logs were set up before in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("logs are already set up")]
pub struct LogsAlreadySet;

/// Sends the process's logs to standard error. `filter` is a directive list such as
/// `info,tidegate_push=debug`; what cannot be read of it is left out.
///
/// # Errors
/// [`LogsAlreadySet`] on the second call.
pub fn init_logs(format: LogFormat, filter: &str) -> Result<(), LogsAlreadySet> {
    let builder =
        tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(|_| LogsAlreadySet)
}
