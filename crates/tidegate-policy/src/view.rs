//! What one request sees: its key, its organization, the catalogue, all as of one moment.

use std::net::IpAddr;
use std::sync::Arc;

use tidegate_types::resource::{KeyStatus, Team};
use tidegate_types::usage::RefusalCause;
use tidegate_types::{KeyId, ModelName, OrganizationId, Revision, TeamId, Timestamp};

use crate::allow::Allow;
use crate::catalogue::Catalogue;
use crate::compiled::KeyRecord;
use crate::snapshot::OrgSnapshot;

/// One snapshot for one request. Its key's secret has not been checked yet.
#[derive(Debug, Clone)]
pub struct View {
    pub(crate) organization: Arc<OrgSnapshot>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) key: Arc<KeyRecord>,
    /// When it was last known to be what the control plane has.
    pub(crate) confirmed: Timestamp,
}

/// Why a key is refused before its call is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// For ever.
    #[error("this key has been revoked")]
    Revoked,
    /// Its time is over.
    #[error("this key has expired")]
    Expired,
    /// Until it is resumed.
    #[error("this key is paused")]
    Paused,
    /// Until its team is resumed.
    #[error("the team of this key is paused")]
    TeamPaused,
    /// Until its organization is resumed.
    #[error("the organization of this key is paused")]
    OrganizationPaused,
    /// Not from this address.
    #[error("this key may not be used from this network address")]
    Address,
    /// A restriction of the key, its team or its organization could not be applied on this node.
    #[error("a restriction of this key could not be applied, so it is refused")]
    Closed,
    /// Until the node hears from its control plane again.
    #[error(
        "this node has not heard from its control plane for longer than the organization of this key allows"
    )]
    Stale,
}

impl KeyRefusal {
    /// The cause, as refusals and call records name it.
    #[must_use]
    pub const fn cause(self) -> RefusalCause {
        match self {
            Self::Revoked | Self::Expired => RefusalCause::Unauthenticated,
            Self::Stale => RefusalCause::Unavailable,
            _ => RefusalCause::NotAllowed,
        }
    }
}

impl View {
    /// Whether the key may be used at `now` from `address`. Its secret is the caller's to check
    /// ([`KeyRecord::secrets`]), first and in constant time.
    ///
    /// # Errors
    /// The [`KeyRefusal`], those of the key itself before those of its surroundings.
    pub fn admit(&self, now: Timestamp, address: IpAddr) -> Result<(), KeyRefusal> {
        match self.key.status {
            KeyStatus::Revoked => return Err(KeyRefusal::Revoked),
            KeyStatus::Paused => return Err(KeyRefusal::Paused),
            KeyStatus::Active => {}
        }
        let team = self.team();
        let refusals = [
            (self.key.expires_at.is_some_and(|end| end <= now), KeyRefusal::Expired),
            (self.key.closed || self.organization.organization.closed || team.is_none(), KeyRefusal::Closed),
            (self.organization.organization.paused, KeyRefusal::OrganizationPaused),
            (team.is_some_and(|team| team.paused), KeyRefusal::TeamPaused),
            (self.allow().is_some_and(|allow| !allow.admits(address)), KeyRefusal::Address),
            (self.organization.organization.is_stale(self.confirmed, now), KeyRefusal::Stale),
        ];
        refusals.into_iter().find(|(refused, _)| *refused).map_or(Ok(()), |(_, refusal)| Err(refusal))
    }

    /// The key: its secrets, tags, limits.
    #[must_use]
    pub fn key(&self) -> &KeyRecord {
        &self.key
    }

    /// The organization's snapshot.
    #[must_use]
    pub fn organization(&self) -> &OrgSnapshot {
        &self.organization
    }

    /// The shared catalogue.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The organization's id.
    #[must_use]
    pub fn organization_id(&self) -> OrganizationId {
        self.organization.id()
    }

    /// The key's id.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key.id
    }

    /// The id of the key's team.
    #[must_use]
    pub fn team_id(&self) -> TeamId {
        self.key.team
    }

    /// The key's team; a key without one is refused.
    #[must_use]
    pub fn team(&self) -> Option<&Arc<Team>> {
        self.organization.team(self.key.team)
    }

    /// The newest change of the organization or the key that this view includes.
    #[must_use]
    pub fn revision(&self) -> Revision {
        let revision = self.organization.revision;
        Revision { n: revision.n.max(self.key.n), ..revision }
    }

    pub(crate) fn allow(&self) -> Option<&Allow> {
        self.key.allow.as_deref()
    }

    /// Whether the key and every policy of it allow this model.
    pub(crate) fn allows_model(&self, model: &ModelName) -> bool {
        self.allow().is_none_or(|allow| allow.models.allows(model))
            && self
                .organization
                .policies
                .of(self.key.team, self.key.id)
                .all(|policy| policy.models.allows(model))
    }
}
