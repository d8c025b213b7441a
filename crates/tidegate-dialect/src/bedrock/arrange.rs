//! Turns in the order that Converse takes: users and assistants take turns, instructions come first.

use super::model::Family;
use crate::RequestError;
use crate::anthropic::arrange as anthropic;
use crate::canonical::{Call, Part, Role, Turn};

/// A turn on its way out.
pub(super) type Said<'c> = (Role, Vec<&'c Part>);

/// Neighbouring turns of one speaker become one. Claude takes later instructions as Anthropic's own service does.
pub(super) fn arrange<'c>(
    call: &Call,
    turns: &'c [Turn],
    family: Family,
) -> Result<Vec<Said<'c>>, RequestError> {
    if !family.takes_late_instructions()
        && let Some(turn) = turns.iter().find(|turn| turn.role == Role::System)
    {
        return Err(RequestError::Untranslatable {
            field: format!("{}.role", call.place(turn)),
            why: "the target's model takes instructions at the beginning only",
        });
    }
    let mut said: Vec<Said<'_>> = Vec::new();
    for (role, parts) in anthropic::arrange(call, turns)? {
        match said.last_mut() {
            Some((last, before)) if *last == role => before.extend(parts),
            _ => said.push((role, parts)),
        }
    }
    Ok(said)
}
