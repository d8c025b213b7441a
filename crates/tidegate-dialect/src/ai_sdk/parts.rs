//! Parts of users' and assistants' messages.

use super::files::{self, About};
use super::{options, results};
use crate::canonical::{Json, Part, ProviderOptions};
use crate::decode::{need, need_text, refuse};
use crate::json::{Kind, Value};
use crate::read::{Fields, Path, text, wrong};
use crate::{Content, RequestError};

/// A part of a user's message.
pub(super) fn of_user(
    part: &mut Fields<'_>,
    path: Path<'_>,
    rest: &mut Vec<ProviderOptions>,
    out: &mut Vec<Part>,
) -> Result<(), RequestError> {
    let said = options::of_part(part, path, rest)?;
    out.push(match need_text(part, "type", path)?.as_str() {
        "text" => Part::Text { text: need_text(part, "text", path)?.into(), cache: said.cache },
        "file" => file(part, path, said.cache)?,
        _ => return Err(refuse(path.key("type"), "only text and files can be carried over from users")),
    });
    Ok(())
}

/// A part of an assistant's message.
pub(super) fn of_assistant(
    part: &mut Fields<'_>,
    path: Path<'_>,
    rest: &mut Vec<ProviderOptions>,
    out: &mut Vec<Part>,
) -> Result<(), RequestError> {
    let said = options::of_part(part, path, rest)?;
    let kind = need_text(part, "type", path)?;
    if kind == "reasoning" {
        let text: Content = need_text(part, "text", path)?.into();
        match (said.redacted, said.signature) {
            (Some(data), _) => out.push(Part::RedactedThinking { data }),
            (None, signature) => think(text, signature, out),
        }
        return Ok(());
    }
    if let (Some(signature), "text" | "tool-call") = (said.signature, kind.as_str()) {
        // Signed by itself: a thought without words before it.
        think(Content::default(), Some(signature), out);
    }
    out.push(match kind.as_str() {
        "text" => Part::Text { text: need_text(part, "text", path)?.into(), cache: said.cache },
        "file" => file(part, path, said.cache)?,
        "tool-call" => Part::ToolUse {
            id: need_text(part, "toolCallId", path)?,
            name: need_text(part, "toolName", path)?,
            input: input(part.take("input"), path.key("input"))?,
            cache: said.cache,
        },
        "tool-result" => return Err(refuse(path.key("type"), "a result of a tool that the provider ran")),
        "reasoning-file" | "custom" => return Err(refuse(path.key("type"), results::NO_COUNTERPART)),
        _ => return Err(refuse(path.key("type"), "not known to the gateway")),
    });
    Ok(())
}

/// Pieces of one thought, which share its signature, are one.
fn think(text: Content, signature: Option<Content>, out: &mut Vec<Part>) {
    if let (Some(new), Some(Part::Thinking { text: before, signature: Some(old) })) =
        (&signature, out.last_mut())
        && new == old
    {
        *before = Content::new(format!("{}\n\n{}", before.expose(), text.expose()));
        return;
    }
    out.push(Part::Thinking { text, signature });
}

fn file(part: &mut Fields<'_>, path: Path<'_>, cache: Option<Json>) -> Result<Part, RequestError> {
    let mut word = |key: &str| {
        part.take(key).map(|value| text(&value, path.key(key)).map(std::borrow::Cow::into_owned)).transpose()
    };
    let about = About { media_type: word("mediaType")?, name: word("filename")?.map(Content::from), cache };
    let data = need(part, "data", path)?;
    files::decode(&data, about, path.key("data"))
}

/// The input of a tool as an object; SDKs keep input that was no JSON as its text.
fn input(value: Option<Value<'_>>, path: Path<'_>) -> Result<Json, RequestError> {
    const EXPECTED: &str = "an object";
    let Some(value) = value else { return Ok(Json::of_valid(*b"{}")) };
    match value.kind() {
        Kind::Object => Ok(Json::from(&value)),
        Kind::Text => {
            let text = text(&value, path)?;
            if text.trim().is_empty() {
                return Ok(Json::of_valid(*b"{}"));
            }
            let inner = Value::parse(text.as_bytes()).ok().filter(|inner| inner.kind() == Kind::Object);
            inner.map(|inner| Json::from(&inner)).ok_or_else(|| wrong(path, EXPECTED))
        }
        _ => Err(wrong(path, EXPECTED)),
    }
}
