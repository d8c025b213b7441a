//! `tidegate calls …`: one record for each call.

use clap::{Args, Subcommand};

use super::request::{Columns, PageArgs, Request};

const COLUMNS: Columns = &[
    ("id", "/id"),
    ("at", "/at"),
    ("status", "/status"),
    ("outcome", "/outcome"),
    ("model", "/model_id"),
    ("key", "/key_id"),
    ("input", "/input_tokens"),
    ("output", "/output_tokens"),
    ("cost usd", "/cost"),
    ("ttft ms", "/ttft_ms"),
    ("ms", "/duration_ms"),
];

/// Which calls.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Begun at this time or later (RFC 3339); 30 days ago when absent.
    #[arg(long)]
    from: Option<String>,
    /// Begun before this time.
    #[arg(long)]
    to: Option<String>,
    /// Only this team's.
    #[arg(long)]
    team: Option<String>,
    /// Only this key's.
    #[arg(long)]
    key: Option<String>,
    /// Only this model's (its id).
    #[arg(long)]
    model: Option<String>,
    /// Only those that ended with this HTTP status.
    #[arg(long)]
    status: Option<u16>,
    #[command(flatten)]
    page: PageArgs,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists calls, newest first.
    List(Filter),
    /// Shows one.
    Get {
        /// Its id, gen_….
        id: String,
    },
}

impl Verb {
    #[expect(clippy::unnecessary_wraps, reason = "every noun has this face")]
    pub(super) fn request(self) -> anyhow::Result<Request> {
        Ok(match self {
            Self::List(filter) => {
                let mut request = Request::list("/calls", filter.page, COLUMNS);
                request.push("from", filter.from);
                request.push("to", filter.to);
                request.push("team_id", filter.team);
                request.push("key_id", filter.key);
                request.push("model_id", filter.model);
                request.push("status", filter.status);
                request
            }
            Self::Get { id } => Request::get(format!("/calls/{id}"), COLUMNS),
        })
    }
}
