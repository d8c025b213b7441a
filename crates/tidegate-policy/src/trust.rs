//! Trust rules of every organization by issuer and audience, found without I/O.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use smallvec::SmallVec;
use tidegate_types::OrganizationId;
use tidegate_types::resource::TrustRule;

/// Rules that speak of the same tokens.
pub(crate) type Rules = SmallVec<[Arc<TrustRule>; 4]>;

type Place = (Box<str>, Box<str>);

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
            let place = place(&rule.issuer, &rule.audience);
            if let Some(rules) = index.get_mut(&place) {
                rules.retain(|known| known.organization_id != organization);
                if rules.is_empty() {
                    index.remove(&place);
                }
            }
        }
        for rule in after {
            index.entry(place(&rule.issuer, &rule.audience)).or_default().push(Arc::clone(rule));
        }
    }

    /// The rules that speak of this issuer's tokens for this audience.
    pub(crate) fn find(&self, issuer: &str, audience: &str) -> Rules {
        self.0.read().get(&place(issuer, audience)).cloned().unwrap_or_default()
    }
}

fn place(issuer: &str, audience: &str) -> Place {
    (issuer.into(), audience.into())
}
