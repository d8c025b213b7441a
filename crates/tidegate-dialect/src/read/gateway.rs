//! `providerOptions.gateway` and its shorthands: what the client asks of the gateway itself.
//! Every field is checked for its type; which of them have a function yet, the registry says.

use super::labels::Labels;
use super::place::{Fields, Path, boolean, text, texts, wrong};
use super::request_credentials::RequestCredentials;
use super::wishes;
use crate::json::{Span, Value};
use crate::registry::{self, Carriage};
use crate::{Content, RequestError};

/// Options for the gateway. They are taken out of the body before it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GatewayOptions {
    /// Only these providers.
    pub only: Vec<String>,
    /// These providers first, in this order.
    pub order: Vec<String>,
    /// Rank providers by `cost`, `ttft` or `tps`.
    pub sort: Option<String>,
    /// Models to fall back on.
    pub models: Vec<String>,
    /// Zero data retention is demanded (a request can only tighten).
    pub zero_data_retention: bool,
    /// Providers that train on prompts are forbidden.
    pub no_training: bool,
    /// Credentials that were sent along.
    pub byok: RequestCredentials,
    /// Where they lie in the body, until they are wiped there.
    pub(crate) byok_at: Option<Span>,
    /// `caching: auto`: the gateway puts in the provider's cache markers.
    pub caching: bool,
    /// Home countries of providers: ISO codes, all of them plain or all of them with a leading `!`.
    pub headquarters: Vec<String>,
    /// Where the model must run: `us` or `eu`.
    pub within: Option<String>,
    /// What the model must be able to do: tags of the list of models.
    pub has: Vec<String>,
    /// `flex` or `priority`.
    pub service_tier: Option<String>,
    /// Counts against the quota of this name.
    pub quota_entity: Option<Content>,
    /// Milliseconds that attempts with the caller's own credentials may take, by provider.
    pub timeouts: Vec<(String, u64)>,
    /// Fields that were understood and have no effect yet.
    pub without_effect: Vec<&'static str>,
    /// Options that are not known here.
    pub unknown: Vec<String>,
}

/// Longest end user, in characters.
const MAX_USER: usize = 256;
/// Most tags, and the longest.
const MAX_TAGS: usize = 10;
const MAX_TAG: usize = 64;

impl GatewayOptions {
    /// Reads the gateway's fields of a body; labels found on the way go to `labels`.
    /// Options for single providers are read by the dialects that know them (`of_providers`).
    pub(crate) fn read(
        body: &Fields<'_>,
        labels: &mut Labels,
        of_providers: bool,
    ) -> Result<Self, RequestError> {
        let mut options = Self::default();
        let root = Path::Root;
        if let Some(value) = body.get("providerOptions") {
            let path = root.key("providerOptions");
            for member in Fields::read(&value, path)?.iter() {
                if member.key == "gateway" {
                    options.gateway(&member.value, path.key("gateway"), labels)?;
                } else if !of_providers {
                    options.unknown.push(path.key(&member.key).to_string());
                }
            }
        }
        if of_providers {
            return Ok(options);
        }
        if let Some(value) = body.get("models") {
            agree(&mut options.models, wishes::models(&value, root.key("models"))?, root.key("models"))?;
        }
        if let Some(value) = body.get("provider") {
            options.shorthand(&value, root.key("provider"))?;
        }
        if let Some(value) = body.get("caching") {
            options.caching = wishes::word(&value, root.key("caching"), &["auto"], "auto").map(|_| true)?;
        }
        Ok(options)
    }

