//! Reports from events and call records: everything that the roll-ups do not have.
//!
//! What was metered comes from the last finding about each attempt and the adjustments of its charge;
//! how many calls there were comes from call records. Time is that of the call's id.

use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::{AssertSqlSafe, Postgres};

use super::{Dimension, Query, Sums};
use crate::Result;
use crate::convert::{time, uuid_of};
use crate::tenant::TenantTx;

/// The parts are put together, never values: those are bound.
const ROWS: &str = "WITH last AS (
         SELECT DISTINCT ON (e.day, e.call_id, e.attempt) e.* FROM billing_events e
         WHERE e.organization_id = $1 AND e.day >= ($2 AT TIME ZONE 'UTC')::date - 1 AND e.day <= ($3 AT TIME ZONE 'UTC')::date + 1
             AND to_timestamp(('x' || left(translate(e.call_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) >= date_trunc('hour', $2::timestamptz)
             AND to_timestamp(('x' || left(translate(e.call_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) < $3
         ORDER BY e.day, e.call_id, e.attempt, e.kind),
     lines AS (
         SELECT call_id, team_id, key_id, model_id, provider_id, end_user, tags, credential_type,
             0 AS request_count, 0 AS refused_count, 0 AS cache_hit_count, 0 AS error_count, cost,
             CASE WHEN credential_type = 'system' THEN 0 ELSE cost END AS byok_cost, input_tokens, output_tokens,
             cached_input_tokens, cache_creation_input_tokens, reasoning_tokens, cache_creation_1h_input_tokens,
             audio_input_tokens, image_input_tokens, audio_output_tokens, image_output_tokens, images, audio_seconds,
             characters, searches, video_seconds
         FROM last WHERE outcome IN ('completed', 'interrupted') AND cached_percent IS NULL
         UNION ALL
         SELECT call_id, team_id, key_id, model_id, provider_id, end_user, tags, credential_type,
             0, 0, 0, 0, cost, CASE WHEN credential_type = 'system' THEN 0 ELSE cost END,
             0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
         FROM last WHERE outcome IN ('completed', 'interrupted') AND cached_percent IS NOT NULL
         UNION ALL
         SELECT l.call_id, l.team_id, l.key_id, l.model_id, l.provider_id, l.end_user, l.tags, l.credential_type,
             0, 0, 0, 0, a.amount, CASE WHEN l.credential_type = 'system' THEN 0 ELSE a.amount END,
             0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
         FROM last l JOIN charge_adjustments a USING (organization_id, day, call_id, attempt)
         UNION ALL
         SELECT c.call_id, c.team_id, c.key_id, coalesce(c.model_id, '00000000-0000-0000-0000-000000000000'),
             coalesce((SELECT p.uid FROM config_resources p WHERE p.kind = 'provider'
                 AND p.id = c.attempts -> -1 ->> 'provider_id' LIMIT 1), '00000000-0000-0000-0000-000000000000'),
             c.end_user, c.tags, c.attempts -> -1 ->> 'credential_type',
             (jsonb_array_length(c.attempts) > 0)::integer,
             (jsonb_array_length(c.attempts) = 0 AND c.cached_from IS NULL)::integer, (c.cached_from IS NOT NULL)::integer,
             (c.outcome ->> 'outcome' IN ('broken', 'upstream_error')
                 OR coalesce(c.outcome ->> 'cause', '') IN ('upstream_failed', 'timeout'))::integer,
             0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
         FROM call_records c
         WHERE c.organization_id = $1 AND c.day >= ($2 AT TIME ZONE 'UTC')::date - 1 AND c.day <= ($3 AT TIME ZONE 'UTC')::date + 1
             AND to_timestamp(('x' || left(translate(c.call_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) >= date_trunc('hour', $2::timestamptz)
             AND to_timestamp(('x' || left(translate(c.call_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) < $3)
     SELECT date_trunc($4, to_timestamp(('x' || left(translate(call_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0), $5) AS start,
         CASE WHEN $6 THEN team_id END AS team_id, CASE WHEN $7 THEN key_id END AS key_id,
         CASE WHEN $8 THEN model_id END AS model_id, CASE WHEN $9 THEN provider_id END AS provider_id,
         CASE WHEN $10 THEN end_user END AS end_user, split.tag, CASE WHEN $12 THEN credential_type END AS credential_type,
         sum(request_count)::bigint AS request_count, sum(refused_count)::bigint AS refused_count,
         sum(cache_hit_count)::bigint AS cache_hit_count,
         sum(error_count)::bigint AS error_count, sum(cost)::bigint AS cost, sum(byok_cost)::bigint AS byok_cost,
         sum(input_tokens)::bigint AS input_tokens, sum(output_tokens)::bigint AS output_tokens,
         sum(cached_input_tokens)::bigint AS cached_input_tokens,
         sum(cache_creation_input_tokens)::bigint AS cache_creation_input_tokens,
         sum(reasoning_tokens)::bigint AS reasoning_tokens,
         sum(cache_creation_1h_input_tokens)::bigint AS cache_creation_1h_input_tokens,
         sum(audio_input_tokens)::bigint AS audio_input_tokens, sum(image_input_tokens)::bigint AS image_input_tokens,
         sum(audio_output_tokens)::bigint AS audio_output_tokens, sum(image_output_tokens)::bigint AS image_output_tokens,
         sum(images)::bigint AS images, sum(audio_seconds)::bigint AS audio_seconds,
         sum(characters)::bigint AS characters, sum(searches)::bigint AS searches,
         sum(video_seconds)::bigint AS video_seconds
     FROM lines CROSS JOIN LATERAL unnest(CASE WHEN $11 AND tags <> '{}' THEN tags ELSE ARRAY[NULL::bytea] END) AS split (tag)
     WHERE ($13::uuid IS NULL OR team_id = $13) AND ($14::uuid IS NULL OR key_id = $14)
         AND ($15::uuid IS NULL OR model_id = $15) AND ($16::uuid IS NULL OR provider_id = $16)
         AND ($17::bytea IS NULL OR end_user = $17) AND ($18::bytea IS NULL OR $18 = ANY(tags))
         AND ($19::text IS NULL OR credential_type = $19)
     GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8";

fn bound<'q>(tx: &TenantTx, statement: String, query: &'q Query) -> QueryAs<'q, Postgres, Sums, PgArguments> {
    let by = |dimension| query.by.contains(&dimension);
    sqlx::query_as(AssertSqlSafe(statement))
        .bind(tx.organization())
        .bind(time(query.from))
        .bind(time(query.to))
        .bind(query.interval_name())
        .bind(&query.zone)
        .bind(by(Dimension::Team))
        .bind(by(Dimension::Key))
        .bind(by(Dimension::Model))
        .bind(by(Dimension::Provider))
        .bind(by(Dimension::User))
        .bind(by(Dimension::Tag))
        .bind(by(Dimension::CredentialType))
        .bind(uuid_of(query.team))
        .bind(uuid_of(query.key))
        .bind(uuid_of(query.model))
        .bind(uuid_of(query.provider))
        .bind(query.user.as_ref().map(|user| user.as_bytes().to_vec()))
        .bind(query.tag.as_ref().map(|tag| tag.as_bytes().to_vec()))
        .bind(&query.credential_type)
}

/// A part of the report.
pub(super) async fn sums(tx: &mut TenantTx, query: &Query, offset: i64, limit: i64) -> Result<Vec<Sums>> {
    let statement = format!("{ROWS} OFFSET $20 LIMIT $21");
    Ok(bound(tx, statement, query).bind(offset).bind(limit).fetch_all(tx.connection()).await?)
}

/// Makes the whole report ready to be read part by part.
pub(super) async fn declare(tx: &mut TenantTx, query: &Query) -> Result<()> {
    let statement = format!("DECLARE report NO SCROLL CURSOR FOR {ROWS}");
    bound(tx, statement, query).fetch_all(tx.connection()).await?;
    Ok(())
}

/// The next rows of what was declared.
pub(super) async fn fetch(tx: &mut TenantTx, most: u16) -> Result<Vec<Sums>> {
    let statement = format!("FETCH FORWARD {most} FROM report");
    Ok(sqlx::query_as(AssertSqlSafe(statement)).fetch_all(tx.connection()).await?)
}
