//! Credentials that a request brings along: checked, opened for this call, forgotten with it.
//!
//! They never reach the vault, a record or a log. Where they lead is the catalogue's to say.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tidegate_policy::{Candidate, RequestCredential, View};
use tidegate_types::resource::{Credential, CredentialScope};
use tidegate_types::usage::{CredentialType, RefusalCause};
use tidegate_types::{CredentialId, OrganizationId, ProviderSlug, Secret};
use tidegate_upstream::SignIn;

use crate::gateway::Gateway;
use crate::read_call::Call;
use crate::refusal::{Refusal, Refused};

/// The credentials of one call. No Debug.
#[derive(Default)]
pub(crate) struct Brought {
    pub(crate) credentials: Vec<RequestCredential>,
    opened: Vec<(CredentialId, Arc<SignIn>)>,
}

const AT: &str = "providerOptions.gateway.byok";

impl Brought {
    /// Opens what the request brought. Ids are of this call alone.
    pub(crate) fn open(gateway: &Gateway, view: &View, call: &Call) -> Result<Self, Refused> {
        let mut brought = Self::default();
        for (slug, own) in call.body.gateway.byok.iter() {
            let provider = slug.parse::<ProviderSlug>().ok().filter(|slug| is_shared(view, slug));
            let Some(provider) = provider else {
                let message = "credentials in requests are for providers of the catalogue; this names none";
                return Err(refused(RefusalCause::BadRequest, message, slug));
            };
            for (place, one) in own.iter().enumerate() {
                let Ok(sign_in) = SignIn::open(one.form, &one.secret) else {
                    let message = "the credential cannot be used: a field is not of its form";
                    return Err(refused(RefusalCause::BadRequest, message, slug));
                };
                let id = CredentialId::from_u128((gateway.entropy)());
                brought.opened.push((id, Arc::new(sign_in)));
                brought.credentials.push(RequestCredential {
                    credential: Arc::new(Credential {
                        organization_id: view.organization_id(),
                        id,
                        name: String::new(),
                        // The narrowest scope: before any stored one of another provider.
                        scope: CredentialScope::Team { team_id: view.team_id() },
                        provider: provider.clone(),
                        form: one.form,
                        enabled: true,
                        position: i32::try_from(place).unwrap_or(i32::MAX),
                        weight: None,
                        sealed: Vec::new(),
                        region: region(&one.secret),
                        attestation: None,
                    }),
                    models: one
                        .models
                        .iter()
                        .map(|(name, own)| (name.clone(), own.as_str().into()))
                        .collect(),
                });
            }
        }
        Ok(brought)
    }

    /// Refuses them where a policy forbids them.
    pub(crate) fn check(&self, allowed: bool) -> Result<(), Refused> {
        if allowed || self.credentials.is_empty() {
            return Ok(());
        }
        let message = "a policy forbids credentials in requests";
        Err(Refusal::new(RefusalCause::NotAllowed, message).code("byok_not_allowed").param(AT))
    }

    /// The sign-in of a credential of this call.
    pub(crate) fn sign_in(&self, credential: &Credential) -> Option<Arc<SignIn>> {
        self.opened.iter().find(|(id, _)| *id == credential.id).map(|(_, opened)| opened.clone())
    }
}

/// How long an attempt over the caller's own credential may take until its first event.
pub(crate) fn timeout(call: &Call, candidate: &Candidate) -> Option<Duration> {
    let own = candidate.credential_type != CredentialType::System;
    let mut timeouts = call.body.gateway.timeouts.iter().filter(|_| own);
    let found = timeouts.find(|(slug, _)| slug == candidate.provider.slug.as_str());
    found.map(|(_, ms)| Duration::from_millis(*ms))
}

/// The region that a secret names, which is no secret.
fn region(secret: &Secret) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(alias = "location")]
        region: Option<String>,
    }
    serde_json::from_str::<Named>(secret.expose()).ok()?.region
}

fn is_shared(view: &View, slug: &ProviderSlug) -> bool {
    let provider = view.catalogue().provider(slug);
    provider.is_some_and(|provider| provider.organization_id == OrganizationId::SYSTEM)
}

fn refused(cause: RefusalCause, message: &'static str, slug: &str) -> Refused {
    let slug: String = slug.chars().filter(|c| c.is_ascii_graphic()).take(64).collect();
    Refusal::new(cause, message).param(format!("{AT}.{slug}"))
}
