//! The filter of data handling: what a call demands against what is known of offerings and credentials.
//!
//! It is asked of every offering with every credential, fallbacks included, so that no hop leads around it.

use std::sync::Arc;

use tidegate_types::resource::{Areas, Attestation, AuthScheme, Credential, Provider, ZdrTier};
use tidegate_types::usage::{CredentialType, Evidence};

use super::candidates::{Offer, Search};
use super::filter::Filter;
use crate::compiled::{Offering, Use, Vouched};

impl<'s> Search<'_, '_> {
    /// Takes out an offering that no credential could make eligible. Where it depends on the credential
    /// (its region, its owner's attestation), that is asked later.
    pub(super) fn could_be_kept(
        &'s self,
        offering: &Offering,
        provider: Option<&'s Provider>,
    ) -> Result<(), Filter> {
        let demanded = self.demands.effective.zdr;
        let regional = || offering.handling().is_some_and(|handling| handling.is_regional());
        if demanded == ZdrTier::None || regional() {
            return Ok(());
        }
        self.features(offering, None)?;
        let attested = provider
            .is_some_and(|provider| self.own_credentials(provider).any(|own| self.attested(own).is_some()));
        if attested { Ok(()) } else { self.facts_of(offering, None).map(|_| ()) }
    }

    /// By what an offering may be called over a credential.
    pub(super) fn vouched(
        &'s self,
        offer: &Offer<'s>,
        credential: Option<&Credential>,
        paid_by: CredentialType,
    ) -> Result<Vouched, Filter> {
        let demanded = self.demands.effective.zdr;
        if demanded == ZdrTier::None {
            return Ok(Vouched::new());
        }
        let offering = offer.offering();
        let region = credential.and_then(|credential| credential.region.as_deref());
        let mut vouched = self.features(offering, region)?;
        let own = paid_by != CredentialType::System && offer.provider.auth != AuthScheme::None;
        let strict = demanded >= ZdrTier::ZdrWithSafetyRetention;
        let stored = credential.filter(|_| paid_by == CredentialType::Byok);
        let terms = match stored.and_then(|own| self.attested(own)) {
            Some(attested) => attested,
            // The facts are of the operator's contract, not of the organization's.
            None if own && strict && offer.is_shared() => return Err(Filter::Unattested),
            None => self.facts_of(offering, region)?,
        };
        vouched.insert(0, terms);
        Ok(vouched)
    }

    /// The facts of the call itself.
    fn facts_of(&self, offering: &Offering, region: Option<&str>) -> Result<Arc<Evidence>, Filter> {
        self.fact(offering, Use { operation: self.facts.operation, region, feature: None })
            .map_err(|promised| Filter::Zdr { demanded: self.demands.effective.zdr, promised })
    }

    /// The facts of every feature that the call makes use of.
    fn features(&self, offering: &Offering, region: Option<&str>) -> Result<Vouched, Filter> {
        let of = |name: &String| {
            let used = Use { operation: self.facts.operation, region, feature: Some(name) };
            self.fact(offering, used).map_err(|promised| Filter::Feature {
                name: name.as_str().into(),
                demanded: self.demands.effective.zdr,
                promised,
            })
        };
        self.facts.features.iter().map(of).collect()
    }

    fn fact(&self, offering: &Offering, of: Use<'_>) -> Result<Arc<Evidence>, ZdrTier> {
        let promise = offering.handling().and_then(|handling| handling.promise(of, self.now));
        match promise {
            Some((tier, evidence)) if tier >= self.demands.effective.zdr => Ok(Arc::clone(evidence)),
            Some((tier, _)) => Err(tier),
            None => Err(ZdrTier::None),
        }
    }

    /// What an own credential's owner attests, if it meets the demand now.
    fn attested(&self, own: &Credential) -> Option<Arc<Evidence>> {
        let attested = self.attestation(own)?;
        (own.enabled && attested.tier >= self.demands.effective.zdr)
            .then(|| stated(attested, attested.tier, Areas::NONE))
    }

    /// What an own credential's owner attests, while it counts.
    pub(super) fn attestation<'c>(&self, own: &'c Credential) -> Option<&'c Attestation> {
        let counts = |given: &&Attestation| given.attested_at <= self.now && self.now < given.expires_at;
        own.attestation.as_ref().filter(counts)
    }
}

/// What of an attestation is evidence of a call: of how data is handled, or of where.
pub(super) fn stated(attested: &Attestation, tier: ZdrTier, areas: Areas) -> Arc<Evidence> {
    Arc::new(Evidence {
        feature: None,
        tier,
        areas,
        source: format!("attested by {}: {}", attested.by, attested.statement),
        read_at: attested.attested_at,
        expires_at: attested.expires_at,
    })
}
