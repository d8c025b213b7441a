//! Credentials that a request brings along: they stand in for the stored ones of their provider.
//!
//! Knows nothing of what they hold. They sign in at providers of the shared catalogue only, so that
//! neither a request nor an organization leads them elsewhere.

use std::sync::Arc;

use tidegate_types::resource::{AuthScheme, Credential};
use tidegate_types::usage::CredentialType;
use tidegate_types::{OrganizationId, ProviderSlug};

use super::candidates::{Offer, Search, Taken};
use super::order::Candidates;

/// A credential of a request. Its id is of this request alone, and it holds nothing sealed.
#[derive(Debug, Clone)]
pub struct RequestCredential {
    /// As a credential; `position` is its place among those of the request.
    pub credential: Arc<Credential>,
    /// Names of models in the catalogue, and what they are called over this credential.
    pub models: Vec<(String, Arc<str>)>,
}

impl<'s> Search<'_, '_> {
    /// Whether the request brought credentials for a provider: then stored ones are not looked at.
    pub(super) fn brings_credentials(&self, provider: &ProviderSlug) -> bool {
        self.facts.credentials.iter().any(|own| own.credential.provider == *provider)
    }

    /// Crosses an offering with the request's credentials for its provider.
    pub(super) fn sign_in_by_request(
        &'s self,
        offer: &Offer<'s>,
        found: &mut Candidates,
        removed: &mut Taken,
    ) {
        if offer.provider.organization_id != OrganizationId::SYSTEM || offer.provider.auth == AuthScheme::None
        {
            return;
        }
        let own = self.facts.credentials.iter();
        for own in own.filter(|own| own.credential.provider == offer.provider.slug) {
            let before = found.len();
            let named = |(name, _): &&(String, Arc<str>)| name == offer.target.model.as_str();
            let mapped = own.models.iter().find(named).map(|(_, custom)| Arc::clone(custom));
            // Facts are of what the offering names: the request's own name may mean another place.
            if let Some(filter) = mapped.as_ref().and_then(|_| self.unplaced()) {
                removed.push(offer.without(None, filter));
                continue;
            }
            self.admit(offer, Some(&own.credential), CredentialType::Client, found, removed);
            if let Some(candidate) = found.get_mut(before) {
                candidate.custom_name = mapped;
            }
        }
    }
}
