//! Whether a provider has use for a secret: its way of signing in, and the places of its base URL.

use tidegate_store::{Change, resources};
use tidegate_types::ProviderSlug;
use tidegate_types::resource::{AuthScheme, Place, Provider, Resource, ResourceKind, SecretForm, places_of};

use crate::checks::Checks;
use crate::problem::Problem;

/// Refuses with 422 a form that cannot sign in at the provider, and a secret that lacks a field
/// of its base URL. A provider that nobody knows yet is no reason to refuse.
pub(super) async fn check(
    change: &mut Change,
    slug: &ProviderSlug,
    form: SecretForm,
    given: &[Place],
) -> Result<(), Problem> {
    let all = resources(change, &[ResourceKind::Provider]).await?;
    let found = all.into_iter().find_map(|resource| match resource {
        Resource::Provider(provider) if provider.slug == *slug => Some(provider),
        _ => None,
    });
    let Some(provider) = found else { return Ok(()) };
    let mut checks = Checks::default();
    let message = format!("cannot sign in at this provider, which wants {}", wanted(provider.auth));
    checks.that(fits(form, &provider), "form", message);
    for place in places_of(&provider.base_url) {
        checks.that(
            given.contains(&place),
            format!("secret.{}", place.name()),
            "is required by the provider's base URL",
        );
    }
    checks.done()
}

const fn fits(form: SecretForm, provider: &Provider) -> bool {
    match (form, provider.auth) {
        (SecretForm::ApiKey, _) | (_, AuthScheme::None) => true,
        (SecretForm::Aws, auth) => matches!(auth, AuthScheme::AwsSigV4),
        (SecretForm::GoogleServiceAccount, auth) => {
            matches!(auth, AuthScheme::GoogleServiceAccount | AuthScheme::Bearer)
        }
    }
}

const fn wanted(auth: AuthScheme) -> &'static str {
    match auth {
        AuthScheme::AwsSigV4 => "aws or api_key",
        AuthScheme::GoogleServiceAccount => "google_service_account or api_key",
        AuthScheme::Bearer => "api_key or google_service_account",
        AuthScheme::XApiKey | AuthScheme::ApiKey | AuthScheme::GoogleApiKey | AuthScheme::None => "api_key",
    }
}
