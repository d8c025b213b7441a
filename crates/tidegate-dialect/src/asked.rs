//! What of a request its answer repeats: settings that the Responses API gives back as they were sent.
//! Slices of the client's body; their Debug shows no content.

use std::fmt;

use bytes::Bytes;

use crate::Dialect;
use crate::json::{Kind, Value};
use crate::read::CallBody;

/// Members that a response repeats. Source: the public API reference, read November 2026.
const REPEATED: [&str; 16] = [
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// Settings of a request, as JSON.
#[derive(Clone, Default)]
pub struct Asked(Vec<(&'static str, Bytes)>);

impl Asked {
    /// The setting of this name, if the client gave it.
    pub(crate) fn get(&self, name: &str) -> Option<&Bytes> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, json)| json)
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl CallBody {
    /// What its answer repeats; nothing in dialects whose answers repeat nothing.
    #[must_use]
    pub fn asked(&self) -> Asked {
        if self.surface != Dialect::OpenaiResponses {
            return Asked::default();
        }
        let given = self.spots.members.iter().filter_map(|spot| {
            let name = REPEATED.iter().find(|name| spot.field.is_some_and(|field| field.name == **name))?;
            let value = Value::validated(&self.bytes, spot.value);
            // Clients read the format unguarded: without one the usual object stands.
            let whole = *name != "text" || value.get("format").is_some_and(|it| it.kind() == Kind::Object);
            let span = spot.value;
            (whole && !value.is_null()).then(|| (*name, self.bytes.slice(span.start..span.end)))
        });
        Asked(given.collect())
    }
}
