//! Fields of Cohere's chat, version 2. Source: the public API reference and Cohere's own Python package
//! (`cohere` 5), read November 2026.

use crate::registry::Carriage::{Carried, Dropped, Refused};
use crate::registry::Effect::{Gateway, Plain};
use crate::registry::{Field, field};

pub(super) const FIELDS: &[Field] = &[
    field("caching", Gateway, Dropped("read by the gateway")),
    field("citation_options", Plain, Dropped("citations have no counterpart; the text is carried")),
    field("documents", Plain, Refused("no counterpart; put them into messages")).harmless(&[b"[]"]),
    field("frequency_penalty", Plain, Carried("frequency_penalty")).harmless(&[b"0", b"0.0"]),
    field("k", Plain, Carried("top_k")),
    field("logprobs", Plain, Refused("of another shape than elsewhere")).harmless(&[b"false"]),
    field("max_tokens", Plain, Carried("output limit")),
    field("messages", Plain, Carried("turns")),
    field("model", Plain, Carried("the upstream's name of the model")),
    field("models", Gateway, Dropped("read by the gateway")),
    field("p", Plain, Carried("top_p")),
    field("presence_penalty", Plain, Carried("presence_penalty")).harmless(&[b"0", b"0.0"]),
    field("priority", Plain, Dropped("order in the provider's own queue")),
    field("provider", Gateway, Dropped("read by the gateway")),
    field("providerOptions", Gateway, Dropped("read by the gateway")),
    field("raw_prompting", Plain, Refused("no counterpart")).harmless(&[b"false"]),
    field("response_format", Plain, Carried("response_format")),
    field("safety_mode", Plain, Refused("the provider's own instructions")).harmless(&[br#""CONTEXTUAL""#]),
    field("seed", Plain, Carried("seed")),
    field("stop_sequences", Plain, Carried("stop sequences")),
    field("stream", Plain, Carried("stream")),
    field("strict_tools", Plain, Carried("strict, of every tool")),
    field("temperature", Plain, Carried("temperature")),
    field("thinking", Plain, Carried("reasoning, with its budget")),
    field("tool_choice", Plain, Carried("tool_choice")),
    field("tools", Plain, Carried("tools")),
];

pub(super) const NESTED: &[Field] = &[
    field("messages[].citations", Plain, Dropped("citations of an earlier answer; its text is carried")),
    field("messages[].content[].image_url.detail", Plain, Dropped("a hint of resolution")),
    field("messages[].content[].document.id", Plain, Dropped("only citations would name it")),
];
