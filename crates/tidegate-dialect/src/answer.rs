//! Whole answers (not streams): passed through or translated, with their facts.

use bytes::Bytes;
use tidegate_types::usage::Usage;

use crate::json::Value;
use crate::usage::read_anthropic;
use crate::{AnswerFault, Dialect, anthropic, openai};

/// What the gateway puts into answers that it writes itself.
#[derive(Debug, Clone)]
pub struct AnswerFacts {
    /// The call's id, the answer's id in translated answers.
    pub call_id: String,
    /// Model's name for translated answers whose provider gave none.
    pub model: String,
    /// Unix seconds.
    pub created: i64,
    /// The client asked for usage in its stream.
    pub asked_usage: bool,
}

/// A whole answer for the client.
#[derive(Debug, Clone)]
pub struct Complete {
    /// The body.
    pub bytes: Bytes,
    /// The provider's usage, when it gave a sensible one.
    pub usage: Option<Usage>,
    /// UTF-8 bytes of visible output: an upper bound of its tokens.
    pub visible_bytes: u64,
}

/// Reads a provider's whole answer and gives it in the client's dialect. Same dialect: the same bytes.
///
/// # Errors
/// [`AnswerFault`] when it is not an answer, or has a part that the client's dialect cannot carry.
pub fn complete(
    surface: Dialect,
    target: Dialect,
    body: &Bytes,
    facts: &AnswerFacts,
) -> Result<Complete, AnswerFault> {
    let root = Value::parse(body).map_err(|_| AnswerFault::Malformed("not JSON"))?;
    let (usage, visible_bytes) = match target {
        Dialect::OpenaiChat => {
            let seen = openai::watch::glance(&root);
            if !seen.choices {
                return Err(AnswerFault::Malformed("no choices"));
            }
            (seen.usage, seen.visible_bytes)
        }
        Dialect::AnthropicMessages => {
            let content = root.get("content").ok_or(AnswerFault::Malformed("no content"))?;
            let visible = content.elements().map(|block| anthropic::watch::block_bytes(&block)).sum();
            (root.get("usage").and_then(|usage| read_anthropic(&usage)), visible)
        }
    };
    let bytes =
        if surface == target { body.clone() } else { translate(surface, target, &root, facts)?.into() };
    Ok(Complete { bytes, usage, visible_bytes })
}

fn translate(
    surface: Dialect,
    target: Dialect,
    root: &Value<'_>,
    facts: &AnswerFacts,
) -> Result<Vec<u8>, AnswerFault> {
    let answer = match target {
        Dialect::OpenaiChat => openai::answer::decode(root)?,
        Dialect::AnthropicMessages => anthropic::answer::decode(root)?,
    };
    Ok(match surface {
        Dialect::OpenaiChat => openai::answer::encode(&answer, facts),
        Dialect::AnthropicMessages => anthropic::answer::encode(&answer, facts),
    })
}
