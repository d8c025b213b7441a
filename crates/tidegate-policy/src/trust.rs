//! Trust rules by organization, issuer and audience, and issuers that are bound to organizations, found without
//! I/O. No organization's rules are near another's: who asks says whose are meant.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::RwLock;
use smallvec::SmallVec;
use tidegate_types::OrganizationId;
use tidegate_types::resource::{BoundIssuer, TrustRule};

/// Rules that speak of the same tokens.
pub(crate) type Rules = SmallVec<[Arc<TrustRule>; 4]>;

type Place = (OrganizationId, Box<str>, Box<str>);

/// An issuer, and the audience that is meant; none: whatever the audience.
type Bound = (Box<str>, Option<Box<str>>);

type Index<K, V> = RwLock<HashMap<K, V, ahash::RandomState>>;

/// The index; a change locks it for the time of one organization's rules.
#[derive(Debug, Default)]
pub(crate) struct TrustIndex {
    rules: Index<Place, Rules>,
    /// More than one organization only while an issuer moves from one to another.
    bound: Index<Bound, SmallVec<[OrganizationId; 1]>>,
}

impl TrustIndex {
    /// Puts an organization's rules in the place of those it had.
    pub(crate) fn replace(
        &self,
        organization: OrganizationId,
        before: &[Arc<TrustRule>],
        after: &[Arc<TrustRule>],
    ) {
        let mut index = self.rules.write();
        for rule in before {
            index.remove(&place(organization, &rule.issuer, &rule.audience));
        }
        for rule in after {
            let place = place(organization, &rule.issuer, &rule.audience);
            index.entry(place).or_default().push(Arc::clone(rule));
        }
    }

    /// Puts the issuers that are bound to an organization in the place of those that were.
    pub(crate) fn rebind(&self, organization: OrganizationId, before: &[BoundIssuer], after: &[BoundIssuer]) {
        let mut index = self.bound.write();
        for bound in before.iter().flat_map(bound) {
            if let Some(holders) = index.get_mut(&bound) {
                holders.retain(|holder| *holder != organization);
                if holders.is_empty() {
                    index.remove(&bound);
                }
            }
        }
        for bound in after.iter().flat_map(bound) {
            index.entry(bound).or_default().push(organization);
        }
    }

    /// The organization's rules that speak of this issuer's tokens for this audience.
    pub(crate) fn find(&self, organization: OrganizationId, issuer: &str, audience: &str) -> Rules {
        find(&self.rules, &place(organization, issuer, audience))
    }

    /// The organization to which the operator bound the issuer's tokens for one of these audiences; `None` also
    /// where that were several.
    pub(crate) fn bound(&self, issuer: &str, audiences: &[&str]) -> Option<OrganizationId> {
        let asked = audiences.iter().map(|audience| Some((*audience).into())).chain([None]);
        let mut holders = asked.flat_map(|audience| find(&self.bound, &(issuer.into(), audience)));
        let first = holders.next()?;
        holders.all(|other| other == first).then_some(first)
    }
}

fn find<K: Eq + Hash, V: Clone + Default>(index: &Index<K, V>, key: &K) -> V {
    index.read().get(key).cloned().unwrap_or_default()
}

fn place(organization: OrganizationId, issuer: &str, audience: &str) -> Place {
    (organization, issuer.into(), audience.into())
}

fn bound(bound: &BoundIssuer) -> Vec<Bound> {
    let of =
        |audience: Option<&String>| (bound.issuer.as_str().into(), audience.map(|one| one.as_str().into()));
    match bound.audiences.as_slice() {
        [] => vec![of(None)],
        some => some.iter().map(|audience| of(Some(audience))).collect(),
    }
}
