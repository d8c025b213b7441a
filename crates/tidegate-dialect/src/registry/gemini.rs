//! Fields of Gemini's `generateContent`, AI Studio and Vertex AI. Source: the REST references of both and
//! the types of google-genai 3.4, read November 2026. Readers of protobuf's JSON take a field by its camel
//! case and by its snake case name, so both are registered.

use super::Carriage::{Carried, Dropped, Refused};
use super::Effect::{Bills, BillsAndRetains, Gateway, Plain, Withdrawn};
use super::{Carriage, Effect, Field, field};

const CACHED: (Effect, Carriage) = (BillsAndRetains, Refused("content that lies at the provider"));
const CONFIG: (Effect, Carriage) =
    (Plain, Carried("output limit, stop, sampling, reasoning, response format, log probabilities"));
const ARMOR: (Effect, Carriage) = (Bills, Refused("a filter run by the provider"));
const SAFETY: (Effect, Carriage) =
    (Plain, Carried("thresholds that block nothing are left out; others are refused"));
const SYSTEM: (Effect, Carriage) = (Plain, Carried("system turn"));
const TIER: (Effect, Carriage) = (Bills, Refused("no counterpart"));
const STANDARD: &[&[u8]] = &[br#""standard""#, br#""unspecified""#, br#""STANDARD""#];
const CHOICE: (Effect, Carriage) = (Plain, Carried("tool choice; VALIDATED: auto"));

const fn both(name: &'static str, of: (Effect, Carriage)) -> Field {
    field(name, of.0, of.1)
}

pub(crate) const FIELDS: &[Field] = &[
    both("cachedContent", CACHED),
    both("cached_content", CACHED),
    field("contents", Plain, Carried("turns")),
    both("generationConfig", CONFIG),
    both("generation_config", CONFIG),
    field("labels", Plain, Dropped("labels of the provider's invoice; read by the gateway")),
    field("model", Gateway, Dropped("the path names it")),
    both("modelArmorConfig", ARMOR),
    both("model_armor_config", ARMOR),
    field("models", Gateway, Dropped("read by the gateway")),
    field("provider", Gateway, Dropped("read by the gateway")),
    field("providerOptions", Gateway, Dropped("read by the gateway")),
    both("safetySettings", SAFETY),
    both("safety_settings", SAFETY),
    both("serviceTier", TIER).harmless(STANDARD),
    both("service_tier", TIER).harmless(STANDARD),
    field("store", Withdrawn, Refused("the provider stores nothing")).harmless(&[b"false"]),
    both("systemInstruction", SYSTEM),
    both("system_instruction", SYSTEM),
    both("toolConfig", CHOICE),
    both("tool_config", CHOICE),
    field("tools", Plain, Carried("function declarations; others are refused")),
];

/// By camel case names.
pub(crate) const NESTED: &[Field] = &[
    field("contents[].parts[].mediaResolution", Plain, Dropped("a hint of resolution")),
    field("contents[].parts[].partMetadata", Plain, Dropped("the client's own notes")),
    field("generationConfig.audioTimestamp", Plain, Refused("no counterpart")).harmless(&[b"false"]),
    field("generationConfig.candidateCount", Plain, Refused("one answer per call")).harmless(&[b"1"]),
    field("generationConfig.enableAffectiveDialog", Plain, Refused("no counterpart")).harmless(&[b"false"]),
    field("generationConfig.enableEnhancedCivicAnswers", Plain, Refused("no counterpart"))
        .harmless(&[b"false"]),
    field("generationConfig.imageConfig", Bills, Refused("no counterpart")),
    field("generationConfig.mediaResolution", Plain, Dropped("a hint of resolution")),
    field("generationConfig.modelSelectionConfig", Bills, Refused("the gateway chooses the model")),
    field("generationConfig.routingConfig", Bills, Refused("the gateway chooses the model")),
    field("generationConfig.speechConfig", Bills, Refused("audio output has no counterpart")),
    field("generationConfig.thinkingConfig.includeThoughts", Plain, Dropped("targets show what they show")),
    field("toolConfig.retrievalConfig", Plain, Refused("for tools run by the provider")),
    field(
        "tools[].functionDeclarations[].response",
        Plain,
        Dropped("what a tool returns is not declared elsewhere"),
    ),
    field(
        "tools[].functionDeclarations[].responseJsonSchema",
        Plain,
        Dropped("what a tool returns is not declared elsewhere"),
    ),
];
