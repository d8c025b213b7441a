//! `providerMetadata`: what the gateway says about itself, and signatures that clients send back.

use tidegate_types::Timestamp;
use tidegate_types::usage::Usage;

use crate::answer::AnswerFacts;
use crate::canonical::signature::{GEMINI, OPENAI, maker};
use crate::json::Writer;

/// Writes `{"gateway": {…}}`: the call's id, what it costs as decimal strings in USD, and its routing.
pub(super) fn write_gateway(json: &mut Writer, facts: &AnswerFacts, usage: Option<&Usage>) {
    json.object(|json| {
        json.key("gateway").object(|json| {
            let id = facts.note.as_ref().map_or(&facts.call_id, |note| &note.generation_id);
            json.key("generationId").text(id);
            let Some(note) = &facts.note else { return };
            if let Some(usage) = usage {
                let cost = note.costing.cost(usage).to_string();
                json.key("cost").text(&cost).key("marketCost").text(&cost);
            }
            if let Some(routing) = &note.routing {
                json.key("routing").raw(routing);
            }
        });
    });
}

/// Writes the metadata of a signed thought, under the name of who signed it.
pub(super) fn write_signature(json: &mut Writer, signature: &str) {
    let (whose, text) = maker(signature);
    json.object(|json| match whose {
        GEMINI => json.key("google").object(|json| json.key("thoughtSignature").text(text).done()).done(),
        OPENAI => {
            let (item, sealed) = text.split_once(':').unwrap_or(("", text));
            json.key("openai").object(|json| {
                json.key("itemId").text(item).key("reasoningEncryptedContent").text(sealed);
            });
        }
        _ => json.key("anthropic").object(|json| json.key("signature").text(text).done()).done(),
    });
}

/// Whether a signature without words is one of the part that follows it, as Gemini's are.
pub(super) fn goes_with_next(signature: &str) -> bool {
    maker(signature).0 == GEMINI
}

/// Writes the metadata of a thought that only its provider can read.
pub(super) fn write_redacted(json: &mut Writer, data: &str) {
    json.object(|json| {
        json.key("anthropic").object(|json| json.key("redactedData").text(data).done());
    });
}

/// Writes `warnings`: what of the request had no effect.
pub(super) fn write_warnings(json: &mut Writer, facts: &AnswerFacts) {
    json.array(|json| {
        for warning in &facts.warnings {
            json.object(|json| json.key("type").text("other").key("message").text(warning).done());
        }
    });
}

/// Writes the members that describe the answer: its id, when it began, by which model.
pub(super) fn write_response(json: &mut Writer, facts: &AnswerFacts, model: Option<&str>) {
    json.key("id").text(&facts.call_id);
    json.key("timestamp").text(&Timestamp::from_seconds(facts.created).to_string());
    json.key("modelId").text(model.unwrap_or(&facts.model));
}
