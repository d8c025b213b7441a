//! Contents of Gemini's requests into turns.

use super::media;
use super::names::{self, each, rest_of, take};
use super::wire::{self, Sealed};
use crate::canonical::{Json, Part, Role, Turn};
use crate::decode::refuse;
use crate::json::{Kind, Value};
use crate::read::{Fields, Path, boolean, wrong};
use crate::{Content, RequestError};

/// A call of a function that has been seen.
struct Called {
    id: String,
    name: String,
    answered: bool,
}

/// What has been seen of the conversation.
#[derive(Default)]
struct Conversation {
    called: Vec<Called>,
}

/// The system's instruction and the contents.
pub(super) fn decode(body: &mut Fields<'_>) -> Result<Vec<Turn>, RequestError> {
    let root = Path::Root;
    let mut turns: Vec<Turn> = Vec::new();
    let mut conversation = Conversation::default();
    if let Some(system) = take(body, "systemInstruction") {
        // Its role means nothing.
        let (_, parts) = conversation.content(&system, root.key("systemInstruction"))?;
        turns.push(Turn { role: Role::System, parts, at: 0 });
    }
    let contents = names::need(body, "contents", root)?;
    let mut at = 0;
    each(&contents, root.key("contents"), |content, path| {
        let (role, parts) = conversation.content(&content, path)?;
        match turns.last_mut() {
            Some(last) if role == Role::User && last.role == role && belong_together(&last.parts, &parts) => {
                last.parts.extend(parts);
            }
            // Gemini's own client sends back a stream's chunks as a content each.
            Some(last) if role == Role::Assistant && last.role == role => append(&mut last.parts, parts),
            _ => turns.push(Turn { role, parts, at }),
        }
        if let (Role::User, Some(turn)) = (role, turns.last_mut()) {
            // Elsewhere the results of tools come before what else is said.
            turn.parts.sort_by_key(|part| !is_result(part));
        }
        at += 1;
        Ok(())
    })?;
    Ok(turns)
}

fn is_result(part: &Part) -> bool {
    matches!(part, Part::ToolResult { .. })
}

/// Results of parallel calls, and what the user says right after them, are one turn.
fn belong_together(before: &[Part], next: &[Part]) -> bool {
    before.last().is_some_and(is_result) || (before.iter().any(is_result) && next.iter().any(is_result))
}

/// What follows a text is the rest of it.
fn append(parts: &mut Vec<Part>, mut more: Vec<Part>) {
    let whole = match (parts.last(), more.first()) {
        (Some(Part::Text { text, .. }), Some(Part::Text { text: rest, .. })) => {
            Some(Part::Text { text: [text.expose(), rest.expose()].concat().into(), cache: None })
        }
        (Some(Part::Thinking { text, signature: None }), Some(Part::Thinking { text: rest, signature }))
            if !text.is_empty() && !rest.is_empty() =>
        {
            let signature = signature.clone();
            Some(Part::Thinking { text: [text.expose(), rest.expose()].concat().into(), signature })
        }
        _ => None,
    };
    if let Some(whole) = whole {
        parts.pop();
        parts.push(whole);
        more.remove(0);
    }
    parts.extend(more);
}

impl Conversation {
    fn content(&mut self, value: &Value<'_>, path: Path<'_>) -> Result<(Role, Vec<Part>), RequestError> {
        let mut content = names::read(value, path)?;
        let role = match names::text(&mut content, "role", path)?.as_deref() {
            None | Some("" | "user" | "function") => Role::User,
            Some("model") => Role::Assistant,
            Some("system") => Role::System,
            Some(_) => return Err(wrong(path.key("role"), "user or model")),
        };
        let mut parts = Vec::new();
        if let Some(value) = take(&mut content, "parts") {
            each(&value, path.key("parts"), |part, path| self.part(&part, path, &mut parts))?;
        }
        rest_of("contents[]", path, &content)?;
        Ok((role, parts))
    }

