//! Turns in the order that Anthropic takes: instructions in the midst of a conversation stand
//! after a user's turn and before the answer to it, one at a time.

use crate::RequestError;
use crate::canonical::{Call, Part, Role, Turn, signature};

/// A turn on its way out.
pub(crate) type Said<'c> = (Role, Vec<&'c Part>);

/// Instructions that stand elsewhere wait for the next such place, so that they apply to the
/// same answer. Empty answers, which OpenAI's clients send back, are left out.
pub(crate) fn arrange<'c>(call: &Call, turns: &'c [Turn]) -> Result<Vec<Said<'c>>, RequestError> {
    let mut said = Vec::with_capacity(turns.len());
    let mut waiting = Vec::new();
    for turn in turns {
        match turn.role {
            Role::System => {
                waiting.push(turn);
                continue;
            }
            Role::Assistant if turn.parts.iter().all(is_blank) => continue,
            Role::Assistant => instruct(&mut said, &mut waiting),
            Role::User => {}
        }
        said.push((turn.role, turn.parts.iter().collect()));
    }
    instruct(&mut said, &mut waiting);
    match waiting.first() {
        None => Ok(said),
        Some(turn) => Err(RequestError::Untranslatable {
            field: format!("{}.role", call.place(turn)),
            why: "the target takes later instructions after a user's turn only",
        }),
    }
}

fn instruct<'c>(said: &mut Vec<Said<'c>>, waiting: &mut Vec<&'c Turn>) {
    if !waiting.is_empty() && said.last().is_some_and(|(role, _)| *role == Role::User) {
        said.push((Role::System, waiting.drain(..).flat_map(|turn| &turn.parts).collect()));
    }
}

/// Anthropic refuses texts without a visible character, which OpenAI's clients send beside tool
/// calls, and thoughts that it has not signed; the registry says so.
pub(crate) fn is_blank(part: &Part) -> bool {
    match part {
        Part::Text { text, .. } => text.expose().trim().is_empty(),
        Part::Thinking { signature, .. } => signature::by(signature::ANTHROPIC, signature.as_ref()).is_none(),
        _ => false,
    }
}
