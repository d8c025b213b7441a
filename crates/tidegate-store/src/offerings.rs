//! Offerings of the catalogue and their prices, which are written once and for ever.

use std::collections::HashMap;

use serde_json::{Value, json};
use tidegate_types::resource::{Offering, Price, Resource, ResourceKind};
use tidegate_types::{OfferingId, OrganizationId, PriceId};
use uuid::Uuid;

use crate::change::Change;
use crate::convert::{from_json, time, to_json};
use crate::tenant::TenantTx;
use crate::{Page, Result, Store, StoreError, Stored, document};

const KIND: ResourceKind = ResourceKind::Offering;

fn unwrap(resource: Resource) -> Option<Offering> {
    match resource {
        Resource::Offering(value) => Some(value),
        _ => None,
    }
}

/// The offering with this id, of the bound organization or the shared catalogue.
///
/// # Errors
/// [`StoreError::NotFound`], also for other organizations' ids.
pub async fn get(tx: &mut TenantTx, owner: OrganizationId, id: OfferingId) -> Result<Stored<Offering>> {
    document::get(tx, owner, KIND, id, unwrap).await
}

/// A page of offerings after `after`.
///
/// # Errors
/// When the database is away.
pub async fn list(
    tx: &mut TenantTx,
    owner: OrganizationId,
    after: Option<OfferingId>,
    limit: u32,
) -> Result<Page<Stored<Offering>>> {
    document::list(tx, owner, KIND, json!({}), after, limit, unwrap).await
}

/// Adds an offering with its prices.
///
/// # Errors
/// [`StoreError::Taken`] for a second offering of the model at the provider.
pub async fn insert(change: &mut Change, offering: &Offering) -> Result<()> {
    change.write(Some(offering.id.to_uuid()), &Resource::Offering(offering.clone()), false)?;
    sqlx::query(
        "INSERT INTO offerings (organization_id, offering_id, model, provider) VALUES ($1, $2, $3, $4)",
    )
    .bind(offering.organization_id.to_uuid())
    .bind(offering.id.to_uuid())
    .bind(offering.model.as_str())
    .bind(offering.provider.as_str())
    .execute(change.connection())
    .await?;
    keep_prices(change, offering).await
}

/// Stores a new version, which may add prices but must keep those that are stored.
///
/// # Errors
/// [`StoreError::NotFound`], [`StoreError::VersionConflict`], [`StoreError::Immutable`] when a
/// stored price is missing or different.
pub async fn update(
    change: &mut Change,
    offering: &Offering,
    expected: Option<i64>,
    tightens: bool,
) -> Result<()> {
    document::lock(change, KIND, offering.id, expected).await?;
    change.write(Some(offering.id.to_uuid()), &Resource::Offering(offering.clone()), tightens)?;
    sqlx::query(
        "UPDATE offerings SET model = $3, provider = $4 WHERE organization_id = $1 AND offering_id = $2",
    )
    .bind(offering.organization_id.to_uuid())
    .bind(offering.id.to_uuid())
    .bind(offering.model.as_str())
    .bind(offering.provider.as_str())
    .execute(change.connection())
    .await?;
    keep_prices(change, offering).await
}

async fn keep_prices(change: &mut Change, offering: &Offering) -> Result<()> {
    for price in &offering.prices {
        sqlx::query(
            "INSERT INTO prices (organization_id, price_id, offering_id, content, valid_from, recorded_at)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (organization_id, price_id) DO NOTHING",
        )
        .bind(offering.organization_id.to_uuid())
        .bind(price.id.to_uuid())
        .bind(offering.id.to_uuid())
        .bind(to_json(price, "price")?)
        .bind(time(price.valid_from))
        .bind(time(price.recorded_at))
        .execute(change.connection())
        .await?;
    }
    let stored: Vec<(Value,)> =
        sqlx::query_as("SELECT content FROM prices WHERE organization_id = $1 AND offering_id = $2")
            .bind(offering.organization_id.to_uuid())
            .bind(offering.id.to_uuid())
            .fetch_all(change.connection())
            .await?;
    let stored: Vec<Price> =
        stored.into_iter().map(|(content,)| from_json(content, "price")).collect::<Result<_>>()?;
    let same =
        stored.len() == offering.prices.len() && stored.iter().all(|price| offering.prices.contains(price));
    if same { Ok(()) } else { Err(StoreError::Immutable("price")) }
}

/// Prices by id, whoever owns them: what recomputing a charge needs. Unknown ids are left out.
///
/// # Errors
/// When the database is away.
pub async fn prices(store: &Store, ids: &[PriceId]) -> Result<HashMap<PriceId, Price>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.to_uuid()).collect();
    let rows: Vec<(Value,)> = sqlx::query_as("SELECT content FROM prices WHERE price_id = ANY($1)")
        .bind(&ids)
        .fetch_all(store.feed())
        .await?;
    let prices = rows.into_iter().map(|(content,)| {
        let price: Price = from_json(content, "price")?;
        Ok((price.id, price))
    });
    prices.collect()
}

/// Deletes an offering; its prices are kept, because billing events name them.
///
/// # Errors
/// [`StoreError::NotFound`], [`StoreError::VersionConflict`], [`StoreError::InUse`].
pub async fn delete(change: &mut Change, id: OfferingId, expected: Option<i64>) -> Result<()> {
    document::lock_to_end(change, KIND, id, expected).await?;
    document::remove(change, KIND, id);
    let organization = change.organization();
    sqlx::query("DELETE FROM offerings WHERE organization_id = $1 AND offering_id = $2")
        .bind(organization)
        .bind(id.to_uuid())
        .execute(change.connection())
        .await?;
    Ok(())
}
