//! `tidegate usage …`: what was used and what it cost.

use clap::{Args, Subcommand};

use super::request::{Columns, PageArgs, Request};

const NUMBERS: Columns = &[
    ("requests", "/request_count"),
    ("refused", "/refused_count"),
    ("cost usd", "/total_cost"),
    ("input", "/input_tokens"),
    ("output", "/output_tokens"),
    ("cached", "/cached_input_tokens"),
    ("reasoning", "/reasoning_tokens"),
    ("images", "/images"),
    ("audio s", "/audio_seconds"),
    ("characters", "/characters"),
    ("searches", "/searches"),
];

/// Which report.
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// First instant (RFC 3339); 30 days ago when absent.
    #[arg(long)]
    from: Option<String>,
    /// First instant after the span.
    #[arg(long)]
    to: Option<String>,
    /// Comma-separated: day, hour, team, key, model, provider.
    #[arg(long, default_value = "day")]
    by: String,
    /// Only this team's.
    #[arg(long)]
    team: Option<String>,
    /// Only this key's.
    #[arg(long)]
    key: Option<String>,
    /// Only this model's (its id).
    #[arg(long)]
    model: Option<String>,
    /// Only this provider's (its id).
    #[arg(long)]
    provider: Option<String>,
    #[command(flatten)]
    page: PageArgs,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Reports usage; without flags the last 30 days, a row for each day.
    List(Report),
}

impl Verb {
    #[expect(clippy::unnecessary_wraps, reason = "every noun has this face")]
    pub(super) fn request(self) -> anyhow::Result<Request> {
        let Self::List(report) = self;
        let mut request = Request::list("/usage", report.page, &[]);
        request.columns = report.by.split(',').filter_map(|name| column(name.trim())).collect();
        request.columns.extend_from_slice(NUMBERS);
        request.push("from", report.from);
        request.push("to", report.to);
        request.push("group_by", Some(report.by));
        request.push("team_id", report.team);
        request.push("key_id", report.key);
        request.push("model_id", report.model);
        request.push("provider_id", report.provider);
        Ok(request)
    }
}

fn column(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        "day" | "hour" => ("start", "/start"),
        "team" => ("team", "/team_id"),
        "key" => ("key", "/key_id"),
        "model" => ("model", "/model_id"),
        "provider" => ("provider", "/provider_id"),
        _ => return None,
    })
}
