//! Fields of Anthropic messages. Source: the public API reference, read November 2026.

use super::Carriage::{Carried, Dropped, Refused};
use super::Effect::{Bills, BillsAndRetains, Gateway, Plain, Retains};
use super::{Field, field};

pub(crate) const FIELDS: &[Field] = &[
    field("cache_control", Plain, Dropped("targets cache by themselves")),
    field("caching", Gateway, Dropped("read by the gateway")),
    field("container", BillsAndRetains, Refused("runs on the provider's machines")),
    field("context_management", Bills, Refused("no counterpart")),
    field("inference_geo", Bills, Refused("residency is set by policy, not by the caller")),
    field("max_tokens", Plain, Carried("output limit")),
    field("mcp_servers", BillsAndRetains, Refused("tools run by the server")),
    field("messages", Plain, Carried("turns")),
    field("metadata", Plain, Carried("user_id: user")),
    field("model", Plain, Carried("the upstream's name of the model")),
    field("models", Gateway, Dropped("read by the gateway")),
    field("output_config", Plain, Carried("format: response_format; effort: reasoning_effort")),
    field("output_format", Plain, Carried("response_format")),
    field("provider", Gateway, Dropped("read by the gateway")),
    field("providerOptions", Gateway, Dropped("read by the gateway")),
    field("service_tier", Bills, Refused("only auto and standard_only have counterparts"))
        .harmless(&[br#""auto""#, br#""standard_only""#]),
    field("speed", Bills, Refused("no counterpart")).harmless(&[br#""standard""#]),
    field("stop_sequences", Plain, Carried("stop; more than 4 are refused")),
    field("stream", Plain, Carried("stream")),
    field("system", Plain, Carried("system message")),
    field("temperature", Plain, Carried("temperature")),
    field("thinking", Plain, Carried("reasoning_effort by size of the budget")),
    field("tool_choice", Plain, Carried("tool_choice and parallel_tool_calls")),
    field("tools", Plain, Carried("tools with an input schema; others are refused")),
    field("top_k", Plain, Refused("no counterpart")),
    field("top_p", Plain, Carried("top_p")),
    field("user_profile_id", Retains, Refused("no counterpart")),
];
