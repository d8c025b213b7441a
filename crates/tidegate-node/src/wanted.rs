//! Keys of issuers that callers' tokens named and that this node does not hold: told with the next heartbeat.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use tidegate_proto::config as wire;
use tidegate_types::{OrganizationId, TrustRuleId};

/// Most rules in one heartbeat: what does not fit is asked for again by the next token.
const MOST: usize = 64;

/// The rules whose issuers' keys are wanted.
#[derive(Debug, Default)]
pub(crate) struct WantedKeys(Mutex<BTreeSet<(OrganizationId, TrustRuleId)>>);

impl WantedKeys {
    /// Notes a rule; any number of tokens until the next heartbeat is one question.
    pub(crate) fn note(&self, organization: OrganizationId, rule: TrustRuleId) {
        let mut wanted = self.0.lock();
        if wanted.len() < MOST {
            wanted.insert((organization, rule));
        }
    }

    /// What was noted since the last time.
    pub(crate) fn take(&self) -> Vec<wire::WantedKeys> {
        let tell = |(organization, rule): (OrganizationId, TrustRuleId)| wire::WantedKeys {
            organization_id: organization.to_string(),
            trust_rule_id: rule.to_string(),
        };
        std::mem::take(&mut *self.0.lock()).into_iter().map(tell).collect()
    }
}
