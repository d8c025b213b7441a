//! Turns as Gemini's contents: user and model take turns, none is empty.

use std::collections::VecDeque;

use super::{media, parts, wire};
use crate::canonical::signature::{GEMINI, by};
use crate::canonical::{Call, Json, Part, Role, Turn};
use crate::json::Writer;
use crate::{Content, RequestError};

/// One content on its way out, every part with its thought signature.
pub(super) struct Said<'c> {
    role: Role,
    parts: Vec<Piece<'c>>,
}

/// A part, as Gemini takes it.
enum Piece<'c> {
    Text { text: &'c str, signature: Option<&'c str> },
    Thought { text: &'c str, signature: &'c str },
    Call { id: &'c str, name: &'c str, input: &'c Json, signature: Option<&'c str> },
    Result { id: &'c str, name: &'c str, parts: &'c [Part], is_error: bool },
    Media(&'c Part),
}

/// The instructions and the contents. Gemini takes instructions in one place only, so that later
/// ones join the first.
pub(super) fn arrange(call: &Call) -> Result<(Vec<&Content>, Vec<Said<'_>>), RequestError> {
    let mut system = Vec::new();
    let mut said: Vec<Said<'_>> = Vec::new();
    for (at, turn) in call.turns.iter().enumerate() {
        let parts = match turn.role {
            Role::System => {
                instruct(call, turn, &mut system)?;
                continue;
            }
            Role::User => user(call, turn, call.turns.get(..at).unwrap_or_default())?,
            Role::Assistant => model(turn),
        };
        match said.last_mut() {
            Some(last) if last.role == turn.role => last.parts.extend(parts),
            _ if parts.is_empty() => {}
            _ => said.push(Said { role: turn.role, parts }),
        }
    }
    if said.is_empty() {
        let field = if call.list.is_empty() { "messages" } else { call.list };
        return Err(RequestError::Untranslatable {
            field: field.to_owned(),
            why: "the target needs something that a user said",
        });
    }
    Ok((system, said))
}

fn refuse<T>(call: &Call, turn: &Turn, what: &str, why: &'static str) -> Result<T, RequestError> {
    let list = if call.list.is_empty() { "messages" } else { call.list };
    Err(RequestError::Untranslatable { field: format!("{list}[{}].content ({what})", turn.at), why })
}

fn instruct<'c>(call: &Call, turn: &'c Turn, system: &mut Vec<&'c Content>) -> Result<(), RequestError> {
    for part in &turn.parts {
        match part {
            Part::Text { text, .. } => system.extend((!text.is_empty()).then_some(text)),
            _ => return refuse(call, turn, "image or file", "the target takes these from users only"),
        }
    }
    Ok(())
}

fn user<'c>(call: &'c Call, turn: &'c Turn, before: &'c [Turn]) -> Result<Vec<Piece<'c>>, RequestError> {
    let mut pieces = Vec::new();
    for part in &turn.parts {
        match part {
            Part::Text { text, .. } => {
                pieces.extend(
                    (!text.is_empty()).then_some(Piece::Text { text: text.expose(), signature: None }),
                );
            }
            Part::ToolResult { id, parts, is_error, .. } => {
                let Some(name) = name_of(id, before) else {
                    return refuse(call, turn, "tool result", "the target needs the call that it answers");
                };
                pieces.push(Piece::Result { id, name, parts, is_error: *is_error });
            }
            media => pieces.push(Piece::Media(media)),
        }
    }
    Ok(pieces)
}

/// The function of the newest call with this id.
fn name_of<'c>(wanted: &str, before: &'c [Turn]) -> Option<&'c str> {
    before.iter().rev().flat_map(|turn| &turn.parts).find_map(|part| match part {
        Part::ToolUse { id, name, .. } if id == wanted => Some(name.as_str()),
        _ => None,
    })
}

/// A signature goes with the part that it came with: the one form has it as a thought before that
/// part. Thoughts of other makers stay behind, and those without a signature.
fn model(turn: &Turn) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut waiting: VecDeque<&str> = VecDeque::new();
    let mut calls = turn.parts.iter().filter(|part| matches!(part, Part::ToolUse { .. })).count();
    let mut first_call = true;
    for part in &turn.parts {
        match part {
            Part::Thinking { text, signature } => match by(GEMINI, signature.as_ref()) {
                Some(signature) if text.is_empty() => waiting.push_back(signature),
                Some(signature) => pieces.push(Piece::Thought { text: text.expose(), signature }),
                None => {}
            },
            Part::RedactedThinking { .. } => {}
            Part::Text { text, .. } if text.is_empty() => {}
            Part::Text { text, .. } => {
                // A call cannot do without, a text can.
                let signature = if calls > 0 && waiting.len() < 2 { None } else { waiting.pop_front() };
                pieces.push(Piece::Text { text: text.expose(), signature });
            }
            Part::ToolUse { id, name, input, .. } => {
                calls = calls.saturating_sub(1);
                let signature = waiting.pop_front().or(first_call.then_some(""));
                first_call = false;
                pieces.push(Piece::Call { id, name, input, signature });
            }
            media => pieces.push(Piece::Media(media)),
        }
    }
    pieces.extend(waiting.into_iter().map(|signature| Piece::Text { text: "", signature: Some(signature) }));
    pieces
}

/// Writes a content.
pub(super) fn write(json: &mut Writer, said: &Said<'_>) {
    json.object(|json| {
        json.key("role").text(if said.role == Role::Assistant { "model" } else { "user" });
        json.key("parts").array(|json| said.parts.iter().for_each(|piece| write_piece(json, piece)));
    });
}

fn write_piece(json: &mut Writer, piece: &Piece<'_>) {
    match piece {
        Piece::Text { text, signature } => parts::text(json, text, false, *signature),
        Piece::Thought { text, signature } => parts::text(json, text, true, Some(signature)),
        // Gemini 3 refuses a first call without a signature; for calls of other models there is a word.
        Piece::Call { id, name, input, signature: Some("") } => {
            parts::call(json, id, name, input.as_ref(), Some(&wire::skip()));
        }
        Piece::Call { id, name, input, signature } => parts::call(json, id, name, input.as_ref(), *signature),
        Piece::Result { id, name, parts, is_error } => write_result(json, id, name, parts, *is_error),
        Piece::Media(part) => media::write(json, part),
    }
}

fn write_result(json: &mut Writer, id: &str, name: &str, parts: &[Part], is_error: bool) {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text { text, .. } => Some(text.expose()),
        _ => None,
    });
    let text = texts.collect::<Vec<_>>().join("\n");
    json.object(|json| {
        json.key("functionResponse").object(|json| {
            json.key("id").text(id).key("name").text(name).key("response").object(|json| {
                json.key(if is_error { "error" } else { "output" }).text(&text);
            });
            if parts.iter().any(|part| !matches!(part, Part::Text { .. })) {
                json.key("parts").array(|json| parts.iter().for_each(|part| media::write(json, part)));
            }
        });
    });
}
