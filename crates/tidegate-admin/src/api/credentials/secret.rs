//! A credential's secret on its way in: fields by name, checked against the declared form.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use tidegate_types::Secret;
use tidegate_types::resource::SecretForm;
use utoipa::ToSchema;

use crate::checks::Checks;
use crate::problem::Problem;

/// `{"api_key": "…"}`, or the fields of the declared form. Cannot be printed or serialised.
#[derive(Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(as = CredentialSecret, value_type = BTreeMap<String, String>, example = json!({"api_key": "sk-…"}))]
pub(crate) struct SecretFields(BTreeMap<String, String>);

impl fmt::Debug for SecretFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl SecretFields {
    /// Required and optional fields of a form.
    const fn fields(form: SecretForm) -> (&'static [&'static str], &'static [&'static str]) {
        match form {
            SecretForm::ApiKey => (&["api_key"], &[]),
            SecretForm::Aws => (&["access_key_id", "secret_access_key", "region"], &["session_token"]),
            SecretForm::GoogleServiceAccount => {
                (&["client_email", "private_key", "project", "location"], &[])
            }
        }
    }

    /// The JSON text to encrypt.
    ///
    /// # Errors
    /// A [`Problem`] that names the missing, unknown or malformed field, never its value.
    pub(crate) fn into_text(self, form: SecretForm) -> Result<Secret, Problem> {
        let (required, optional) = Self::fields(form);
        let mut checks = Checks::default();
        for name in required {
            checks.that(self.0.contains_key(*name), format!("secret.{name}"), "is required");
        }
        for (name, value) in &self.0 {
            let known = required.contains(&name.as_str()) || optional.contains(&name.as_str());
            let field = format!("secret.{}", name.chars().take(64).collect::<String>());
            checks.that(known, field.clone(), "is not a field of this form");
            // A private key has line breaks; header values must not.
            let clean = |c: char| !c.is_control() || (name == "private_key" && c == '\n');
            let holds = (1..=16_384).contains(&value.len()) && value.chars().all(clean);
            checks.that(holds, field, "must be 1 to 16384 printable characters");
        }
        checks.done()?;
        let text = serde_json::to_string(&self.0).map_err(|_| Problem::internal())?;
        Ok(Secret::new(text))
    }
}
