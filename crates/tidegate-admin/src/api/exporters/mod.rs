//! `/exporters`: where an organization wants the traces of its calls (OTLP/HTTP).

mod create;
mod delete;
mod get;
mod list;
mod seal;
mod update;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use tidegate_store::exporters::{Exporter, ExporterId, StoredExporter};
use tidegate_types::Timestamp;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::checks::Checks;
use crate::problem::Problem;
use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list::list, create::create)).routes(routes!(
        get::get,
        update::update,
        delete::delete
    ))
}

/// Headers by name; their values are secrets.
#[derive(Default, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(as = ExporterHeaders, value_type = BTreeMap<String, String>, example = json!({"x-mlflow-experiment-id": "1"}))]
pub(crate) struct Headers(BTreeMap<String, String>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What may be said about an exporter and can be shown.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ExporterSpec)]
pub(crate) struct ExporterSpec {
    /// Unique in the organization.
    name: String,
    /// Where traces are posted as OTLP/HTTP protobuf, with its path (`…/v1/traces`): https, unless the process
    /// configuration lists the target (`upstream.private`). Redirects are not followed.
    url: String,
    /// Whether traces go there.
    #[serde(default = "super::yes")]
    #[schema(default = true)]
    enabled: bool,
}

/// A new exporter.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewExporter)]
pub(crate) struct NewExporter {
    /// Unique in the organization.
    name: String,
    /// As in the exporter that is shown.
    url: String,
    /// Whether traces go there.
    #[serde(default = "super::yes")]
    #[schema(default = true)]
    enabled: bool,
    /// Headers that are sent with each post. Kept encrypted; only their names are shown.
    #[serde(default)]
    headers: Headers,
}

/// An exporter, without the values of its headers.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Exporter)]
pub(crate) struct ExporterView {
    /// Identity.
    #[schema(value_type = String)]
    id: ExporterId,
    #[serde(flatten)]
    spec: ExporterSpec,
    /// Names of the headers that are sent.
    header_names: Vec<String>,
    /// Calls whose traces the collector took.
    sent: u64,
    /// Calls whose traces were given up: the queue was full, the collector refused them, or was away for a day.
    dropped: u64,
    /// When the collector took some last.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_sent_at: Option<Timestamp>,
    /// When a post failed last.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_failed_at: Option<Timestamp>,
    /// HTTP status of the last post, where it was a failure with one.
    last_status: Option<u16>,
    /// Why the last post failed, one word; none after a success.
    last_error: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// Names that the exporter writes itself, or that would change how the request is read.
const OURS: [&str; 9] = [
    "host",
    "content-type",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "user-agent",
];
const MOST_HEADERS: usize = 16;
const LONGEST_VALUE: usize = 4_096;

impl ExporterSpec {
    fn into_exporter(self, id: ExporterId, headers: Option<&Headers>) -> Result<Exporter, Problem> {
        let mut checks = Checks::default();
        checks.name("name", &self.name).target_url("url", &self.url);
        for (name, value) in headers.into_iter().flat_map(|headers| &headers.0) {
            let field = format!("headers.{name}");
            let known = name.to_ascii_lowercase();
            checks.that(HeaderName::from_bytes(name.as_bytes()).is_ok(), &field, "is no name of a header");
            checks.that(!OURS.contains(&known.as_str()), &field, "is written by the exporter");
            let fits = value.len() <= LONGEST_VALUE && HeaderValue::from_str(value).is_ok();
            checks.that(fits, &field, "is no value of a header, or longer than 4096 bytes");
        }
        if let Some(headers) = headers {
            checks.that(headers.0.len() <= MOST_HEADERS, "headers", "must not be more than 16");
            let names: BTreeSet<_> = headers.0.keys().map(|name| name.to_ascii_lowercase()).collect();
            checks.that(names.len() == headers.0.len(), "headers", "must not name a header twice");
        }
        checks.done()?;
        Ok(Exporter { id, name: self.name, url: self.url, enabled: self.enabled })
    }
}

impl From<&Exporter> for ExporterSpec {
    fn from(exporter: &Exporter) -> Self {
        Self { name: exporter.name.clone(), url: exporter.url.clone(), enabled: exporter.enabled }
    }
}

impl From<&StoredExporter> for ExporterView {
    fn from(stored: &StoredExporter) -> Self {
        let progress = stored.progress.clone();
        Self {
            id: stored.exporter.id,
            spec: (&stored.exporter).into(),
            header_names: stored.header_names.clone(),
            sent: progress.sent,
            dropped: progress.dropped,
            last_sent_at: progress.last_sent_at,
            last_failed_at: progress.last_failed_at,
            last_status: progress.last_status,
            last_error: progress.last_error,
            created_at: stored.created_at,
        }
    }
}
