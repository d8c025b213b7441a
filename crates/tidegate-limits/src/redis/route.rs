//! Which server counts for an organization: the one there is, or the primary of its slot in a cluster.

use std::ops::Deref;
use std::sync::Arc;

use tidegate_types::OrganizationId;

use super::cluster::Cluster;
use super::shard::Shard;

/// The way to the server.
pub(super) enum Route {
    /// One server for everybody.
    One(Arc<Shard>),
    /// The primaries of a cluster.
    Many(Box<Cluster>),
}

/// Who serves at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Servers that are to count.
    pub(super) servers: usize,
    /// Those of them that cannot be asked.
    pub(super) away: usize,
    /// Slots of a cluster that no known server has.
    pub(super) unserved: usize,
}

impl Standing {
    /// Whether everybody can be asked for.
    pub(super) const fn is_well(self) -> bool {
        self.away == 0 && self.unserved == 0
    }
}

/// The server that counts for somebody at this moment.
pub(super) enum Counting<'a> {
    One(&'a Shard),
    Many(Arc<Shard>),
}

impl Deref for Counting<'_> {
    type Target = Shard;

    fn deref(&self) -> &Shard {
        match self {
            Self::One(shard) => shard,
            Self::Many(shard) => shard,
        }
    }
}

impl Route {
    /// The server that counts for an organization.
    pub(super) fn of(&self, organization: OrganizationId) -> Counting<'_> {
        match self {
            Self::One(shard) => Counting::One(shard),
            Self::Many(cluster) => Counting::Many(cluster.of(organization)),
        }
    }

    /// The server that has what is no organization's, and whose clock is the store's.
    pub(super) fn fleet(&self) -> Counting<'_> {
        match self {
            Self::One(shard) => Counting::One(shard),
            Self::Many(cluster) => Counting::Many(cluster.fleet()),
        }
    }

    /// Every server, and whatever else has a queue.
    pub(super) fn all(&self) -> Vec<Arc<Shard>> {
        match self {
            Self::One(shard) => vec![Arc::clone(shard)],
            Self::Many(cluster) => cluster.all(),
        }
    }

    /// Who serves.
    pub(super) fn standing(&self) -> Standing {
        match self {
            Self::One(shard) => {
                Standing { servers: 1, away: usize::from(!shard.breaker.is_closed()), unserved: 0 }
            }
            Self::Many(cluster) => cluster.standing(),
        }
    }

    /// The server that counts for an organization, if that is not this one.
    pub(super) fn elsewhere(&self, organization: OrganizationId, here: &Shard) -> Option<Arc<Shard>> {
        match self {
            Self::One(_) => None,
            Self::Many(cluster) => {
                let shard = cluster.of(organization);
                (!std::ptr::eq(&raw const *shard, here)).then_some(shard)
            }
        }
    }

    /// These organizations by their servers.
    pub(super) fn parts(&self, organizations: Vec<OrganizationId>) -> Vec<(Arc<Shard>, Vec<OrganizationId>)> {
        let cluster = match self {
            Self::One(_) if organizations.is_empty() => return Vec::new(),
            Self::One(shard) => return vec![(Arc::clone(shard), organizations)],
            Self::Many(cluster) => cluster,
        };
        let mut parts: Vec<(Arc<Shard>, Vec<OrganizationId>)> = Vec::new();
        for organization in organizations {
            let shard = cluster.of(organization);
            match parts.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &shard)) {
                Some((_, those)) => those.push(organization),
                None => parts.push((shard, vec![organization])),
            }
        }
        parts
    }
}
