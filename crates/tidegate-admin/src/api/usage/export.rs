//! `GET /usage/export`

use std::collections::HashMap;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::Deserialize;
use tidegate_store::usage::{Dimension, Interval, Row, Rows};
use tidegate_store::{StoreError, TenantTx, organizations, resources};
use tidegate_types::OrganizationId;
use tidegate_types::id::{Id, IdKind};
use tidegate_types::resource::{Resource, ResourceKind};
use tidegate_types::window::Calendar;
use utoipa::IntoParams;

use super::list::{UsageQuery, query};
use super::parquet::File;
use super::table::{Cell, Column, Kind, csv_head, csv_line};
use super::{Names, focus};
use crate::actor::Caller;
use crate::body::Query;
use crate::problem::Problem;
use crate::state::App;

/// Rows in one part of an answer.
const PART: u16 = 1_000;

/// What to export, and how.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// `csv` or `parquet`; `csv` when absent.
    format: Option<String>,
    /// `usage` (grouped as asked) or `focus` (the columns of FOCUS 1.0: a row for each day, team, key,
    /// model, provider and credential type); `usage` when absent.
    columns: Option<String>,
    /// First instant, as in `GET /usage`.
    #[param(value_type = Option<String>)]
    from: Option<tidegate_types::Timestamp>,
    /// First instant after the span.
    #[param(value_type = Option<String>)]
    to: Option<tidegate_types::Timestamp>,
    /// As in `GET /usage`; `day,team,key,model,provider` when absent.
    group_by: Option<String>,
    /// As in `GET /usage`.
    time_zone: Option<String>,
}

/// Columns of a usage export: the report's own, names beside ids.
const USAGE: &[Column] = &[
    ("start", Kind::Time),
    ("team_id", Kind::Text),
    ("team", Kind::Text),
    ("key_id", Kind::Text),
    ("key", Kind::Text),
    ("model", Kind::Text),
    ("provider", Kind::Text),
    ("user", Kind::Text),
    ("tag", Kind::Text),
    ("credential_type", Kind::Text),
    ("request_count", Kind::Count),
    ("refused_count", Kind::Count),
    ("error_count", Kind::Count),
    ("total_cost", Kind::Money),
    ("byok_cost", Kind::Money),
    ("input_tokens", Kind::Count),
    ("output_tokens", Kind::Count),
    ("cached_input_tokens", Kind::Count),
    ("cache_creation_input_tokens", Kind::Count),
    ("reasoning_tokens", Kind::Count),
    ("images", Kind::Count),
    ("audio_seconds", Kind::Count),
    ("characters", Kind::Count),
    ("searches", Kind::Count),
    ("video_seconds", Kind::Count),
    ("cache_hit_count", Kind::Count),
];

/// Names of an organization's things, and its calendar.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) organization_id: OrganizationId,
    pub(super) organization: String,
    names: HashMap<(&'static str, u128), String>,
}

impl Known {
    async fn read(tx: &mut TenantTx) -> Result<Self, Problem> {
        let organization = organizations::get(tx).await?.value;
        let kinds = [ResourceKind::Team, ResourceKind::Key, ResourceKind::Model, ResourceKind::Provider];
        let mut names = HashMap::new();
        for resource in resources(tx, &kinds).await? {
            let (kind, id, name) = match resource {
                Resource::Team(team) => ("team", team.id.to_u128(), team.name),
                Resource::Key(key) => ("key", key.id.to_u128(), key.name),
                Resource::Model(model) => ("model", model.id.to_u128(), model.name.to_string()),
                Resource::Provider(provider) => {
                    ("provider", provider.id.to_u128(), provider.slug.to_string())
                }
                _ => continue,
            };
            names.insert((kind, id), name);
        }
        Ok(Self { organization_id: organization.id, organization: organization.name, names })
    }

    /// The name of a thing; its id where it is gone.
    pub(super) fn name<K: IdKind>(&self, kind: &'static str, id: Option<Id<K>>) -> Option<String> {
        let id = id?;
        Some(self.names.get(&(kind, id.to_u128())).cloned().unwrap_or_else(|| id.to_string()))
    }
}

/// Exports usage and cost as a file, as long as it may be: it is sent while it is read, all of one
/// moment.
#[utoipa::path(get, path = "/usage/export", tag = "usage", operation_id = "usage_export", params(ExportQuery),
    responses((status = OK, description = "The file", content_type = "text/csv", body = String)))]
