//! Edits of a body that stays in its dialect: the output limit lies inside of `generationConfig`.

use super::names::{self, camel};
use crate::json::{Kind, Span};
use crate::outbound::{Body, Edits};

/// Makes the edits.
pub(super) fn edit(body: &mut Body<'_>, edits: &Edits<'_>) {
    if let Some(limit) = edits.output_limit {
        limit_output(body, limit);
    }
    if edits.no_store && body.value("store").is_some_and(|store| store.bool() != Some(false)) {
        body.set("store", "false");
    }
}

/// In the spelling that the client used: in two spellings the provider would find the field twice.
fn limit_output(body: &mut Body<'_>, limit: u64) {
    const SPELLINGS: [&str; 2] = ["generationConfig", "generation_config"];
    let given = SPELLINGS.iter().find_map(|name| body.value(name));
    let Some(config) = given.filter(|config| config.kind() == Kind::Object) else {
        let name = SPELLINGS.iter().find(|name| body.has(name)).unwrap_or(&"generationConfig");
        return body.set(name, format!(r#"{{"maxOutputTokens":{limit}}}"#));
    };
    if let Some(own) = config.members().find(|member| camel(&member.key) == "maxOutputTokens") {
        if names::whole(&own.value).is_none_or(|asked| asked > limit) {
            body.replace(own.value.span(), limit.to_string());
        }
        return;
    }
    let lead = if config.members().next().is_some() { "," } else { "" };
    let end = config.span().end.saturating_sub(1);
    body.replace(Span::at(end), format!(r#"{lead}"maxOutputTokens":{limit}"#));
}
