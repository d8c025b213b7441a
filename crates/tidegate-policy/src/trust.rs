//! Trust rules by organization, issuer and audience, found without I/O. No organization's rules are near
//! another's: who asks says whose are meant.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use smallvec::SmallVec;
use tidegate_types::OrganizationId;
use tidegate_types::resource::TrustRule;

/// Rules that speak of the same tokens.
pub(crate) type Rules = SmallVec<[Arc<TrustRule>; 4]>;

type Place = (OrganizationId, Box<str>, Box<str>);

/// The index; a change locks it for the time of one organization's rules.
#[derive(Debug, Default)]
pub(crate) struct TrustIndex(RwLock<HashMap<Place, Rules, ahash::RandomState>>);

impl TrustIndex {
    /// Puts an organization's rules in the place of those it had.
    pub(crate) fn replace(
        &self,
        organization: OrganizationId,
        before: &[Arc<TrustRule>],
        after: &[Arc<TrustRule>],
    ) {
        let mut index = self.0.write();
        for rule in before {
            index.remove(&place(organization, &rule.issuer, &rule.audience));
        }
        for rule in after {
            let place = place(organization, &rule.issuer, &rule.audience);
            index.entry(place).or_default().push(Arc::clone(rule));
        }
    }

    /// The organization's rules that speak of this issuer's tokens for this audience.
    pub(crate) fn find(&self, organization: OrganizationId, issuer: &str, audience: &str) -> Rules {
        self.0.read().get(&place(organization, issuer, audience)).cloned().unwrap_or_default()
    }
}

fn place(organization: OrganizationId, issuer: &str, audience: &str) -> Place {
    (organization, issuer.into(), audience.into())
}
