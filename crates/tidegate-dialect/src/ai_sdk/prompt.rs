//! The prompt: messages of the AI SDK into turns.

use super::call::DIALECT;
use super::options::{self, Said};
use super::{parts, results};
use crate::canonical::{Part, ProviderOptions, Role, Turn};
use crate::decode::{need, need_text, refuse, rest_of};
use crate::json::{Kind, Value};
use crate::read::{Fields, Path, array, text};
use crate::{Content, RequestError};

/// Decodes the messages. Options for single providers that have no place in the one form go to `rest`.
pub(super) fn decode(
    messages: &Value<'_>,
    path: Path<'_>,
    rest: &mut Vec<ProviderOptions>,
) -> Result<Vec<Turn>, RequestError> {
    let mut turns: Vec<Turn> = Vec::new();
    let mut at = 0;
    array(messages, path, |value, path| {
        let mut message = Fields::read(&value, path)?;
        let role = need_text(&mut message, "role", path)?;
        let said = options::of_part(&mut message, path, rest)?;
        let content = need(&mut message, "content", path)?;
        let (role, mut parts) = match role.as_str() {
            "system" => (Role::System, vec![system(&content, path)?]),
            "user" => (Role::User, content_of(&content, path, rest, parts::of_user)?),
            "assistant" => (Role::Assistant, content_of(&content, path, rest, parts::of_assistant)?),
            "tool" => (Role::User, content_of(&content, path, rest, results::decode)?),
            _ => return Err(refuse(path.key("role"), "no such role in other dialects")),
        };
        rest_of(DIALECT, "prompt[]", path, &message)?;
        mark_last(&mut parts, said);
        // Results of parallel calls, and what the user says next, are one turn.
        match turns.last_mut() {
            Some(last) if role == Role::User && last.role == role && answers_tools(last) => {
                last.parts.extend(parts);
            }
            _ => turns.push(Turn { role, parts, at }),
        }
        at += 1;
        Ok(())
    })?;
    Ok(turns)
}

fn answers_tools(turn: &Turn) -> bool {
    matches!(turn.parts.last(), Some(Part::ToolResult { .. }))
}

fn system(content: &Value<'_>, path: Path<'_>) -> Result<Part, RequestError> {
    Ok(Part::Text { text: Content::new(text(content, path.key("content"))?), cache: None })
}

/// How one part is read: its members, where it stands, where left-over options go, and where the part goes.
type Read =
    fn(&mut Fields<'_>, Path<'_>, &mut Vec<ProviderOptions>, &mut Vec<Part>) -> Result<(), RequestError>;

fn content_of(
    content: &Value<'_>,
    path: Path<'_>,
    rest: &mut Vec<ProviderOptions>,
    read: Read,
) -> Result<Vec<Part>, RequestError> {
    let path = path.key("content");
    if content.kind() == Kind::Text {
        return Ok(vec![Part::Text { text: Content::new(text(content, path)?), cache: None }]);
    }
    let mut found = Vec::new();
    array(content, path, |value, path| {
        let mut part = Fields::read(&value, path)?;
        read(&mut part, path, rest, &mut found)?;
        rest_of(DIALECT, "prompt[].content[]", path, &part)
    })?;
    Ok(found)
}

/// A cache marker on the message means its last part.
fn mark_last(parts: &mut [Part], said: Said) {
    if let (
        Some(marker),
        Some(
            Part::Text { cache, .. }
            | Part::Image { cache, .. }
            | Part::File { cache, .. }
            | Part::FileUrl { cache, .. }
            | Part::ToolUse { cache, .. }
            | Part::ToolResult { cache, .. },
        ),
    ) = (said.cache, parts.last_mut())
    {
        cache.get_or_insert(marker);
    }
}
