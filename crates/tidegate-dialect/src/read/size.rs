//! Upper bounds of input tokens, and of everything that is billed beyond plain tokens.

use tidegate_types::usage::Usage;

use super::CallBody;

/// What of the body becomes input.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InputSize {
    /// Bytes of everything that is turned into text tokens (messages, system, tools, schemas), as written.
    pub text_bytes: u64,
    /// Messages.
    pub messages: u64,
    /// Declared tools, and a schema for the output.
    pub tools: u64,
    /// Images.
    pub images: u64,
    /// JSON path of the first input whose size is not in the body (file ids, documents by URL, audio …).
    pub unboundable: Option<String>,
    /// Upper bounds of what is billed beyond plain tokens; `u64::MAX` of a sort of token: all may be of it.
    pub most: Usage,
}

/// An upper bound of a call's input tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputBound {
    /// At most so many tokens, unless `unboundable` is set.
    pub tokens: u64,
    /// Whether it holds for certain (no images counted by a model's maximum).
    pub exact: bool,
    /// JSON path of an input that cannot be bounded; strict budgets refuse it.
    pub unboundable: Option<String>,
}

impl InputSize {
    /// The bound: a byte-level tokenizer yields at most one token per byte. `image_max`: most tokens that
    /// the model takes for one image; `None` when not known.
    #[must_use]
    pub fn bound(&self, image_max: Option<u64>) -> InputBound {
        /// Role markers and separators of one message.
        const PER_MESSAGE: u64 = 16;
        /// A provider's own wrapping of one tool.
        const PER_TOOL: u64 = 64;
        /// A provider's own system prompt for tool use, largest of those published.
        const TOOL_PROMPT: u64 = 1024;
        let tools = if self.tools == 0 { 0 } else { TOOL_PROMPT + self.tools.saturating_mul(PER_TOOL) };
        let text = self.text_bytes.saturating_add(self.messages.saturating_mul(PER_MESSAGE));
        let images = self.images.saturating_mul(image_max.unwrap_or(0));
        let unknown_images = self.images > 0 && image_max.is_none();
        let unboundable =
            self.unboundable.clone().or_else(|| unknown_images.then(|| "messages (images)".to_owned()));
        InputBound {
            tokens: text.saturating_add(tools).saturating_add(images).saturating_add(PER_MESSAGE),
            exact: self.images == 0 && unboundable.is_none(),
            unboundable,
        }
    }
}

impl CallBody {
    /// Upper bounds of what is billed beyond plain tokens, tokens that a cache keeps for an hour included.
    #[must_use]
    pub fn most(&self) -> Usage {
        let hour = if names_an_hour(&self.bytes) { u64::MAX } else { 0 };
        let told = self.input.most.cache_creation_1h_input_tokens;
        Usage { cache_creation_1h_input_tokens: told.max(hour), ..self.input.most }
    }
}

/// Whether some string of the body is `1h`, however it is escaped: every dialect that can ask for
/// cache writes of an hour does it with this word.
fn names_an_hour(body: &[u8]) -> bool {
    const BEFORE: [&[u8]; 2] = [b"\"", br#""\u003"#];
    const BEHIND: [&[u8]; 2] = [b"h\"", br#"\u0068""#];
    memchr::memchr_iter(b'1', body).any(|at| {
        let (before, behind) = body.split_at(at);
        BEFORE.iter().any(|word| before.ends_with(word))
            && behind.get(1..).is_some_and(|behind| BEHIND.iter().any(|word| behind.starts_with(word)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_seen_in_every_spelling_and_not_in_texts() {
        for body in [
            r#"{"ttl":"1h"}"#,
            r#"{"ttl":"\u0031h"}"#,
            r#"{"ttl":"1\u0068"}"#,
            r#"{"a":11,"ttl":"\u0031\u0068"}"#,
        ] {
            assert!(names_an_hour(body.as_bytes()), "{body}");
        }
        assert!(!names_an_hour(br#"{"ttl":"5m","text":"say \"1h\" or 1h or 11h","n":1}"#));
    }
}
