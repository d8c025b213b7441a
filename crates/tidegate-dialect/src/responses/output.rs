//! Response objects and output items, as whole answers and streams both write them.

use tidegate_types::usage::Usage;

use super::encode_items::write_summary;
use super::usage;
use crate::answer::AnswerFacts;
use crate::canonical::{Logprobs, Stop};
use crate::json::Writer;

/// Status of an answer that ended so, and why it is incomplete.
pub(super) fn status_of(stop: Stop) -> (&'static str, Option<&'static str>) {
    match stop {
        Stop::EndTurn | Stop::Sequence | Stop::ToolUse => ("completed", None),
        Stop::Limit | Stop::Window => ("incomplete", Some("max_output_tokens")),
        Stop::Refusal => ("incomplete", Some("content_filter")),
    }
}

/// The part of the call's id that names of its items are made of.
pub(super) fn stem(facts: &AnswerFacts) -> &str {
    facts.call_id.strip_prefix("gen_").unwrap_or(&facts.call_id)
}

/// What of a response changes while it is made.
pub(super) struct State<'s> {
    pub(super) status: &'s str,
    /// Why it is incomplete.
    pub(super) reason: Option<&'s str>,
    pub(super) usage: Option<&'s Usage>,
}

/// A setting of the request, or what stands for none.
fn repeat(json: &mut Writer, facts: &AnswerFacts, name: &str, otherwise: impl FnOnce(&mut Writer)) {
    json.key(name);
    match facts.asked.get(name) {
        Some(asked) => json.raw(asked).done(),
        None => otherwise(json),
    }
}

/// Writes a response object with all members that the SDKs demand.
pub(super) fn write_response(
    json: &mut Writer,
    facts: &AnswerFacts,
    state: &State<'_>,
    output: impl FnOnce(&mut Writer),
) {
    let created = facts.created.max(0).unsigned_abs();
    json.object(|json| {
        json.key("id").text(&format!("resp_{}", stem(facts))).key("object").text("response");
        json.key("created_at").whole(created).key("status").text(state.status);
        json.key("background").bool(false).key("error").null().key("incomplete_details");
        match state.reason {
            Some(reason) => json.object(|json| json.key("reason").text(reason).done()),
            None => json.null(),
        };
        let setting = |json: &mut Writer, names: &[&str]| {
            names.iter().for_each(|name| repeat(json, facts, name, |json| json.null().done()));
        };
        setting(json, &["instructions", "max_output_tokens", "max_tool_calls"]);
        json.key("model").text(&facts.model).key("output").array(output);
        repeat(json, facts, "parallel_tool_calls", |json| json.bool(true).done());
        json.key("previous_response_id").null();
        setting(json, &["prompt_cache_key"]);
        repeat(json, facts, "reasoning", |json| {
            json.object(|json| json.key("effort").null().key("summary").null().done()).done();
        });
        setting(json, &["safety_identifier"]);
        json.key("service_tier").text("default").key("store").bool(false);
        setting(json, &["temperature"]);
        repeat(json, facts, "text", |json| {
            let format = |json: &mut Writer| json.key("type").text("text").done();
            json.object(|json| json.key("format").object(format).done()).done();
        });
        repeat(json, facts, "tool_choice", |json| json.text("auto").done());
        repeat(json, facts, "tools", |json| json.array(|_| {}).done());
        repeat(json, facts, "top_logprobs", |json| json.whole(0).done());
        setting(json, &["top_p"]);
        repeat(json, facts, "truncation", |json| json.text("disabled").done());
        usage::write(json.key("usage"), state.usage);
        setting(json, &["user"]);
        repeat(json, facts, "metadata", |json| json.object(|_| {}).done());
    });
}

/// A text, and log probabilities of its tokens.
pub(super) type Said = (String, Logprobs);

/// Writes a message item.
pub(super) fn write_message(json: &mut Writer, id: &str, status: &str, texts: &[Said]) {
    json.object(|json| {
        json.key("id").text(id).key("type").text("message").key("status").text(status);
        json.key("role").text("assistant");
        json.key("content")
            .array(|json| texts.iter().for_each(|(text, logprobs)| write_text(json, text, logprobs)));
    });
}

/// Writes a part of a message.
pub(super) fn write_text(json: &mut Writer, text: &str, logprobs: &Logprobs) {
    json.object(|json| {
        json.key("type").text("output_text").key("annotations").array(|_| {});
        logprobs.write(json.key("logprobs"));
        json.key("text").text(text);
    });
}

/// Writes a reasoning item.
pub(super) fn write_reasoning(json: &mut Writer, id: &str, status: &str, text: &str, sealed: Option<&str>) {
    json.object(|json| {
        json.key("id").text(id).key("type").text("reasoning").key("status").text(status);
        write_summary(json.key("summary"), text);
        if let Some(sealed) = sealed {
            json.key("encrypted_content").text(sealed);
        }
    });
}

/// A call of a function.
pub(super) struct Called<'c> {
    pub(super) call_id: &'c str,
    pub(super) name: &'c str,
    pub(super) arguments: &'c str,
}

/// Writes a call's item.
pub(super) fn write_call(json: &mut Writer, id: &str, status: &str, called: &Called<'_>) {
    json.object(|json| {
        json.key("id").text(id).key("type").text("function_call").key("status").text(status);
        json.key("arguments").text(called.arguments).key("call_id").text(called.call_id);
        json.key("name").text(called.name);
    });
}
