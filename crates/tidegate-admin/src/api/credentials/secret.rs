//! A credential's secret on its way in: fields by name, checked against the declared form.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use tidegate_secrets::pem;
use tidegate_types::Secret;
use tidegate_types::resource::{Place, SecretForm};
use utoipa::ToSchema;

use crate::checks::{Checks, is_email};
use crate::problem::Problem;

/// The fields of the declared form. `api_key`: `api_key`, and `resource`, `region`, `project`,
/// `location` where the provider's base URL has such places. `aws`: `access_key_id`,
/// `secret_access_key`, `region`, optionally `session_token`. `google_service_account`:
/// `client_email`, `private_key`, `project`, `location`, optionally `private_key_id`.
// Cannot be printed or serialised.
#[derive(Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(as = CredentialSecret, value_type = BTreeMap<String, String>, example = json!({"api_key": "sk-…"}))]
pub(crate) struct SecretFields(BTreeMap<String, String>);

impl fmt::Debug for SecretFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A secret that has the fields of its form.
pub(crate) struct Checked {
    /// The JSON text to encrypt.
    pub(super) text: Secret,
    /// The places of base URLs that it can fill.
    pub(super) places: Vec<Place>,
    /// The region that it names, which is no secret: facts of data handling may depend on it.
    pub(super) region: Option<String>,
}

impl SecretFields {
    /// Required and optional fields of a form.
    const fn fields(form: SecretForm) -> (&'static [&'static str], &'static [&'static str]) {
        match form {
            SecretForm::ApiKey => (&["api_key"], &["resource", "region", "project", "location"]),
            SecretForm::Aws => (&["access_key_id", "secret_access_key", "region"], &["session_token"]),
            SecretForm::GoogleServiceAccount => {
                (&["client_email", "private_key", "project", "location"], &["private_key_id"])
            }
        }
    }

    /// Checks the fields against the form.
    ///
    /// # Errors
    /// A [`Problem`] that names the missing, unknown or malformed field, never its value.
    pub(crate) fn check(self, form: SecretForm) -> Result<Checked, Problem> {
        let (required, optional) = Self::fields(form);
        let mut checks = Checks::default();
        for name in required {
            checks.that(self.0.contains_key(*name), format!("secret.{name}"), "is required");
        }
        for (name, value) in &self.0 {
            let field = format!("secret.{}", name.chars().take(64).collect::<String>());
            if !required.contains(&name.as_str()) && !optional.contains(&name.as_str()) {
                checks.that(false, field, "is not a field of this form");
            } else if let Err(message) = accepts(name, value) {
                checks.that(false, field, message);
            }
        }
        checks.done()?;
        let places = self.0.keys().filter_map(|name| Place::named(name)).collect();
        let region = self.0.get("region").or_else(|| self.0.get("location")).cloned();
        let text = serde_json::to_string(&self.0).map_err(|_| Problem::internal())?;
        Ok(Checked { text: Secret::new(text), places, region })
    }
}

/// Whether a field may have this value; what it must be if not.
fn accepts(name: &str, value: &str) -> Result<(), &'static str> {
    let visible = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
    let short = (1..=16_384).contains(&value.len());
    let (holds, must) = match (name, Place::named(name)) {
        (_, Some(Place::Project)) => (
            Place::Project.accepts(value),
            "must be a project's id: a-z, 0-9, - and, in old ones, . and :, at most 127 characters",
        ),
        (_, Some(place)) => (place.accepts(value), "must be 1 to 63 of a-z, 0-9 and -"),
        ("private_key", None) => (
            short && pem::is_rsa_private_key(value),
            "must be an RSA private key in PEM form, with its line breaks",
        ),
        ("client_email", None) => (is_email(value), "must be an e-mail address"),
        // Header values and signatures have no room for anything else.
        _ => (short && visible(value), "must be 1 to 16384 visible ASCII characters"),
    };
    if holds { Ok(()) } else { Err(must) }
}
