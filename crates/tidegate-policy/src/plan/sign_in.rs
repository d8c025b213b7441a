//! Crosses an offering with the credentials that may be used for it: the request's, else the team's and the
//! organization's, then the operator's where that is allowed.

use std::sync::Arc;

use tidegate_types::OrganizationId;
use tidegate_types::resource::{AuthScheme, Credential, CredentialScope, Provider};
use tidegate_types::usage::CredentialType;

use super::candidates::{Offer, Search, Taken};
use super::filter::Filter;
use super::order::Candidates;

impl<'s> Search<'_, '_> {
    /// Crosses an offering with the credentials that may be used for it.
    pub(super) fn sign_in(&'s self, offer: &Offer<'s>, found: &mut Candidates, removed: &mut Taken) {
        let system_owned = offer.offering.organization_id == OrganizationId::SYSTEM;
        if offer.provider.auth == AuthScheme::None {
            let paid_by = if system_owned { CredentialType::System } else { CredentialType::Byok };
            return self.admit(offer, None, paid_by, found, removed);
        }
        let before = found.len() + removed.len();
        let brought = self.brings_credentials(&offer.provider.slug);
        if brought {
            self.sign_in_by_request(offer, found, removed);
        }
        for credential in self.own_credentials(offer.provider).filter(|_| !brought) {
            if !credential.enabled {
                removed.push(offer.without(Some(credential), Filter::CredentialDisabled));
            } else if system_owned && self.has_own_price(offer) {
                removed.push(offer.without(Some(credential), Filter::OwnPrice));
            } else {
                self.admit(offer, Some(credential), CredentialType::Byok, found, removed);
            }
        }
        for credential in self.system_credentials(offer) {
            if !self.demands.effective.allow_system_credentials {
                removed.push(offer.without(Some(credential), Filter::SystemCredentials));
            } else if !credential.enabled {
                removed.push(offer.without(Some(credential), Filter::CredentialDisabled));
            } else {
                self.admit(offer, Some(credential), CredentialType::System, found, removed);
            }
        }
        if found.len() + removed.len() == before {
            removed.push(offer.without(None, Filter::NoCredential));
        }
    }

    /// Whether the organization has an offering of its own for the same model at the same provider:
    /// then calls over its credentials cost what that one says.
    fn has_own_price(&self, offer: &Offer<'_>) -> bool {
        let own = self.view.organization.own.offerings_of(&offer.offering.model);
        own.iter().any(|entry| {
            let offering = &entry.offering;
            offering.provider == offer.offering.provider
                && offering.enabled
                && offering.price_at(self.now).is_some()
        })
    }

    /// The organization's and the team's credentials for a provider. Where the organization has a
    /// provider of its own by that name, its credentials are for that one and go nowhere else.
    pub(super) fn own_credentials(
        &'s self,
        provider: &Provider,
    ) -> impl Iterator<Item = &'s Arc<Credential>> {
        let organization = &self.view.organization;
        let meant = provider.organization_id != OrganizationId::SYSTEM
            || !organization.own.providers.contains_key(&provider.slug);
        let team = self.view.key.team;
        let credentials = organization.credentials.get(&provider.slug).filter(|_| meant);
        credentials.into_iter().flatten().filter(move |credential| match credential.scope {
            CredentialScope::Team { team_id } => team_id == team,
            CredentialScope::Organization => true,
            CredentialScope::System => false,
        })
    }

    /// The operator's credentials: for the operator's own offerings at the operator's own providers.
    fn system_credentials(&'s self, offer: &Offer<'s>) -> impl Iterator<Item = &'s Arc<Credential>> {
        let system_owned = offer.offering.organization_id == OrganizationId::SYSTEM
            && offer.provider.organization_id == OrganizationId::SYSTEM;
        let credentials = self.view.catalogue.credentials.get(&offer.provider.slug).filter(|_| system_owned);
        credentials.into_iter().flatten()
    }
}
