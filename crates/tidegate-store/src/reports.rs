//! Sums of calls by one dimension, from the call records: what callers ask their gateway for.

use std::collections::HashMap;

use chrono::NaiveDate;
use tidegate_types::{
    LabelHash, ModelId, ModelName, NanoUsd, OfferingId, OrganizationId, ProviderId, ProviderSlug,
};

use crate::convert::unsigned;
use crate::tenant::TenantTx;
use crate::{Result, StoreError};

/// Most rows of a report.
const MOST_ROWS: i64 = 10_000;

/// What a report's rows stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is named as its dimension")]
pub enum Group {
    Day,
    Hour,
    User,
    Model,
    Tag,
    Provider,
    CredentialType,
    ApiKeyName,
}

impl Group {
    /// Its name in requests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Hour => "hour",
            Self::User => "user",
            Self::Model => "model",
            Self::Tag => "tag",
            Self::Provider => "provider",
            Self::CredentialType => "credential_type",
            Self::ApiKeyName => "api_key_name",
        }
    }

    /// The group of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Day,
            Self::Hour,
            Self::User,
            Self::Model,
            Self::Tag,
            Self::Provider,
            Self::CredentialType,
            Self::ApiKeyName,
        ]
        .into_iter()
        .find(|group| group.as_str() == name)
    }
}

/// What to sum. Names that are absent filter nothing.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// First day, UTC.
    pub start: NaiveDate,
    /// Last day, UTC.
    pub end: NaiveDate,
    /// Rows.
    pub group: Group,
    /// Only this end user's calls.
    pub user: Option<LabelHash>,
    /// Only calls of this model, `creator/name`.
    pub model: Option<String>,
    /// Only calls that this provider answered; its slug.
    pub provider: Option<String>,
    /// Only calls over credentials of this type, `system` or `byok`.
    pub credential_type: Option<String>,
    /// Only calls with these tags.
    pub tags: Vec<LabelHash>,
    /// With all of them, not any.
    pub all_tags: bool,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// What it was grouped by; empty for calls that have no such thing. Labels in readable form where
    /// one is kept, else their hash in hexadecimal.
    pub key: String,
    /// Everything metered.
    pub cost: NanoUsd,
    /// All input tokens.
    pub input_tokens: u64,
    /// All output tokens.
    pub output_tokens: u64,
    /// Input tokens read from caches.
    pub cached_input_tokens: u64,
    /// Input tokens written to caches.
    pub cache_creation_input_tokens: u64,
    /// Output tokens spent on reasoning.
    pub reasoning_tokens: u64,
    /// Calls that were sent upstream.
    pub request_count: u64,
}

#[derive(sqlx::FromRow)]
struct Row {
    key: String,
    cost: i64,
    input_tokens: i64,
    output_tokens: i64,
    cached_input_tokens: i64,
    cache_creation_input_tokens: i64,
    reasoning_tokens: i64,
    request_count: i64,
}

/// The report's rows in the order of their keys, at most 10,000.
///
/// # Errors
/// When the database is away.
pub async fn sums(tx: &mut TenantTx, wanted: &Wanted) -> Result<Vec<Sum>> {
    let tags: Vec<&[u8]> = wanted.tags.iter().map(|tag| tag.as_bytes().as_slice()).collect();
    let rows: Vec<Row> = sqlx::query_as(
        "WITH calls AS (
             SELECT c.*, c.attempts -> -1 AS answering, model.content ->> 'name' AS model_name,
                 provider.content ->> 'slug' AS provider_slug, key.content ->> 'name' AS key_name
             FROM call_records c
             LEFT JOIN config_resources model ON model.kind = 'model' AND model.uid = c.model_id
             LEFT JOIN config_resources provider
                 ON provider.kind = 'provider' AND provider.id = c.attempts -> -1 ->> 'provider_id'
             LEFT JOIN config_resources key
                 ON key.organization_id = c.organization_id AND key.kind = 'key' AND key.uid = c.key_id
             WHERE c.organization_id = $1 AND c.day >= $2::date - 1 AND c.day <= $3::date + 1
                 AND (c.at AT TIME ZONE 'UTC')::date BETWEEN $2 AND $3)
         SELECT coalesce(part.key, '') AS key, sum(cost)::bigint AS cost,
             sum((usage ->> 'input_tokens')::bigint)::bigint AS input_tokens,
             sum((usage ->> 'output_tokens')::bigint)::bigint AS output_tokens,
             sum((usage ->> 'cached_input_tokens')::bigint)::bigint AS cached_input_tokens,
             sum((usage ->> 'cache_creation_input_tokens')::bigint)::bigint AS cache_creation_input_tokens,
             sum((usage ->> 'reasoning_tokens')::bigint)::bigint AS reasoning_tokens,
             count(*) FILTER (WHERE jsonb_array_length(attempts) > 0) AS request_count
         FROM calls CROSS JOIN LATERAL (
             SELECT CASE $4
                 WHEN 'day' THEN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
                 WHEN 'hour' THEN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:00:00\"Z\"')
                 WHEN 'user' THEN encode(end_user, 'hex')
                 WHEN 'model' THEN coalesce(model_name, model_id::text)
                 WHEN 'provider' THEN coalesce(provider_slug, answering ->> 'provider_id')
                 WHEN 'credential_type' THEN answering ->> 'credential_type'
                 WHEN 'api_key_name' THEN coalesce(key_name, key_id::text) END AS key
             WHERE $4 <> 'tag'
             UNION ALL SELECT encode(tag, 'hex') FROM unnest(tags) AS tag WHERE $4 = 'tag') AS part
         WHERE ($5::bytea IS NULL OR end_user = $5) AND ($6::text IS NULL OR model_name = $6)
             AND ($7::text IS NULL OR provider_slug = $7)
             AND ($8::text IS NULL OR answering ->> 'credential_type' = $8)
             AND (cardinality($9::bytea[]) = 0 OR CASE WHEN $10 THEN tags @> $9 ELSE tags && $9 END)
         GROUP BY 1 ORDER BY 1 LIMIT $11",
    )
    .bind(tx.organization())
    .bind(wanted.start)
    .bind(wanted.end)
    .bind(wanted.group.as_str())
    .bind(wanted.user.map(|user| user.as_bytes().to_vec()))
    .bind(&wanted.model)
    .bind(&wanted.provider)
    .bind(&wanted.credential_type)
    .bind(&tags)
    .bind(wanted.all_tags)
    .bind(MOST_ROWS)
    .fetch_all(tx.connection())
    .await?;
    let mut sums: Vec<Sum> = rows.into_iter().map(sum).collect();
    if matches!(wanted.group, Group::User | Group::Tag) {
        name_labels(tx, &mut sums).await?;
    }
    Ok(sums)
}

