//! `tidegate usage …`: what was used and what it cost.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::request::{Columns, PageArgs, Request};
use super::{Connection, download};

const NUMBERS: Columns = &[
    ("requests", "/request_count"),
    ("refused", "/refused_count"),
    ("cache hits", "/cache_hit_count"),
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
    /// Comma-separated: hour, day or month, and team, key, model, provider, user, tag, credential_type.
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
    /// Only this end user's: its id as calls name it.
    #[arg(long)]
    user: Option<String>,
    /// Only calls with this tag: name=value.
    #[arg(long)]
    tag: Option<String>,
    /// Only over credentials of this type: system, byok or client.
    #[arg(long)]
    credential_type: Option<String>,
    /// Time zone of hours, days and months; the organization's own when absent.
    #[arg(long)]
    time_zone: Option<String>,
    #[command(flatten)]
    page: PageArgs,
}

/// Which export.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// csv or parquet.
    #[arg(long, default_value = "csv")]
    format: String,
    /// usage (grouped as asked) or focus (the columns of FOCUS 1.0).
    #[arg(long, default_value = "usage")]
    columns: String,
    /// First instant (RFC 3339); 30 days ago when absent.
    #[arg(long)]
    from: Option<String>,
    /// First instant after the span.
    #[arg(long)]
    to: Option<String>,
    /// As in `usage list`; day,team,key,model,provider when absent.
    #[arg(long)]
    by: Option<String>,
    /// Time zone of hours, days and months; the organization's own when absent.
    #[arg(long)]
    time_zone: Option<String>,
    /// The file to write, or - for standard output.
    #[arg(long, default_value = "-")]
    file: String,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Reports usage; without flags the last 30 days, a row for each day.
    List(Report),
    /// Writes usage and cost to a file.
    Export(Export),
}

impl Export {
    /// Writes the file.
    pub(super) async fn run(self, connection: &Connection) -> ExitCode {
        let mut request = Request::get("/usage/export", &[]);
        request.push("format", Some(self.format));
        request.push("columns", Some(self.columns));
        request.push("from", self.from);
        request.push("to", self.to);
        request.push("group_by", self.by);
        request.push("time_zone", self.time_zone);
        download::run(connection, &request, &self.file).await
    }
}

impl Verb {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        let Self::List(report) = self else { anyhow::bail!("an export is a file, not an answer") };
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
        request.push("user", report.user);
        request.push("tag", report.tag);
        request.push("credential_type", report.credential_type);
        request.push("time_zone", report.time_zone);
        Ok(request)
    }
}

fn column(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        "day" | "hour" | "month" => ("start", "/start"),
        "team" => ("team", "/team_id"),
        "key" => ("key", "/key_id"),
        "model" => ("model", "/model_id"),
        "provider" => ("provider", "/provider_id"),
        "user" => ("user", "/user/text"),
        "tag" => ("tag", "/tag/text"),
        "credential_type" => ("paid by", "/credential_type"),
        _ => return None,
    })
}
