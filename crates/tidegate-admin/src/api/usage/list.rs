//! `GET /usage`

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tidegate_store::usage::{self, Dimension, Interval};
use tidegate_types::{KeyId, ModelId, ProviderId, TeamId, Timestamp};
use utoipa::IntoParams;

use super::UsageRow;
use crate::actor::Caller;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// Which report.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsageQuery {
    /// First instant, rounded down to the hour; 30 days ago when absent.
    #[param(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// First instant after the span; the end of today (UTC) when absent.
    #[param(value_type = Option<String>)]
    to: Option<Timestamp>,
    /// Comma-separated: `day`, `hour`, `team`, `key`, `model`, `provider`; `day` when absent.
    group_by: Option<String>,
    /// Only this team's.
    #[param(value_type = Option<String>)]
    team_id: Option<TeamId>,
    /// Only this key's.
    #[param(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// Only this model's.
    #[param(value_type = Option<String>)]
    model_id: Option<ModelId>,
    /// Only this provider's.
    #[param(value_type = Option<String>)]
    provider_id: Option<ProviderId>,
    /// Rows on the page, 1 to 1000; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Reports usage. Without parameters: the last 30 days, a row for each day.
#[utoipa::path(get, path = "/usage", tag = "usage", operation_id = "usage_list", params(UsageQuery),
    responses((status = OK, description = "A page of rows", body = Page<UsageRow>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(asked): Query<UsageQuery>,
) -> Result<Json<Page<UsageRow>>, Problem> {
    let page = PageQuery::new(asked.limit, asked.cursor.clone());
    let (offset, limit) = (page.after::<u32>()?.unwrap_or(0), page.limit()?);
    let query = query(&asked, app.clock.now())?;
    let mut tx = app.store.begin(caller.actor()).await?;
    let rows = usage::report(&mut tx, &query, offset, limit).await?;
    let next = offset.saturating_add(limit);
    Ok(Json(Page::from_rows(&rows.data, rows.has_more, |_| next, UsageRow::from)))
}

fn query(asked: &UsageQuery, now: Timestamp) -> Result<usage::Query, Problem> {
    let mut query = usage::Query::last_30_days(now);
    (query.from, query.to) = (asked.from.unwrap_or(query.from), asked.to.unwrap_or(query.to));
    if query.from >= query.to {
        return Err(Problem::field("from", "must be before to"));
    }
    if let Some(names) = &asked.group_by {
        query.interval = Interval::Total;
        for name in names.split(',').map(str::trim) {
            match name {
                "hour" => query.interval = Interval::Hour,
                "day" if query.interval == Interval::Total => query.interval = Interval::Day,
                "day" => {}
                "team" => query.by.push(Dimension::Team),
                "key" => query.by.push(Dimension::Key),
                "model" => query.by.push(Dimension::Model),
                "provider" => query.by.push(Dimension::Provider),
                _ => {
                    return Err(Problem::field(
                        "group_by",
                        "must be of day, hour, team, key, model, provider",
                    ));
                }
            }
        }
    }
    query.team = asked.team_id;
    query.key = asked.key_id;
    query.model = asked.model_id;
    query.provider = asked.provider_id;
    Ok(query)
}