fn sum(row: Row) -> Sum {
    Sum {
        key: row.key,
        cost: NanoUsd::new(row.cost),
        input_tokens: unsigned(row.input_tokens),
        output_tokens: unsigned(row.output_tokens),
        cached_input_tokens: unsigned(row.cached_input_tokens),
        cache_creation_input_tokens: unsigned(row.cache_creation_input_tokens),
        reasoning_tokens: unsigned(row.reasoning_tokens),
        request_count: unsigned(row.request_count),
    }
}

/// Puts labels in readable form where one is kept.
async fn name_labels(tx: &mut TenantTx, sums: &mut [Sum]) -> Result<()> {
    let hashes: Vec<LabelHash> = sums.iter().filter_map(|sum| hash(&sum.key)).collect();
    let texts = crate::labels::texts(tx, &hashes).await?;
    for sum in sums {
        if let Some(text) = hash(&sum.key).and_then(|hash| texts.get(&hash)) {
            sum.key.clone_from(text);
        }
    }
    Ok(())
}

fn hash(hex: &str) -> Option<LabelHash> {
    let raw = u128::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 32)?;
    Some(LabelHash::from_bytes(raw.to_be_bytes()))
}

/// Everything that was ever charged to the organization over system credentials.
///
/// # Errors
/// When the database is away.
pub async fn charged_ever(tx: &mut TenantTx) -> Result<NanoUsd> {
    let total: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(cost - byok_cost), 0)::bigint FROM usage_hourly WHERE organization_id = $1",
    )
    .bind(tx.organization())
    .fetch_one(tx.connection())
    .await?;
    Ok(NanoUsd::new(total))
}

/// Name of a model that the organization sees; `None` when it is gone.
///
/// # Errors
/// When the database is away.
pub async fn model_name(tx: &mut TenantTx, id: ModelId) -> Result<Option<String>> {
    for owner in [tx.organization_id(), OrganizationId::SYSTEM] {
        match crate::models::get(tx, owner, id).await {
            Ok(stored) => return Ok(Some(stored.value.name.to_string())),
            Err(StoreError::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Slug of a provider that the organization sees; `None` when it is gone.
///
/// # Errors
/// When the database is away.
pub async fn provider_slug(tx: &mut TenantTx, id: ProviderId) -> Result<Option<String>> {
    for owner in [tx.organization_id(), OrganizationId::SYSTEM] {
        match crate::providers::get(tx, owner, id).await {
            Ok(stored) => return Ok(Some(stored.value.slug.to_string())),
            Err(StoreError::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Model and provider of offerings that the organization sees; those that are gone are left out.
///
/// # Errors
/// When the database is away.
pub async fn offering_names(
    tx: &mut TenantTx,
    ids: &[OfferingId],
) -> Result<HashMap<OfferingId, (ModelName, ProviderSlug)>> {
    let mut found = HashMap::new();
    for id in ids.iter().copied() {
        if found.contains_key(&id) {
            continue;
        }
        for owner in [tx.organization_id(), OrganizationId::SYSTEM] {
            match crate::offerings::get(tx, owner, id).await {
                Ok(stored) => {
                    found.insert(id, (stored.value.model, stored.value.provider));
                    break;
                }
                Err(StoreError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(found)
}
