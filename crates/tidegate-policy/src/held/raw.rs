//! Identity of a resource in little space.

use sha2::{Digest as _, Sha256};
use tidegate_types::resource::{ResourceKey, ResourceKind};
use tidegate_types::{
    BudgetId, CredentialId, KeyId, ModelId, OfferingId, OrganizationId, PolicyId, ProviderId, RouteId,
    TeamId, TrustRuleId,
};

/// Owner, kind, and the bits of the id or of a hash of the name.
pub(crate) type Raw = (OrganizationId, ResourceKind, u128);

/// The bits of a resource's id; names are hashed.
pub(crate) fn raw_id(key: &ResourceKey) -> Option<u128> {
    let text = key.id.as_str();
    match key.kind {
        ResourceKind::Organization => text.parse().ok().map(OrganizationId::to_u128),
        ResourceKind::Team => text.parse().ok().map(TeamId::to_u128),
        ResourceKind::Key => text.parse().ok().map(KeyId::to_u128),
        ResourceKind::Credential => text.parse().ok().map(CredentialId::to_u128),
        ResourceKind::Provider => text.parse().ok().map(ProviderId::to_u128),
        ResourceKind::Model => text.parse().ok().map(ModelId::to_u128),
        ResourceKind::Offering => text.parse().ok().map(OfferingId::to_u128),
        ResourceKind::Route => text.parse().ok().map(RouteId::to_u128),
        ResourceKind::Policy => text.parse().ok().map(PolicyId::to_u128),
        ResourceKind::Budget => text.parse().ok().map(BudgetId::to_u128),
        ResourceKind::TrustRule => text.parse().ok().map(TrustRuleId::to_u128),
        ResourceKind::BudgetEpoch | ResourceKind::Pool => Some(hashed(text)),
    }
}

/// 128 bits for a text that is not an id.
pub(crate) fn hashed(text: &str) -> u128 {
    let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    hash.iter().take(16).fold(0, |bits, byte| (bits << 8) | u128::from(*byte))
}