    /// What the caller should know of these options: those that had no effect.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let later = self.without_effect.iter();
        let later = later.map(|name| format!("`providerOptions.gateway.{name}` has no effect yet"));
        let unknown = self.unknown.iter().map(|path| format!("`{path}` is not known and has no effect"));
        later.chain(unknown).collect()
    }

    fn gateway(
        &mut self,
        value: &Value<'_>,
        path: Path<'_>,
        labels: &mut Labels,
    ) -> Result<(), RequestError> {
        for member in Fields::read(value, path)?.iter().filter(|member| !member.value.is_null()) {
            let Some(field) = registry::gateway::find(&member.key) else {
                self.unknown.push(path.key(&member.key).to_string());
                continue;
            };
            self.field(field.name, &member.value, path.key(&member.key), labels)?;
            if matches!(field.carriage, Carriage::Dropped(_)) {
                self.without_effect.push(field.name);
            }
        }
        Ok(())
    }

    fn field(
        &mut self,
        name: &str,
        value: &Value<'_>,
        path: Path<'_>,
        labels: &mut Labels,
    ) -> Result<(), RequestError> {
        match name {
            "only" => self.only = texts(value, path)?,
            "order" => self.order = texts(value, path)?,
            "models" => self.models = wishes::models(value, path)?,
            "sort" => self.sort = Some(wishes::sort(value, path)?),
            "zeroDataRetention" => self.zero_data_retention = boolean(value, path)?,
            "disallowPromptTraining" => self.no_training = boolean(value, path)?,
            "byok" => {
                self.byok_at = Some(value.span());
                self.byok = RequestCredentials::read(value, path)?;
            }
            "caching" => self.caching = wishes::word(value, path, &["auto"], "auto").map(|_| true)?,
            "headquarters" => self.headquarters = wishes::countries(value, path)?,
            "has" => self.has = wishes::capabilities(value, path)?,
            "quotaEntityId" => self.quota_entity = Some(Content::new(text(value, path)?)),
            "serviceTier" => {
                let tier = wishes::word(value, path, &["flex", "priority"], "flex or priority")?;
                self.service_tier = Some(tier);
            }
            "providerTimeouts" => self.timeouts = wishes::timeouts(value, path)?,
            "inferenceRegion" => self.within = wishes::region(value, path)?,
            "idempotencyKey" | "speed" => drop(text(value, path)?),
            "allowFallbackFromFast" => drop(boolean(value, path)?),
            "user" => {
                labels.user = Some(wishes::bounded(value, path, MAX_USER, "a string of 1 to 256 characters")?)
            }
            "tags" => labels.tags = tags(value, path)?,
            _ => {}
        }
        Ok(())
    }

    fn shorthand(&mut self, value: &Value<'_>, path: Path<'_>) -> Result<(), RequestError> {
        for member in Fields::read(value, path)?.iter().filter(|member| !member.value.is_null()) {
            let (value, path) = (&member.value, path.key(&member.key));
            match &*member.key {
                "only" => agree(&mut self.only, texts(value, path)?, path)?,
                "order" => agree(&mut self.order, texts(value, path)?, path)?,
                "sort" => {
                    let sort = wishes::sort(value, path)?;
                    if self.sort.as_ref().is_some_and(|other| *other != sort) {
                        return Err(wrong(path, AGREE));
                    }
                    self.sort = Some(sort);
                }
                _ => self.unknown.push(path.to_string()),
            }
        }
        Ok(())
    }
}

const AGREE: &str = "the same as in providerOptions.gateway, or absent";

fn agree(have: &mut Vec<String>, new: Vec<String>, path: Path<'_>) -> Result<(), RequestError> {
    if !have.is_empty() && *have != new {
        return Err(wrong(path, AGREE));
    }
    *have = new;
    Ok(())
}

fn tags(value: &Value<'_>, path: Path<'_>) -> Result<Vec<Content>, RequestError> {
    let mut tags = Vec::new();
    super::array(value, path, |tag, path| {
        tags.push(wishes::bounded(&tag, path, MAX_TAG, "a string of 1 to 64 characters")?);
        Ok(())
    })?;
    if tags.len() > MAX_TAGS {
        return Err(wrong(path, "an array of 10 tags at most"));
    }
    Ok(tags)
}