    fn part(&mut self, value: &Value<'_>, path: Path<'_>, parts: &mut Vec<Part>) -> Result<(), RequestError> {
        let mut part = names::read(value, path)?;
        let sealed = names::text(&mut part, "thoughtSignature", path)?;
        let sealed = sealed.map_or(Sealed::Nothing, |text| wire::open(&text));
        let thought =
            take(&mut part, "thought").map_or(Ok(false), |value| boolean(&value, path.key("thought")))?;
        let text = names::text(&mut part, "text", path)?;
        match (sealed, &text) {
            (Sealed::Redacted(data), _) => parts.push(Part::RedactedThinking { data }),
            (sealed, Some(text)) if thought => {
                parts.push(Part::Thinking { text: text.as_str().into(), signature: sealed.signature() });
            }
            // The signature of the part that follows.
            (Sealed::Signature(signature), _) => {
                parts.push(Part::Thinking { text: Content::default(), signature: Some(signature) });
            }
            (Sealed::Nothing, _) => {}
        }
        if let Some(text) = text.filter(|text| !thought && !text.is_empty()) {
            parts.push(Part::Text { text: text.into(), cache: None });
        }
        if let Some(value) = take(&mut part, "inlineData") {
            parts.push(media::inline(&value, path.key("inlineData"))?);
        }
        if let Some(value) = take(&mut part, "fileData") {
            parts.push(media::by_address(&value, path.key("fileData"))?);
        }
        if let Some(value) = take(&mut part, "functionCall") {
            parts.push(self.call(&value, path.key("functionCall"))?);
        }
        if let Some(value) = take(&mut part, "functionResponse") {
            parts.push(self.response(&value, path.key("functionResponse"))?);
        }
        rest_of("contents[].parts[]", path, &part)
    }

    /// Ids may be absent; ours are counted, so that the same conversation gives the same ones.
    fn call(&mut self, value: &Value<'_>, path: Path<'_>) -> Result<Part, RequestError> {
        let mut call = names::read(value, path)?;
        let name = names::need_text(&mut call, "name", path)?;
        let id = names::text(&mut call, "id", path)?.filter(|id| !id.is_empty());
        let id = id.unwrap_or_else(|| format!("call_{}", self.called.len()));
        let input = match take(&mut call, "args") {
            Some(args) if args.kind() != Kind::Object => return Err(wrong(path.key("args"), "an object")),
            Some(args) => Json::from(&args),
            None => Json::of_valid(*b"{}"),
        };
        rest_of("contents[].parts[].functionCall", path, &call)?;
        self.called.push(Called { id: id.clone(), name: name.clone(), answered: false });
        Ok(Part::ToolUse { id, name, input, cache: None })
    }

    fn response(&mut self, value: &Value<'_>, path: Path<'_>) -> Result<Part, RequestError> {
        let mut response = names::read(value, path)?;
        let name = names::need_text(&mut response, "name", path)?;
        let id = names::text(&mut response, "id", path)?.filter(|id| !id.is_empty());
        let id = self
            .answered(id.as_deref(), &name)
            .ok_or_else(|| refuse(path.key("name"), "no functionCall before it that it could answer"))?;
        let value = names::need(&mut response, "response", path)?;
        if value.kind() != Kind::Object {
            return Err(wrong(path.key("response"), "an object"));
        }
        let (text, is_error) = result(&value);
        let mut parts = vec![Part::Text { text, cache: None }];
        if let Some(media) = take(&mut response, "parts") {
            each(&media, path.key("parts"), |value, path| {
                let mut part = names::read(&value, path)?;
                let data = names::need(&mut part, "inlineData", path)?;
                parts.push(media::inline(&data, path.key("inlineData"))?);
                rest_of("contents[].parts[].functionResponse.parts[]", path, &part)
            })?;
        }
        rest_of("contents[].parts[].functionResponse", path, &response)?;
        Ok(Part::ToolResult { id, parts, is_error, cache: None })
    }

    /// The id of the call that is answered: the one named, or the first open one of this function.
    fn answered(&mut self, id: Option<&str>, name: &str) -> Option<String> {
        let open = |called: &&mut Called| match id {
            Some(id) => called.id == id,
            None => !called.answered && called.name == name,
        };
        let called = match self.called.iter_mut().find(open) {
            // Clients that give ids to results only.
            None if id.is_some() => {
                self.called.iter_mut().find(|called| !called.answered && called.name == name)
            }
            called => called,
        }?;
        called.answered = true;
        Some(called.id.clone())
    }
}

/// The text of a function's response, and whether it is an error: `output` and `error` are the keys
/// that Gemini knows, everything else is the output itself.
fn result(response: &Value<'_>) -> (Content, bool) {
    let mut members = response.members();
    if let (Some(only), None) = (members.next(), members.next())
        && let Some(text) = only.value.text()
        && matches!(&*only.key, "output" | "error")
    {
        return (Content::new(text), only.key == "error");
    }
    (String::from_utf8_lossy(response.raw()).into_owned().into(), false)
}
