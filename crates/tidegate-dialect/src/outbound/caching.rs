//! `caching: auto`: the cache markers that a provider wants, where the client has set none.
//!
//! Explicit markers stand at the end of the last message and at the end of what precedes the last
//! user's turn (or of the instructions). Providers that cache by themselves need none.

use super::{Body, Edits};
use crate::Dialect;
use crate::canonical::{Call, Json, Part, Role, Turn};

const MARKER: &[u8] = br#"{"type":"ephemeral"}"#;

/// Puts markers into a call that is translated.
pub(super) fn mark(call: &mut Call, target: Dialect, edits: &Edits<'_>) {
    let takes = match target {
        Dialect::AnthropicMessages => true,
        // Other models there refuse them.
        Dialect::BedrockConverse => ["claude", "nova"].iter().any(|name| edits.model.contains(name)),
        _ => false,
    };
    let marked = call.tools.iter().any(|tool| tool.cache.is_some())
        || call.turns.iter().flat_map(|turn| &turn.parts).any(|part| cache_of(part).is_some());
    if !takes || marked {
        return;
    }
    let last_user = call.turns.iter().rposition(|turn| turn.role == Role::User).unwrap_or(0);
    let (before, rest) = call.turns.split_at_mut(last_user);
    before.iter_mut().rev().any(mark_turn);
    rest.iter_mut().rev().any(mark_turn);
}

/// Puts the marker into a body that stays in Anthropic's dialect, whose provider then finds the places.
pub(super) fn edit(body: &mut Body<'_>) {
    let call = body.call;
    if call.gateway.caching
        && call.surface == Dialect::AnthropicMessages
        && memchr::memmem::find(&call.bytes, br#""cache_control""#).is_none()
    {
        body.set("cache_control", MARKER);
    }
}

/// Marks the last part that can be marked.
fn mark_turn(turn: &mut Turn) -> bool {
    let place = turn.parts.iter_mut().rev().find_map(|part| match part {
        Part::Text { text, .. } if text.expose().trim().is_empty() => None,
        part => cache_mut(part),
    });
    place.map(|cache| *cache = Some(Json::of_valid(MARKER))).is_some()
}

fn cache_mut(part: &mut Part) -> Option<&mut Option<Json>> {
    match part {
        Part::Text { cache, .. }
        | Part::Image { cache, .. }
        | Part::File { cache, .. }
        | Part::FileUrl { cache, .. }
        | Part::ToolUse { cache, .. }
        | Part::ToolResult { cache, .. } => Some(cache),
        Part::Thinking { .. } | Part::RedactedThinking { .. } => None,
    }
}

fn cache_of(part: &Part) -> Option<&Json> {
    match part {
        Part::Text { cache, .. }
        | Part::Image { cache, .. }
        | Part::File { cache, .. }
        | Part::FileUrl { cache, .. }
        | Part::ToolUse { cache, .. }
        | Part::ToolResult { cache, .. } => cache.as_ref(),
        Part::Thinking { .. } | Part::RedactedThinking { .. } => None,
    }
}
