//! Fields of OpenAI responses. Source: the public API reference and the types of the official SDK, read November 2026.

use crate::registry::Carriage::{Carried, Dropped, Refused};
use crate::registry::Effect::{Bills, BillsAndRetains, Gateway, Plain, Retains, Withdrawn};
use crate::registry::{Field, field};

/// Absent `store` means true: the provider keeps the answer for 30 days. Under ZDR the edit table
/// writes false; translated calls always say false.
pub(super) const FIELDS: &[Field] = &[
    field("access_programs", Plain, Refused("programs of the provider's own")),
    field("background", BillsAndRetains, Refused("the answer must come on this connection"))
        .harmless(&[b"false"]),
    field("cache_anchor_items", Gateway, Dropped("read by the gateway")),
    field("cache_ttl", Gateway, Dropped("read by the gateway")),
    field("caching", Gateway, Dropped("read by the gateway")),
    field("context_management", Bills, Refused("no counterpart")).harmless(&[b"[]"]),
    field("conversation", Retains, Refused("kept by the provider")),
    field("image", Plain, Refused("no counterpart")),
    field("include", Plain, Carried("log probabilities; encrypted reasoning always comes along")),
    field("input", Plain, Carried("turns; items of tools run by the server, and references, are refused")),
    field("instructions", Plain, Carried("first system turn")),
    field("max_output_tokens", Plain, Carried("output limit")),
    field("max_tool_calls", Plain, Refused("counts tools run by the server")),
    field("metadata", Plain, Dropped("labels of stored answers; read by the gateway")),
    field("model", Plain, Carried("the upstream's name of the model")),
    field("models", Gateway, Dropped("read by the gateway")),
    field("moderation", Bills, Refused("no counterpart")),
    field("parallel_tool_calls", Plain, Carried("one call at a time or several")),
    field("previous_response_id", Retains, Refused("kept by the provider; send the items along")),
    field("prompt", BillsAndRetains, Refused("kept by the provider")),
    field("prompt_cache_key", Plain, Dropped("only steers cache hits")),
    field("prompt_cache_options", BillsAndRetains, Dropped("only steers cache hits")),
    field("prompt_cache_retention", Withdrawn, Dropped("only steers cache hits"))
        .harmless(&[br#""in_memory""#, br#""in-memory""#]),
    field("provider", Gateway, Dropped("read by the gateway")),
    field("providerOptions", Gateway, Dropped("read by the gateway")),
    field("reasoning", Plain, Carried("effort")),
    field("safety_identifier", Plain, Carried("end user")),
    field("service_tier", Bills, Refused("only auto and default have counterparts"))
        .harmless(&[br#""auto""#, br#""default""#]),
    field("store", Withdrawn, Refused("the provider stores nothing")).harmless(&[b"false"]),
    field("stream", Plain, Carried("stream")),
    field("stream_options", Plain, Carried("padding is of its own dialect")),
    field("temperature", Plain, Carried("temperature")),
    field(
        "text",
        Plain,
        Carried("format: json_schema or json_object; verbosity: refused outside of OpenAI's dialects"),
    ),
    field("tool_choice", Plain, Carried("allowed_tools: only those tools are sent")),
    field("tools", Plain, Carried("function tools; others are refused")),
    field("top_logprobs", Plain, Carried("log probabilities of other likely tokens")).harmless(&[b"0"]),
    field("top_p", Plain, Carried("top_p")),
    field("truncation", Plain, Refused("the input is not cut on the way")).harmless(&[br#""disabled""#]),
    field("user", Plain, Carried("end user")),
];

pub(super) const NESTED: &[Field] = &[
    field("input[].caller", Plain, Dropped("who called an earlier tool")),
    field(
        "input[].content[].annotations",
        Plain,
        Dropped("citations of an earlier answer; its text is carried"),
    ),
    field("input[].content[].detail", Plain, Dropped("a hint of resolution")),
    field("input[].content[].logprobs", Plain, Dropped("of an earlier answer; its text is carried")),
    field("input[].id", Plain, Dropped("the order tells; reasoning keeps it inside its signature")),
    field("input[].name", Plain, Dropped("the call tells")),
    field("input[].namespace", Plain, Refused("no counterpart")),
    field("input[].phase", Plain, Dropped("a hint of what an earlier text was for")),
    field("input[].provider_metadata", Plain, Dropped("put there by the gateway")),
    field("input[].status", Plain, Dropped("of an earlier answer; what there is of it is carried")),
    field("reasoning.context", Plain, Dropped("models choose which earlier reasoning they see")),
    field("reasoning.generate_summary", Plain, Dropped("targets show what they show")),
    field("reasoning.mode", Bills, Refused("no counterpart")).harmless(&[br#""standard""#]),
    field("reasoning.summary", Plain, Dropped("targets show what they show")),
    field("stream_options.include_obfuscation", Plain, Dropped("padding of its own dialect")),
    field("text.format.description", Plain, Dropped("the schema can hold one")),
    field("tools[].allowed_callers", Plain, Refused("no counterpart")).harmless(&[br#"["direct"]"#]),
    field("tools[].async", Plain, Refused("no counterpart")).harmless(&[b"false"]),
    field("tools[].defer_loading", Plain, Refused("no counterpart")).harmless(&[b"false"]),
    field("tools[].output_schema", Plain, Dropped("describes results, which the client makes")),
    field("tools[].type", Plain, Refused("defined or run by the provider")),
];
