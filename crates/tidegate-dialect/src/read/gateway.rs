//! `providerOptions.gateway` and its shorthands: what the client asks of the gateway itself.

use super::labels::Labels;
use super::place::{Fields, Path, boolean, text, texts, wrong};
use crate::json::Value;
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
    /// Credentials were sent along.
    pub byok: bool,
    /// Options that are not known here.
    pub unknown: Vec<String>,
}

impl GatewayOptions {
    /// Reads the gateway's fields of a body; labels found on the way go to `labels`.
    pub(super) fn read(body: &Fields<'_>, labels: &mut Labels) -> Result<Self, RequestError> {
        let mut options = Self::default();
        let root = Path::Root;
        if let Some(value) = body.get("providerOptions") {
            let path = root.key("providerOptions");
            for member in Fields::read(&value, path)?.iter() {
                if member.key == "gateway" {
                    options.gateway(&member.value, path.key("gateway"), labels)?;
                } else {
                    options.unknown.push(path.key(&member.key).to_string());
                }
            }
        }
        if let Some(value) = body.get("models") {
            agree(&mut options.models, texts(&value, root.key("models"))?, root.key("models"))?;
        }
        if let Some(value) = body.get("provider") {
            options.shorthand(&value, root.key("provider"))?;
        }
        if body.get("caching").is_some() {
            options.unknown.push("caching".to_owned());
        }
        Ok(options)
    }

    fn gateway(
        &mut self,
        value: &Value<'_>,
        path: Path<'_>,
        labels: &mut Labels,
    ) -> Result<(), RequestError> {
        for member in Fields::read(value, path)?.iter().filter(|member| !member.value.is_null()) {
            let (value, path) = (&member.value, path.key(&member.key));
            match &*member.key {
                "only" => self.only = texts(value, path)?,
                "order" => self.order = texts(value, path)?,
                "models" => self.models = texts(value, path)?,
                "sort" => self.sort = Some(text(value, path)?.into_owned()),
                "zeroDataRetention" => self.zero_data_retention = boolean(value, path)?,
                "disallowPromptTraining" => self.no_training = boolean(value, path)?,
                "byok" => self.byok = true,
                "user" => labels.user = Some(Content::new(text(value, path)?)),
                "tags" => labels.tags = texts(value, path)?.into_iter().map(Content::new).collect(),
                _ => self.unknown.push(path.to_string()),
            }
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
                    let sort = text(value, path)?.into_owned();
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
