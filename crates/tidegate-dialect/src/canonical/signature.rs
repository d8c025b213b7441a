//! Whose signature a piece of reasoning carries: only its maker can take it back.
//!
//! Anthropic's are bare base64; others are written `maker:text`, so that encoders can tell them apart
//! and leave out what their provider would refuse.

/// Maker of OpenAI's encrypted reasoning; the text is `item id:encrypted content`.
pub(crate) const OPENAI: &str = "openai-responses-v1";

/// A signature of this maker.
pub(crate) fn made_by(maker: &str, text: &str) -> String {
    format!("{maker}:{text}")
}

/// Its text when it is this maker's.
pub(crate) fn of_maker<'s>(signature: &'s str, maker: &str) -> Option<&'s str> {
    signature.strip_prefix(maker)?.strip_prefix(':')
}

/// Whether it is bare, as Anthropic's are.
pub(crate) fn is_bare(signature: &str) -> bool {
    !signature.contains(':')
}
