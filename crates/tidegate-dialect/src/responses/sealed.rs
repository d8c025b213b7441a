//! `encrypted_content` of reasoning items, and what the one form makes of it.
//!
//! OpenAI's own comes bare. That of other providers travels under its maker's name, so that it finds
//! back to it and never to another.

use crate::Content;
use crate::canonical::Part;
use crate::canonical::signature::{ANTHROPIC, OPENAI, by, mark};

/// Reasoning that Anthropic does not show at all.
const REDACTED: &str = "anthropic-claude-v1.redacted:";

/// Whether it was not made by OpenAI, whose texts have no colon.
pub(super) fn is_foreign(sealed: &str) -> bool {
    sealed.contains(':')
}

/// Whether a reasoning item was named by the gateway: the provider could not look it up.
pub(super) fn is_ours(id: &str) -> bool {
    let stem = id.strip_prefix("rs_").and_then(|rest| rest.split_once('_'));
    stem.is_some_and(|(stem, _)| {
        stem.len() == 26 && stem.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
    })
}

/// A reasoning item as a part; `None` when nothing is in it.
pub(super) fn open(id: &str, text: String, sealed: Option<&str>) -> Option<Part> {
    let sealed = sealed.filter(|sealed| !sealed.is_empty());
    if let Some(data) = sealed.and_then(|sealed| sealed.strip_prefix(REDACTED)) {
        return Some(Part::RedactedThinking { data: data.into() });
    }
    if text.is_empty() && sealed.is_none() {
        return None;
    }
    Some(Part::Thinking { text: text.into(), signature: sealed.map(|sealed| signature(id, sealed)) })
}

/// The signature for an item's encrypted content.
pub(super) fn signature(id: &str, sealed: &str) -> Content {
    match sealed.split_once(':') {
        Some((maker, text)) => mark(maker, text),
        None => mark(OPENAI, &format!("{id}:{sealed}")),
    }
}

/// Item id and encrypted content of OpenAI's own reasoning.
pub(super) fn of_openai(signature: Option<&Content>) -> Option<(&str, &str)> {
    by(OPENAI, signature)?.split_once(':')
}

/// What a client gets as encrypted content for a signature.
pub(super) fn seal(signature: &Content) -> String {
    match (of_openai(Some(signature)), by(ANTHROPIC, Some(signature))) {
        (Some((_, sealed)), _) => sealed.to_owned(),
        (None, Some(bare)) => format!("{ANTHROPIC}:{bare}"),
        (None, None) => signature.expose().to_owned(),
    }
}

/// The same for reasoning that is not shown at all.
pub(super) fn seal_redacted(data: &Content) -> String {
    format!("{REDACTED}{}", data.expose())
}
