//! Credentials stay as they are written, sealed; a closed one is disabled.

use tidegate_types::OrganizationId;
use tidegate_types::resource::{Credential, CredentialScope};

use super::{Piece, text};
use crate::reason::Reason;

/// Greatest weight.
const MOST_WEIGHT: u32 = 1_000_000;

impl Piece for Credential {
    type Source = Self;
    const MOST: usize = 10_000;

    fn faults(source: &Self) -> Vec<Reason> {
        let mut faults = Vec::new();
        text::name("name", &source.name, &mut faults);
        let system_owner = source.organization_id == OrganizationId::SYSTEM;
        if system_owner != (source.scope == CredentialScope::System) {
            faults.push(Reason::new("scope", "system scope and system ownership belong together"));
        }
        if source.weight.is_some_and(|weight| !(1..=MOST_WEIGHT).contains(&weight)) {
            faults.push(Reason::new(
                "weight",
                "must be from 1 to 1000000; one that is not to be used is disabled",
            ));
        }
        text::at_most("sealed", source.sealed.len(), 256, &mut faults);
        faults
    }

    fn weight(source: &Self) -> usize {
        source.name.len() + source.sealed.iter().map(|sealed| sealed.bytes.len()).sum::<usize>()
    }

    fn build(source: Self, _n: u64) -> Self {
        source
    }

    fn close(self) -> Self {
        Self { enabled: false, ..self }
    }
}
