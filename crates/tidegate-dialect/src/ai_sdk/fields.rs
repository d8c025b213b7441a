//! Fields of the AI SDK's language model calls. Source: the call options' types of specifications v2 to v4.

use crate::registry::Carriage::{Carried, Dropped, Refused};
use crate::registry::Effect::{Gateway, Plain};
use crate::registry::{Field, field};

pub(super) const FIELDS: &[Field] = &[
    field("frequencyPenalty", Plain, Carried("frequency_penalty")).harmless(&[b"0"]),
    field("headers", Gateway, Dropped("the caller's HTTP headers once more; neither sent on nor logged")),
    field("includeRawChunks", Plain, Dropped("a provider's raw events are not shown")),
    field("maxOutputTokens", Plain, Carried("output limit")),
    field("presencePenalty", Plain, Carried("presence_penalty")).harmless(&[b"0"]),
    field("prompt", Plain, Carried("turns")),
    field("providerOptions", Gateway, Carried("gateway: read here; others: where that provider is asked")),
    field("reasoning", Plain, Carried("reasoning effort")),
    field("responseFormat", Plain, Carried("json: a schema (strict where it can be), or any JSON object")),
    field("seed", Plain, Carried("seed; left out where there is none, best effort everywhere")),
    field("stopSequences", Plain, Carried("stop sequences")),
    field("temperature", Plain, Carried("temperature")),
    field("toolChoice", Plain, Carried("tool choice")),
    field("tools", Plain, Carried("function tools; those that a provider or the gateway runs are refused")),
    field("topK", Plain, Carried("top_k")),
    field("topP", Plain, Carried("top_p")),
];

pub(super) const NESTED: &[Field] = &[
    field("prompt[].content[].dynamic", Plain, Dropped("how the client found the tool")),
    field("prompt[].content[].originalUrl", Plain, Dropped("where the client fetched the file")),
    field("prompt[].content[].providerExecuted", Plain, Refused("a tool that the provider ran"))
        .harmless(&[b"false"]),
    field("prompt[].content[].title", Plain, Dropped("the tool's name for people")),
    field("prompt[].content[].toolName", Plain, Dropped("the call's id tells")),
    field("responseFormat.description", Plain, Dropped("the schema can hold one")),
    field("tools[].inputExamples", Plain, Dropped("a hint; the schema tells what fits")),
];
