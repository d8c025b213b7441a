//! The filter of places: where policies and request allow a call to be processed against what is known of
//! offerings and credentials.
//!
//! It is asked of every offering with every credential, fallbacks included, so that no hop leads around it.

use std::sync::Arc;

use tidegate_types::resource::{Areas, AuthScheme, Credential, Provider, ZdrTier};
use tidegate_types::usage::{CredentialType, Evidence};

use super::candidates::{Offer, Search};
use super::filter::{Asker, Filter};
use super::privacy::stated;
use crate::compiled::{Use, Vouched};

impl<'s> Search<'_, '_> {
    /// By what a candidate is known to be processed where it may be; empty where it may be anywhere.
    pub(super) fn placed(
        &'s self,
        offer: &Offer<'s>,
        credential: Option<&Credential>,
        paid_by: CredentialType,
    ) -> Result<Vouched, Filter> {
        let Some(allowed) = self.demands.effective.regions else { return Ok(Vouched::new()) };
        let known = self.whereabouts(offer, credential, paid_by);
        let within =
            |evidence: &Arc<Evidence>| !evidence.areas.is_empty() && evidence.areas.is_within(allowed);
        if !known.is_empty() && known.iter().all(within) {
            return Ok(known);
        }
        let areas = known.iter().flat_map(|evidence| evidence.areas.iter());
        Err(self.misplaced(allowed, (!known.is_empty()).then(|| areas.collect())))
    }

    /// The filter of what is not known to be processed where it may be; `None` where that is anywhere.
    pub(super) fn unplaced(&self) -> Option<Filter> {
        self.demands.effective.regions.map(|allowed| self.misplaced(allowed, None))
    }

    fn misplaced(&self, allowed: Areas, runs: Option<Areas>) -> Filter {
        let outside = |areas: Areas| !areas.is_empty() && runs.is_none_or(|runs| !runs.is_within(areas));
        let policy = self.demands.policies.iter().find(|policy| outside(policy.regions));
        let by = policy.map_or(Asker::Request, |policy| Asker::Policy(Arc::clone(&policy.name)));
        Filter::Residency { by, allowed, runs }
    }

    /// Everything that is known of where it is processed, which must agree; empty: nothing is.
    fn whereabouts(
        &'s self,
        offer: &Offer<'s>,
        credential: Option<&Credential>,
        paid_by: CredentialType,
    ) -> Vouched {
        let own = paid_by != CredentialType::System && offer.provider.auth != AuthScheme::None;
        let used = Use {
            operation: self.facts.operation,
            region: credential.and_then(|credential| credential.region.as_deref()),
            feature: None,
        };
        // Areas are those of the operator's contract; what the address names holds for everybody.
        let contract = !(own && offer.is_shared());
        let facts =
            offer.offering().locations().known(used, names_region(offer.provider), contract, self.now);
        let stored = credential.filter(|_| paid_by == CredentialType::Byok);
        let attested = stored.and_then(|own| self.attested_place(own));
        facts.unwrap_or_default().into_iter().chain(attested).collect()
    }

    /// Where an own credential's owner attests that calls over it are processed.
    fn attested_place(&self, own: &Credential) -> Option<Arc<Evidence>> {
        let attested = self.attestation(own).filter(|attested| !attested.areas.is_empty())?;
        Some(stated(attested, ZdrTier::None, attested.areas))
    }
}

/// Whether a credential's region is a part of the address that is called.
fn names_region(provider: &Provider) -> bool {
    provider.base_url.contains("{region}") || provider.base_url.contains("{location}")
}
