//! `GET /usage`

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tidegate_store::TenantTx;
use tidegate_store::organizations;
use tidegate_store::usage::{self, Dimension, Interval};
use tidegate_types::window::{Every, WindowSpec};
use tidegate_types::{KeyId, LabelHash, LabelKind, ModelId, ProviderId, TeamId, Timestamp};
use utoipa::IntoParams;

use super::{Names, UsageRow};
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
    /// First instant after the span; the end of today when absent.
    #[param(value_type = Option<String>)]
    to: Option<Timestamp>,
    /// Comma-separated: `hour`, `day` or `month`, and `team`, `key`, `model`, `provider`, `user`, `tag`,
    /// `credential_type`; `day` when absent. Grouped by tag, a call with several tags is in several rows.
    group_by: Option<String>,
    /// IANA time zone of hours, days and months; the organization's own when absent.
    time_zone: Option<String>,
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
    /// Only this end user's: its id as calls name it.
    user: Option<String>,
    /// Only calls with this tag: `name=value`.
    tag: Option<String>,
    /// Only over credentials of this type: `system`, `byok` or `client`.
    credential_type: Option<String>,
    /// Rows on the page, 1 to 1000; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl UsageQuery {
    /// Everything of a time, grouped.
    pub(super) fn over(
        (from, to): (Option<Timestamp>, Option<Timestamp>),
        group_by: Option<String>,
        time_zone: Option<String>,
    ) -> Self {
        Self { from, to, group_by, time_zone, ..Self::default() }
    }
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
    let mut tx = app.store.begin(caller.actor()).await?;
    let query = query(&mut tx, &asked, app.clock.now()).await?;
    let rows = usage::report(&mut tx, &query, offset, limit).await?;
    let names = Names::read(&mut tx, &rows.data).await?;
    let next = offset.saturating_add(limit);
    Ok(Json(Page::from_rows(&rows.data, rows.has_more, |_| next, |row| names.row(row))))
}

/// What is asked, with the organization's own zone and hashes.
pub(super) async fn query(
    tx: &mut TenantTx,
    asked: &UsageQuery,
    now: Timestamp,
) -> Result<usage::Query, Problem> {
    let mut query = usage::Query::last_30_days(now);
    let organization = organizations::get(tx).await?.value;
    query.zone = asked.time_zone.clone().unwrap_or_else(|| organization.time_zone.clone());
    let calendar = tidegate_types::window::Calendar::new(&query.zone, organization.week_start)
        .map_err(|_| Problem::field("time_zone", "must be an IANA time zone such as Europe/Berlin"))?;
    let day = |at| calendar.window(WindowSpec::Recurring { every: Every::Day }, at);
    if let Some(today) = day(now) {
        query.to = today.end;
        // The middle of the first day: a day may be an hour longer or shorter.
        let first = day(today.end.plus_millis(-(29 * 24 + 12) * 3_600_000));
        query.from = first.map_or(query.from, |first| first.start);
    }
    (query.from, query.to) = (asked.from.unwrap_or(query.from), asked.to.unwrap_or(query.to));
    if query.from >= query.to {
        return Err(Problem::field("from", "must be before to"));
    }
    if let Some(names) = &asked.group_by {
        (query.interval, query.by) = grouping(names)?;
    }
    query.team = asked.team_id;
    query.key = asked.key_id;
    query.model = asked.model_id;
    query.provider = asked.provider_id;
    let hash = |kind, text: &Option<String>| {
        text.as_ref().map(|text| LabelHash::of(&organization.label_key, kind, text))
    };
    query.user = hash(LabelKind::EndUser, &asked.user);
    query.tag = hash(LabelKind::Tag, &asked.tag);
    query.credential_type = match asked.credential_type.as_deref() {
        None => None,
        Some(name @ ("system" | "byok" | "client")) => Some(name.to_owned()),
        Some(_) => return Err(Problem::field("credential_type", "must be system, byok or client")),
    };
    Ok(query)
}

fn grouping(names: &str) -> Result<(Interval, Vec<Dimension>), Problem> {
    let (mut interval, mut by) = (Interval::Total, Vec::new());
    for name in names.split(',').map(str::trim) {
        match name {
            // The shortest of those that are named.
            "hour" => interval = Interval::Hour,
            "day" if interval != Interval::Hour => interval = Interval::Day,
            "month" if interval == Interval::Total => interval = Interval::Month,
            "day" | "month" => {}
            "team" => by.push(Dimension::Team),
            "key" => by.push(Dimension::Key),
            "model" => by.push(Dimension::Model),
            "provider" => by.push(Dimension::Provider),
            "user" => by.push(Dimension::User),
            "tag" => by.push(Dimension::Tag),
            "credential_type" => by.push(Dimension::CredentialType),
            _ => {
                return Err(Problem::field(
                    "group_by",
                    "must be of hour, day, month, team, key, model, provider, user, tag, credential_type",
                ));
            }
        }
    }
    Ok((interval, by))
}
