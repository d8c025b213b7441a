//! Fields of Bedrock's Converse and ConverseStream. Source: the service model that AWS publishes with its
//! SDKs (`bedrock-runtime`, 2023-09-30), as of botocore 1.44.5, November 2026.

use crate::registry::Carriage::{Carried, Dropped, Refused};
use crate::registry::Effect::{Bills, Gateway, Plain};
use crate::registry::{Field, field};

pub(super) const FIELDS: &[Field] = &[
    field(
        "additionalModelRequestFields",
        Plain,
        Carried("thinking, reasoning_effort, tool_choice and top_k; others are refused"),
    ),
    field(
        "additionalModelResponseFieldPaths",
        Plain,
        Dropped("asks for copies of a model's own fields beside the answer"),
    ),
    field("caching", Gateway, Dropped("read by the gateway")),
    field("guardrailConfig", Bills, Refused("a guardrail of the caller's own account")),
    field("inferenceConfig", Plain, Carried("output limit, temperature, top_p, stop sequences")),
    field("messages", Plain, Carried("turns")),
    field("models", Gateway, Dropped("read by the gateway")),
    field("outputConfig", Plain, Carried("textFormat: response_format; effort: reasoning_effort")),
    field("performanceConfig", Bills, Refused("only standard latency has a counterpart")).harmless(&[
        br#"{"latency":"standard"}"#,
        br#"{"latency": "standard"}"#,
        b"{}",
    ]),
    field("promptVariables", Plain, Refused("a prompt that lies in the caller's own account"))
        .harmless(&[b"{}"]),
    field("provider", Gateway, Dropped("read by the gateway")),
    field("providerOptions", Gateway, Dropped("read by the gateway")),
    field("requestMetadata", Plain, Dropped("labels for the provider's own logs")),
    field("serviceTier", Bills, Refused("only the default tier has a counterpart"))
        .harmless(&[br#"{"type":"default"}"#, br#"{"type": "default"}"#]),
    field("system", Plain, Carried("system message")),
    field("toolConfig", Plain, Carried("tools, tool_choice; tools of the provider are refused")),
];

pub(super) const NESTED: &[Field] = &[
    field("messages[].content[].audio", Plain, Refused("audio has no counterpart")),
    field("messages[].content[].document.s3Location", Plain, Refused("only its own provider can read S3")),
    field("messages[].content[].guardContent", Plain, Refused("for a guardrail of the caller's own account")),
    field("messages[].content[].searchResult", Plain, Refused("no counterpart in other dialects")),
    field("messages[].content[].toolAddition", Plain, Refused("no counterpart in other dialects")),
    field("messages[].content[].toolRemoval", Plain, Refused("no counterpart in other dialects")),
    field("messages[].content[].toolResult.type", Plain, Refused("a tool that the provider ran")),
    field("messages[].content[].toolUse.type", Plain, Refused("a tool that the provider ran")),
    field("messages[].content[].video", Plain, Refused("video has no counterpart")),
    field(
        "outputConfig.textFormat.structure.jsonSchema.description",
        Plain,
        Dropped("the schema can hold one"),
    ),
    field("system[].guardContent", Plain, Refused("for a guardrail of the caller's own account")),
    field("toolConfig.tools[].systemTool", Plain, Refused("run by the provider")),
];
