//! Versioned resources, positions and digests.

use tidegate_types::resource::{FEATURES, ResourceKey, Versioned, content_hash};
use tidegate_types::revision::{Digest, Position, Revision, Shard};

use crate::config as wire;
use crate::error::{ConvertError, Problem};
use crate::fields::Fields;

/// Features that a resource may demand of this version (`Resource.requires`), and that a node
/// names in `Hello.features`.
pub const SUPPORTED_FEATURES: &[&str] = FEATURES;

impl From<&Versioned> for wire::VersionedResource {
    fn from(version: &Versioned) -> Self {
        Self {
            key: Some((&version.key).into()),
            n: version.revision.n,
            tightens: version.tightens,
            resource: version.resource.as_ref().map(Into::into),
            content_hash: version.resource.as_ref().map(|r| content_hash(r).to_vec()).unwrap_or_default(),
        }
    }
}

/// Reads one resource of a delta of `shard`.
///
/// # Errors
/// The [`ConvertError`] of the field that is wrong, and the resource's key when at least that can
/// be read: the resource is then rejected alone. The key must be that of the resource itself, and
/// its organization one of the shard.
pub fn versioned_from_wire(
    shard: Shard,
    message: wire::VersionedResource,
) -> Result<Versioned, (Option<ResourceKey>, ConvertError)> {
    const AT: Fields = Fields("VersionedResource");
    let key =
        AT.required("key", message.key).and_then(ResourceKey::try_from).map_err(|error| (None, error))?;
    let resource = || {
        if Shard::of(key.organization_id) != shard {
            return AT.wrong("key", Problem::Contradiction);
        }
        let resource = message.resource.map(TryInto::try_into).transpose()?;
        match &resource {
            Some(resource) if tidegate_types::resource::Resource::key(resource) != key => {
                AT.wrong("key", Problem::Contradiction)
            }
            _ => Ok(resource),
        }
    };
    match resource() {
        Ok(resource) => Ok(Versioned {
            key,
            revision: Revision { shard, n: message.n },
            tightens: message.tightens,
            resource,
        }),
        Err(error) => Err((Some(key), error)),
    }
}

/// The shards of a position that have changes, as `Hello` and `Heartbeat` carry them.
#[must_use]
pub fn positions_to_wire(position: &Position) -> Vec<wire::ShardPosition> {
    let sparse = position.iter().filter(|revision| revision.n > 0);
    sparse.map(|r| wire::ShardPosition { shard: r.shard.index() as u32, n: r.n }).collect()
}

/// A position from its sparse form.
///
/// # Errors
/// When a shard does not exist or is named twice.
pub fn positions_from_wire(entries: &[wire::ShardPosition]) -> Result<Position, ConvertError> {
    const AT: Fields = Fields("ShardPosition");
    let mut position = Position::default();
    for entry in entries {
        let revision = AT.revision(entry.shard, entry.n)?;
        if position.get(revision.shard) != 0 {
            return AT.wrong("shard", Problem::Contradiction);
        }
        position.advance(revision);
    }
    Ok(position)
}

/// A digest from the 16 bytes of `Ack.digest`.
///
/// # Errors
/// When there are not 16 bytes.
pub fn digest_from_wire(bytes: &[u8]) -> Result<Digest, ConvertError> {
    Fields("Ack").bytes("digest", bytes).map(|raw| Digest::from_u128(u128::from_be_bytes(raw)))
}