pub(super) async fn export(
    State(app): State<App>,
    caller: Caller,
    Query(asked): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let format = match asked.format.as_deref() {
        None | Some("csv") => Format::Csv,
        Some("parquet") => Format::Parquet,
        Some(_) => return Err(Problem::field("format", "must be csv or parquet")),
    };
    let is_focus = match asked.columns.as_deref() {
        None | Some("usage") => false,
        Some("focus") => true,
        Some(_) => return Err(Problem::field("columns", "must be usage or focus")),
    };
    let mut tx = app.store.begin(caller.actor()).await?;
    let group_by = asked.group_by.or_else(|| Some("day,team,key,model,provider".to_owned()));
    let wanted = UsageQuery::over((asked.from, asked.to), group_by, asked.time_zone);
    let mut query = query(&mut tx, &wanted, app.clock.now()).await?;
    if is_focus {
        query.interval = Interval::Day;
        query.by = vec![
            Dimension::Team,
            Dimension::Key,
            Dimension::Model,
            Dimension::Provider,
            Dimension::CredentialType,
        ];
    }
    let week = organizations::get(&mut tx).await?.value.week_start;
    let calendar = Calendar::new(&query.zone, week).map_err(|_| Problem::internal())?;
    let known = Known::read(&mut tx).await?;
    let rows = Rows::open(tx, &query).await?;
    let columns = if is_focus { focus::COLUMNS } else { USAGE };
    let sheet = Sheet { rows, known, calendar, is_focus };
    let (kind, name) = match (format, is_focus) {
        (Format::Csv, false) => ("text/csv; charset=utf-8", "usage.csv"),
        (Format::Csv, true) => ("text/csv; charset=utf-8", "focus.csv"),
        (Format::Parquet, false) => ("application/vnd.apache.parquet", "usage.parquet"),
        (Format::Parquet, true) => ("application/vnd.apache.parquet", "focus.parquet"),
    };
    let body = match format {
        Format::Csv => csv(sheet, columns),
        Format::Parquet => parquet(sheet, columns),
    };
    let disposition = format!("attachment; filename=\"{name}\"");
    Ok(([(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, disposition)], body).into_response())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Parquet,
}

/// Rows on their way out.
struct Sheet {
    rows: Rows,
    known: Known,
    calendar: Calendar,
    is_focus: bool,
}

impl Sheet {
    /// The next rows as cells; empty at the end.
    async fn next(&mut self) -> Result<Vec<Vec<Cell>>, StoreError> {
        let rows = self.rows.next(PART).await?;
        let names = Names::read(self.rows.tx(), &rows).await.map_err(|_| StoreError::Unreadable("labels"))?;
        let cells = |row: &Row| {
            if self.is_focus {
                focus::row(row, &self.known, &self.calendar)
            } else {
                cells(row, &self.known, &names)
            }
        };
        // Calls that reached nobody cost nothing: a bill has no line for them.
        let shown = |row: &&Row| !self.is_focus || row.provider_id.is_some();
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut shown: Vec<Vec<Cell>> = rows.iter().filter(shown).map(cells).collect();
        if shown.is_empty() {
            shown = Box::pin(self.next()).await?;
        }
        Ok(shown)
    }
}

fn cells(row: &Row, known: &Known, names: &Names) -> Vec<Cell> {
    let label = |hash| {
        let label = names.label(hash);
        label.text.unwrap_or_else(|| label.hash.to_string())
    };
    let (usage, count) = (&row.usage, Cell::count);
    vec![
        row.start.map_or(Cell::Null, Cell::Time),
        Cell::text(row.team_id),
        Cell::text(known.name("team", row.team_id)),
        Cell::text(row.key_id),
        Cell::text(known.name("key", row.key_id)),
        Cell::text(known.name("model", row.model_id)),
        Cell::text(known.name("provider", row.provider_id)),
        Cell::text(row.user.map(label)),
        Cell::text(row.tag.map(label)),
        Cell::text(row.credential_type.clone()),
        count(row.request_count),
        count(row.refused_count),
        count(row.error_count),
        Cell::Money(row.total_cost),
        Cell::Money(row.byok_cost),
        count(usage.input_tokens),
        count(usage.output_tokens),
        count(usage.cached_input_tokens),
        count(usage.cache_creation_input_tokens),
        count(usage.reasoning_tokens),
        count(usage.images),
        count(usage.audio_seconds),
        count(usage.characters),
        count(usage.searches),
        count(usage.video_seconds),
        count(row.cache_hit_count),
    ]
}

fn csv(sheet: Sheet, columns: &'static [Column]) -> Body {
    let head = Some(csv_head(columns));
    Body::from_stream(stream::try_unfold((sheet, head), |(mut sheet, head)| async move {
        let rows = sheet.next().await?;
        if rows.is_empty() && head.is_none() {
            return Ok::<_, StoreError>(None);
        }
        let mut text = head.unwrap_or_default();
        rows.iter().for_each(|row| csv_line(&mut text, row));
        Ok(Some((Bytes::from(text), (sheet, None))))
    }))
}

fn parquet(sheet: Sheet, columns: &'static [Column]) -> Body {
    let (file, head) = File::begin(columns);
    Body::from_stream(stream::try_unfold(Some((sheet, file, head)), |state| async move {
        let Some((mut sheet, mut file, mut bytes)) = state else { return Ok::<_, StoreError>(None) };
        let rows = sheet.next().await?;
        if rows.is_empty() {
            bytes.extend(file.end());
            return Ok(Some((Bytes::from(bytes), None)));
        }
        bytes.extend(file.group(&rows));
        Ok(Some((Bytes::from(bytes), Some((sheet, file, Vec::new())))))
    }))
}
