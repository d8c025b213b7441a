//! Results of tools: the outputs of all versions.

use super::files::{self, About};
use super::options;
use crate::canonical::{Part, ProviderOptions};
use crate::decode::{need, need_text, refuse, rest_of};
use crate::json::Value;
use crate::read::{Fields, Path, array, text, wrong};
use crate::{Content, RequestError};

use super::call::DIALECT;

pub(super) const NO_COUNTERPART: &str = "no counterpart in other dialects";

/// What a model is told of a tool that the user did not allow to run.
const DENIED: &str = "Tool call execution denied.";

/// A part of a tool's message.
pub(super) fn decode(
    part: &mut Fields<'_>,
    path: Path<'_>,
    rest: &mut Vec<ProviderOptions>,
    out: &mut Vec<Part>,
) -> Result<(), RequestError> {
    let said = options::of_part(part, path, rest)?;
    match need_text(part, "type", path)?.as_str() {
        "tool-result" => {}
        "tool-approval-response" => {
            return Err(refuse(path.key("type"), "an approval of a tool that the provider runs"));
        }
        _ => return Err(refuse(path.key("type"), NO_COUNTERPART)),
    }
    let id = need_text(part, "toolCallId", path)?;
    let value = need(part, "output", path)?;
    let path = path.key("output");
    let mut output = Fields::read(&value, path)?;
    let about = options::of_part(&mut output, path, rest)?;
    let kind = need_text(&mut output, "type", path)?;
    let is_error = kind.starts_with("error-");
    let parts = match kind.as_str() {
        "text" | "error-text" => vec![as_text(need_text(&mut output, "value", path)?)],
        // Any value will do, null included.
        "json" | "error-json" => vec![as_text(json(&value))],
        "execution-denied" => {
            let reason = output.take("reason").map(|reason| text(&reason, path.key("reason"))).transpose()?;
            vec![as_text(reason.map_or_else(|| DENIED.to_owned(), |reason| reason.into_owned()))]
        }
        "content" => content(&need(&mut output, "value", path)?, path.key("value"), rest)?,
        _ => {
            return Err(wrong(
                path.key("type"),
                "text, json, error-text, error-json, content or execution-denied",
            ));
        }
    };
    output.take("value");
    rest_of(DIALECT, "prompt[].content[].output", path, &output)?;
    out.push(Part::ToolResult { id, parts, is_error, cache: said.cache.or(about.cache) });
    Ok(())
}

fn as_text(text: String) -> Part {
    Part::Text { text: text.into(), cache: None }
}

fn json(output: &Value<'_>) -> String {
    let value = output.get("value");
    value.map_or_else(|| "null".to_owned(), |value| String::from_utf8_lossy(value.raw()).into_owned())
}

fn content(
    value: &Value<'_>,
    path: Path<'_>,
    rest: &mut Vec<ProviderOptions>,
) -> Result<Vec<Part>, RequestError> {
    let mut parts = Vec::new();
    array(value, path, |value, path| {
        let mut part = Fields::read(&value, path)?;
        let said = options::of_part(&mut part, path, rest)?;
        let kind = need_text(&mut part, "type", path)?;
        let mut word = |key: &str| {
            let value = part.take(key).map(|value| text(&value, path.key(key)));
            value.transpose().map(|text| text.map(std::borrow::Cow::into_owned))
        };
        let mut about = About {
            media_type: word("mediaType")?,
            name: word("filename")?.map(Content::from),
            cache: said.cache,
        };
        parts.push(match kind.as_str() {
            "text" => Part::Text { text: need_text(&mut part, "text", path)?.into(), cache: about.cache },
            "media" | "file" | "file-data" | "image-data" => {
                files::decode(&need(&mut part, "data", path)?, about, path.key("data"))?
            }
            "file-url" | "image-url" => {
                if kind == "image-url" {
                    about.media_type.get_or_insert_with(|| "image/*".to_owned());
                }
                files::decode(&need(&mut part, "url", path)?, about, path.key("url"))?
            }
            "file-id" | "image-file-id" => {
                return Err(refuse(path.key("type"), "files kept by a provider cannot be carried over"));
            }
            _ => return Err(refuse(path.key("type"), NO_COUNTERPART)),
        });
        rest_of(DIALECT, "prompt[].content[].output.value[]", path, &part)
    })?;
    Ok(parts)
}
