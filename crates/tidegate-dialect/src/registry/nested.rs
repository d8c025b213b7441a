//! Nested fields that a decoder does not take, and what becomes of them. `[]` stands for any element.

use super::Carriage::{Dropped, Refused};
use super::Effect::Plain;
use super::{Field, field};

pub(crate) const OPENAI: &[Field] = &[
    field("messages[].annotations", Plain, Dropped("citations of an earlier answer; its text is carried")),
    field("messages[].audio", Plain, Refused("audio has no counterpart")),
    field("messages[].content[].image_url.detail", Plain, Dropped("a hint of resolution")),
    field("messages[].function_call", Plain, Refused("deprecated; use tool_calls")),
    field("messages[].name", Plain, Dropped("a hint of who speaks")),
    field("messages[].provider_metadata", Plain, Dropped("put there by the gateway")),
    field(
        "messages[].provider_specific_fields",
        Plain,
        Dropped("put there by LiteLLM, of the gateway's own"),
    ),
    field("messages[].reasoning", Plain, Dropped("only signed reasoning (reasoning_details) can go back")),
    field(
        "messages[].reasoning_content",
        Plain,
        Dropped("only signed reasoning (reasoning_details) can go back"),
    ),
    field("messages[].tool_calls[].index", Plain, Dropped("the order tells")),
    field("response_format.json_schema.description", Plain, Dropped("the schema can hold one")),
    field("stream_options.include_obfuscation", Plain, Dropped("padding of its own dialect")),
    field("stream_options.include_usage", Plain, Dropped("answered by the gateway")),
];

pub(crate) const ANTHROPIC: &[Field] = &[
    field("messages[].content[].caller", Plain, Dropped("who called an earlier tool")),
    field(
        "messages[].content[].citations",
        Plain,
        Dropped("citations of an earlier answer; its text is carried"),
    )
    .harmless(&[b"[]"]),
    field("metadata", Plain, Dropped("only user_id has a counterpart")),
    field("system[].citations", Plain, Dropped("citations of an earlier answer; its text is carried")),
    field("thinking.display", Plain, Dropped("targets show what they show")),
    field("tools[].eager_input_streaming", Plain, Dropped("how soon input streams")),
    field("tools[].type", Plain, Refused("defined or run by the provider")),
];
