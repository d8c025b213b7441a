//! Real providers whose keys are in the environment.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tidegate_types::Secret;

use super::{Api, Seed, State, text};

impl Seed<'_> {
    /// Providers whose keys are in the environment, each with its models and prices. A key that is another one than at
    /// the last start takes its place; one that stayed leaves alone what was set in the meantime.
    pub(super) async fn real_providers(&self, api: &Api, state: &mut State) -> Result<()> {
        for (rule, credential) in self.known.with_keys(environment) {
            let catalogue = serde_json::to_value(self.known.of(&rule.slug))?;
            api.call(Method::POST, "/catalogue/import", Some(catalogue)).await?;
            let (slug, mark) = (rule.slug.to_string(), mark(state, &credential["secret"]));
            let is_new = state.secrets.provider_keys.get(&slug) != Some(&mark);
            // A key that cannot be one is the user's to mend; everything else works without it.
            match api.store(&credential, is_new).await {
                Err(error) => eprintln!("warning: the key of {} is not used: {error:#}", rule.name),
                Ok(()) if is_new => {
                    state.secrets.provider_keys.insert(slug, mark);
                    state.save()?;
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }
}

impl Api {
    /// Makes the credential when there is none by its name, or else gives it a secret that is new.
    async fn store(&self, credential: &Value, is_new: bool) -> Result<()> {
        let known = self.all("/credentials?scope=system").await?;
        match known.iter().find(|known| known["name"] == credential["name"]) {
            None => self.call(Method::POST, "/credentials", Some(credential.clone())).await?,
            Some(known) if is_new => {
                let path = format!("/credentials/{}", text(known, "id")?);
                self.call(Method::PATCH, &path, Some(json!({"secret": credential["secret"]}))).await?
            }
            Some(_) => Value::Null,
        };
        Ok(())
    }
}

/// By what a key is known again: nothing that can be tried without the installation's own secrets.
fn mark(state: &State, secret: &Value) -> String {
    let known = format!("{}\n{secret}", state.secrets.key_encryption_key);
    Sha256::digest(known).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[expect(clippy::disallowed_methods, reason = "dev takes the providers' own variables, as their SDKs do")]
fn environment(name: &str) -> Option<Secret> {
    std::env::var(name).ok().filter(|key| !key.trim().is_empty()).map(Secret::new)
}
