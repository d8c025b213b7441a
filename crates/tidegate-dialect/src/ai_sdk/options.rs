//! `providerOptions`, wherever they stand: what the one form has a place for is taken (cache markers,
//! signatures of reasoning), the rest is kept until it is known which provider is asked.

use crate::canonical::signature::{GEMINI, OPENAI, made_by};
use crate::canonical::{Json, ProviderOptions};
use crate::json::{Kind, Value};
use crate::read::{Fields, Path, text};
use crate::{Content, RequestError};

/// What the options of a part, a message or a tool say.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Cache up to here: Anthropic's marker.
    pub(super) cache: Option<Json>,
    /// The signature of reasoning, its maker included.
    pub(super) signature: Option<Content>,
    /// Reasoning that only its provider can read.
    pub(super) redacted: Option<Content>,
}

/// Options that an answer of ours carries, or that only steer what the one form carries anyway.
const ECHOES: &[&str] = &["itemId", "phase", "annotations", "logprobs", "caller", "imageDetail"];

/// Keeps the options for one provider.
pub(super) fn keep(
    provider: &str,
    value: &Value<'_>,
    path: Path<'_>,
) -> Result<ProviderOptions, RequestError> {
    Fields::read(value, path)?;
    Ok(ProviderOptions { provider: provider.to_owned(), path: path.to_string(), options: Json::from(value) })
}

/// Takes the `providerOptions` of a part, a message or a tool.
pub(super) fn of_part(
    part: &mut Fields<'_>,
    path: Path<'_>,
    rest: &mut Vec<ProviderOptions>,
) -> Result<Said, RequestError> {
    let mut said = Said::default();
    let Some(value) = part.take("providerOptions") else { return Ok(said) };
    let path = path.key("providerOptions");
    for member in Fields::read(&value, path)?.iter() {
        if member.value.is_null() || member.key == "gateway" {
            continue;
        }
        let path = path.key(&member.key);
        let mut options = Fields::read(&member.value, path)?;
        said.take(&member.key, &mut options, path)?;
        let left = options.iter().any(|option| !option.value.is_null() && !ECHOES.contains(&&*option.key));
        if left {
            rest.push(keep_rest(&member.key, &options, path));
        }
    }
    Ok(said)
}

fn keep_rest(provider: &str, options: &Fields<'_>, path: Path<'_>) -> ProviderOptions {
    let mut json = crate::json::Writer::new();
    json.object(|json| {
        let left = options.iter().filter(|option| !ECHOES.contains(&&*option.key));
        left.for_each(|option| json.key(&option.key).raw(option.value.raw()).done());
    });
    let options = Json::of_valid(json.into_bytes());
    ProviderOptions { provider: provider.to_owned(), path: path.to_string(), options }
}

impl Said {
    fn take(&mut self, provider: &str, options: &mut Fields<'_>, path: Path<'_>) -> Result<(), RequestError> {
        let mut word = |key: &str| -> Result<Option<Content>, RequestError> {
            options.take(key).map(|value| text(&value, path.key(key)).map(Content::new)).transpose()
        };
        let full = |text: &Content| !text.is_empty();
        match provider {
            "anthropic" | "bedrock" | "amazonBedrock" => {
                self.signature = word("signature")?.filter(full).or(self.signature.take());
                self.redacted = word("redactedData")?.filter(full).or(self.redacted.take());
            }
            "google" | "vertex" | "googleVertex" => {
                if let Some(signature) = word("thoughtSignature")?.filter(full) {
                    self.signature = Some(made_by(GEMINI, signature.expose()).into());
                }
            }
            "openai" | "azure" => {
                let item = word("itemId")?;
                if let (Some(item), Some(sealed)) = (item, word("reasoningEncryptedContent")?.filter(full)) {
                    let sealed = format!("{}:{}", item.expose(), sealed.expose());
                    self.signature = Some(made_by(OPENAI, &sealed).into());
                }
            }
            _ => {}
        }
        for key in ["cacheControl", "cache_control", "cachePoint"] {
            if let Some(marker) = options.take(key) {
                self.cache.get_or_insert(as_marker(&marker, path.key(key))?);
            }
        }
        Ok(())
    }
}

/// Anthropic's marker; Bedrock's `{type: default}` means the same.
fn as_marker(value: &Value<'_>, path: Path<'_>) -> Result<Json, RequestError> {
    let fields = Fields::read(value, path)?;
    let ttl = fields.get("ttl").filter(|ttl| ttl.kind() == Kind::Text);
    let mut json = crate::json::Writer::new();
    json.object(|json| {
        json.key("type").text("ephemeral");
        if let Some(ttl) = ttl {
            json.key("ttl").raw(ttl.raw());
        }
    });
    Ok(Json::of_valid(json.into_bytes()))
}
