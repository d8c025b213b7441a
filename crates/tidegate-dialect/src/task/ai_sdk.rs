//! What answers of all the AI SDK's models have: warnings, and the gateway's metadata.

use tidegate_types::usage::Usage;

use crate::answer::AnswerFacts;
use crate::json::Writer;

/// Writes the last members of an answer.
pub(crate) fn close(json: &mut Writer, facts: &AnswerFacts, usage: Option<&Usage>) {
    json.key("warnings").array(|json| {
        for warning in &facts.warnings {
            json.object(|json| {
                json.key("type").text("other");
                json.key("message").text(warning);
            });
        }
    });
    let Some(note) = &facts.note else { return };
    json.key("providerMetadata").object(|json| {
        json.key("gateway").object(|json| {
            if let Some(routing) = &note.routing {
                json.key("routing").raw(routing);
            }
            if let Some(usage) = usage {
                json.key("cost").text(&note.costing.cost(usage).to_string());
            }
            json.key("generationId").text(&note.generation_id);
        });
    });
}
