//! Turns what the feed sent into changes of the configuration. Trusts nothing of it: what cannot
//! be read is rejected alone.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tidegate_policy::{Body, Incoming, Rejected};
use tidegate_proto::config as wire;
use tidegate_proto::{key_of_unknown_kind, versioned_from_wire};
use tidegate_types::resource::{ResourceKey, ResourceKind};
use tidegate_types::{OrganizationId, Shard};

use crate::settings::{Probe, Seen};

/// The changes of a delta's part, in their order. One that panics while it is read is rejected alone.
pub(crate) fn changes(shard: Shard, resources: &[wire::VersionedResource], probe: &Probe) -> Vec<Incoming> {
    let read = |resource: &wire::VersionedResource| {
        let read = catch_unwind(AssertUnwindSafe(|| {
            probe.see(Seen::Resource(resource));
            change(shard, resource)
        }));
        read.unwrap_or_else(|_| unread(resource, "reading it failed"))
    };
    resources.iter().filter_map(read).collect()
}

/// A change of which only the name is known; `None` where not even that can be read.
pub(crate) fn unread(message: &wire::VersionedResource, reason: &str) -> Option<Incoming> {
    let key = message.key.clone().and_then(|key| ResourceKey::try_from(key).ok())?;
    Some(Incoming {
        key,
        n: message.n,
        tightens: message.tightens,
        content_hash: message.content_hash.as_slice().try_into().unwrap_or_default(),
        body: Body::Unreadable(reason.to_owned()),
    })
}

fn change(shard: Shard, message: &wire::VersionedResource) -> Option<Incoming> {
    let content_hash = message.content_hash.as_slice().try_into().unwrap_or_default();
    match versioned_from_wire(shard, message.clone()) {
        Ok(version) => Some(Incoming::new(version, content_hash)),
        Err((Some(_), error)) => unread(message, &error.to_string()),
        // `foreign` keeps an eye on those.
        Err((None, _)) if key_of_unknown_kind(message).is_some() => None,
        Err((None, error)) => {
            // Without a key it cannot even be rejected by name; the digests will differ.
            tracing::error!(%error, "a resource of the feed has no readable key");
            None
        }
    }
}

/// The organizations whose budgets or epochs these changes touch.
pub(crate) fn with_budgets(changes: &[Incoming]) -> BTreeSet<OrganizationId> {
    changes
        .iter()
        .filter(|change| matches!(change.key.kind, ResourceKind::Budget | ResourceKind::BudgetEpoch))
        .map(|change| change.key.organization_id)
        .collect()
}

/// Takes out of a part what was rejected while its last good version stays in force: the disk
/// keeps that version then. What tightens stays, so that it fails closed after a restart too.
pub(crate) fn without_rejected(delta: &mut wire::Delta, rejected: &[Rejected]) {
    if rejected.is_empty() {
        return;
    }
    delta.resources.retain(|resource| {
        let key = resource.key.clone().and_then(|key| ResourceKey::try_from(key).ok());
        let is_rejected = rejected.iter().any(|one| Some(&one.key) == key.as_ref() && one.n == resource.n);
        resource.tightens || !is_rejected
    });
}

/// What is wrong, for the control plane.
pub(crate) fn rejections(rejected: Vec<Rejected>) -> Vec<wire::Rejection> {
    rejected
        .into_iter()
        .map(|one| wire::Rejection { key: Some((&one.key).into()), n: one.n, reason: one.reason })
        .collect()
}
