//! Which organizations the jobs pass over, because a later release wrote something of theirs or it is damaged: said
//! once of each, and counted.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_store::{Round, StoreError};
use tidegate_types::OrganizationId;
use tokio::sync::watch;

use crate::duty::Duty;

/// The organizations of each job's last round, as many as a [`Round`] names.
pub(crate) struct PassedOver {
    of: BTreeMap<&'static str, BTreeSet<OrganizationId>>,
    count: watch::Sender<usize>,
}

impl PassedOver {
    pub(crate) fn new(count: watch::Sender<usize>) -> Self {
        Self { of: BTreeMap::new(), count }
    }

    /// What a job's round came to. Who is passed over again is not told of again.
    pub(crate) fn note(&mut self, duty: Duty, round: Round) {
        let before = self.of.entry(duty.name()).or_default();
        for (organization, why) in &round.passed_over {
            if !before.contains(organization) {
                let duty = duty.name();
                match why {
                    StoreError::Later(_) => tracing::warn!(
                        duty, %organization, %why,
                        "an organization is passed over until a control plane of the later release is there"
                    ),
                    _ => tracing::error!(
                        duty, %organization, %why,
                        "an organization is passed over until what is stored of it can be read: it is damaged"
                    ),
                }
            }
        }
        *before = round.passed_over.into_keys().collect();
        let all: BTreeSet<_> = self.of.values().flatten().collect();
        self.count.send_replace(all.len());
    }

    /// Another control plane does the jobs: what it passes over is its own to tell.
    pub(crate) fn rest(&self) {
        self.count.send_replace(0);
    }
}
