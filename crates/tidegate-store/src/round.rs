//! Work on one organization after the other, in which one that cannot be worked on keeps no other from it.

use std::collections::BTreeMap;

use tidegate_types::OrganizationId;

use crate::{Result, StoreError};

/// As many are named.
const NAMED: usize = 1_000;

/// What came of it.
#[derive(Debug, Default)]
pub struct Round {
    /// What was changed or found to be as it should.
    pub done: usize,
    /// Organizations that were passed over because this release cannot read something of theirs, and what. Where that is
    /// [`StoreError::Later`] a control plane of the release that wrote it does what is due; else it is damaged. 1,000
    /// at most.
    pub passed_over: BTreeMap<OrganizationId, StoreError>,
}

impl Round {
    /// Notes what came of one organization.
    ///
    /// # Errors
    /// What says something of the others as well.
    pub(crate) fn note(&mut self, organization: OrganizationId, one: Result<usize>) -> Result<()> {
        match one {
            Ok(done) => self.done += done,
            // It is gone, and nothing is due any more.
            Err(StoreError::NotFound) => {}
            Err(error) if error.is_of_one() => {
                if self.passed_over.len() < NAMED {
                    self.passed_over.insert(organization, error);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
