//! A new root key, kept by the present keeper: everybody learns it, then it wraps, then everything is wrapped
//! anew, then the old ones are forgotten.

use tidegate_secrets::envelope::Aad;
use tidegate_secrets::places;
use tidegate_store::AuditNote;
use tidegate_store::root_keys::{self, Place};
use tidegate_store::wrapped;
use tidegate_types::OrganizationId;

use crate::KeyringError;
use crate::rotation::{SEEN, Work};

pub(crate) async fn rotate(work: &Work<'_>) -> Result<(), KeyringError> {
    let ring = work.ring;
    let version = begun(work).await?;
    // Everybody can open what it wraps before anybody wraps with it.
    tokio::time::sleep(SEEN).await;
    let mut change = ring.change(OrganizationId::SYSTEM).await?;
    root_keys::activate(&mut change, version).await?;
    commit(change, "keys.root.active", version).await?;
    ring.refresh().await?;
    // Nobody wraps with the old one any more.
    tokio::time::sleep(SEEN).await;
    let organizations = root_keys::organizations(&ring.store).await?;
    let total = organizations.len() as u64;
    loop {
        let mut changed = 0;
        for (done, organization) in organizations.iter().enumerate() {
            changed += rewrap(work, *organization).await?;
            if done % 100 == 0 {
                work.note(done as u64, total, None).await?;
            }
        }
        if changed == 0 {
            break;
        }
    }
    work.note(total, total, None).await?;
    let mut change = ring.change(OrganizationId::SYSTEM).await?;
    root_keys::forget_retiring(&mut change).await?;
    commit(change, "keys.root.forget_old", version).await?;
    ring.refresh().await
}

/// The new root key's version; one that was begun already is gone on with.
async fn begun(work: &Work<'_>) -> Result<u32, KeyringError> {
    let ring = work.ring;
    let mut change = ring.change(OrganizationId::SYSTEM).await?;
    let rows = root_keys::list(&mut change).await?;
    if let Some(pending) = rows.iter().find(|row| row.state == "pending") {
        return Ok(pending.version);
    }
    // Old ones are left: the last step was not reached, and the active one is the new one.
    if rows.iter().any(|row| row.state == "retiring")
        && let Some(active) = rows.iter().find(|row| row.state == "active")
    {
        return Ok(active.version);
    }
    let version = rows.iter().map(|row| row.version).max().unwrap_or(0) + 1;
    let row = ring.wrapped(version, "pending").await?;
    root_keys::insert(&mut change, &row).await?;
    commit(change, "keys.root.create", version).await?;
    Ok(version)
}

/// Wraps anew what belongs to one organization; how much that was.
async fn rewrap(work: &Work<'_>, organization: OrganizationId) -> Result<usize, KeyringError> {
    let ring = work.ring;
    let mut change = ring.change(organization).await?;
    let mut all = if organization == OrganizationId::SYSTEM {
        root_keys::wrapped_above(&mut change).await?
    } else {
        Vec::new()
    };
    let keys = wrapped::data_keys(&mut change).await?;
    all.extend(keys.into_iter().map(|key| (Place::DataKey(key.version), key.bytes)));
    let mut changed = 0;
    for (place, bytes) in all {
        if let Some(fresh) = ring.kek.rewrap(&aad(organization, &place), &bytes)? {
            root_keys::rewrap(&mut change, &place, &bytes, &fresh).await?;
            changed += 1;
        }
    }
    if changed > 0 {
        let object = format!("{changed} wrapped keys");
        change.commit(AuditNote { action: "keys.rewrap", object, before: None, after: None }).await?;
    }
    Ok(changed)
}

pub(crate) fn aad(organization: OrganizationId, place: &Place) -> Aad {
    match place {
        Place::PoolKey(pool, version) => places::pool_key(pool, *version),
        Place::Pepper(version) => places::pepper(*version),
        Place::Authority(version) => places::certificate_authority(*version),
        Place::DataKey(version) => places::data_key(organization, *version),
        Place::Installation(name) => places::installation(name),
    }
}

async fn commit(
    change: tidegate_store::Change,
    action: &'static str,
    version: u32,
) -> Result<(), KeyringError> {
    let object = format!("root key {version}");
    change.commit(AuditNote { action, object, before: None, after: None }).await?;
    Ok(())
}
