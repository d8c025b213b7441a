//! Fields of OpenAI chat completions. Source: the public API reference, read November 2026.

use super::Carriage::{Carried, Dropped, Refused};
use super::Effect::{Bills, BillsAndRetains, Gateway, Plain, Withdrawn};
use super::{Field, field};

pub(crate) const FIELDS: &[Field] = &[
    field("audio", Bills, Refused("audio output has no counterpart")),
    field("caching", Gateway, Dropped("read by the gateway")),
    field("frequency_penalty", Plain, Carried("Anthropic refuses it")).harmless(&[b"0", b"0.0"]),
    field("function_call", Plain, Refused("deprecated; use tool_choice")),
    field("functions", Plain, Refused("deprecated; use tools")),
    field("logit_bias", Plain, Refused("token ids differ between models")).harmless(&[b"{}"]),
    field("logprobs", Plain, Carried("log probabilities, where there are any")).harmless(&[b"false"]),
    field("max_completion_tokens", Plain, Carried("output limit")),
    field("max_tokens", Plain, Carried("output limit")),
    field("messages", Plain, Carried("turns")),
    field("metadata", Plain, Dropped("labels of stored completions; read by the gateway")),
    field("modalities", Bills, Refused("only [\"text\"] has a counterpart")).harmless(&[br#"["text"]"#]),
    field("model", Plain, Carried("the upstream's name of the model")),
    field("models", Gateway, Dropped("read by the gateway")),
    field("moderation", Bills, Refused("no counterpart")),
    field("n", Plain, Refused("one answer per call")).harmless(&[b"1"]),
    field("parallel_tool_calls", Plain, Carried("tool_choice.disable_parallel_tool_use")),
    field("prediction", Bills, Dropped("only makes the same answer faster")),
    field("presence_penalty", Plain, Carried("Anthropic refuses it")).harmless(&[b"0", b"0.0"]),
    field("prompt_cache_key", Plain, Dropped("only steers cache hits")),
    field("prompt_cache_options", BillsAndRetains, Dropped("only steers cache hits")),
    field("prompt_cache_retention", Withdrawn, Dropped("only steers cache hits"))
        .harmless(&[br#""in_memory""#, br#""in-memory""#]),
    field("provider", Gateway, Dropped("read by the gateway")),
    field("providerOptions", Gateway, Dropped("read by the gateway")),
    field("reasoning_effort", Plain, Carried("thinking and output_config.effort")),
    field(
        "response_format",
        Plain,
        Carried("json_schema: output_config.format; text: left out; json_object: refused"),
    ),
    field("safety_identifier", Plain, Carried("metadata.user_id")),
    field("seed", Plain, Carried("seed; left out where there is none, best effort everywhere")),
    field("service_tier", Bills, Refused("only auto and default have counterparts"))
        .harmless(&[br#""auto""#, br#""default""#]),
    field("stop", Plain, Carried("stop_sequences")),
    field("store", Withdrawn, Refused("the provider stores nothing")).harmless(&[b"false"]),
    field("stream", Plain, Carried("stream")),
    field("stream_options", Plain, Carried("include_usage is answered by the gateway")),
    field("temperature", Plain, Carried("Anthropic refuses values over 1")),
    field("tool_choice", Plain, Carried("tool_choice")),
    field("tools", Plain, Carried("function tools; others are refused")),
    field("top_k", Plain, Carried("top_k")),
    field("top_logprobs", Plain, Carried("log probabilities of other likely tokens")).harmless(&[b"0"]),
    field("top_p", Plain, Carried("top_p")),
    field("user", Plain, Carried("metadata.user_id")),
    field("verbosity", Plain, Carried("text.verbosity; refused where there is none")),
    field("web_search_options", Bills, Refused("a tool run by the server")),
];
