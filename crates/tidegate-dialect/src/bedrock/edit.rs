//! The one edit of a Converse body that stays in its dialect: the output limit, inside `inferenceConfig`.

use crate::json::Span;
use crate::outbound::{Body, Edits};

/// Lowers `inferenceConfig.maxTokens` to the limit, or adds it.
pub(super) fn edit(body: &mut Body<'_>, edits: &Edits<'_>) {
    let Some(limit) = edits.output_limit else { return };
    let Some(config) = body.value("inferenceConfig") else {
        return body.set("inferenceConfig", format!(r#"{{"maxTokens":{limit}}}"#));
    };
    match config.get("maxTokens") {
        Some(asked) if asked.whole().is_some_and(|asked| asked <= limit) => {}
        Some(asked) => body.replace(asked.span(), limit.to_string()),
        None => {
            let lead = if config.members().next().is_some() { "," } else { "" };
            let end = config.span().end.saturating_sub(1);
            body.replace(Span::at(end), format!(r#"{lead}"maxTokens":{limit}"#));
        }
    }
}
