//! Whose signature a piece of reasoning carries: only its maker can take it back.
//!
//! Anthropic's are bare base64; others are written `maker:text`, so that encoders can tell them apart
//! and leave out what their provider would refuse.

use crate::Content;

/// Maker of Anthropic's signatures.
pub(crate) const ANTHROPIC: &str = "anthropic-claude-v1";

/// Maker of Google's thought signatures.
pub(crate) const GEMINI: &str = "google-gemini-v1";

/// Maker of OpenAI's encrypted reasoning; the text is `item id:encrypted content`.
pub(crate) const OPENAI: &str = "openai-responses-v1";

/// The maker of a signature, and what it wrote.
pub(crate) fn maker(signature: &str) -> (&str, &str) {
    signature.split_once(':').unwrap_or((ANTHROPIC, signature))
}

/// A signature as the one form has it.
pub(crate) fn mark(maker: &str, text: &str) -> Content {
    Content::new(if maker == ANTHROPIC { text.to_owned() } else { made_by(maker, text) })
}

/// What this maker wrote, when the signature is its own.
pub(crate) fn by<'s>(whose: &str, signature: Option<&'s Content>) -> Option<&'s str> {
    signature
        .map(|signature| maker(signature.expose()))
        .filter(|(maker, _)| *maker == whose)
        .map(|(_, text)| text)
}

/// A text marked with its maker.
pub(crate) fn made_by(maker: &str, text: &str) -> String {
    format!("{maker}:{text}")
}
