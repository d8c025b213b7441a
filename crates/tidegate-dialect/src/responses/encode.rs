//! Requests of responses out of the one form. Nothing is stored: who wrote the call cannot refer to it.

use super::call::LOGPROBS;
use super::encode_items::{self, has_reasoning};
use crate::RequestError;
use crate::canonical::{
    Call, Effort, Json, OutputFormat, Part, Reasoning, ReasoningMode, Role, Tool, ToolChoice,
};
use crate::json::{Value, Writer};
use crate::outbound::Edits;

/// Encodes a call.
pub(super) fn encode(call: &Call, edits: &Edits<'_>) -> Result<Vec<u8>, RequestError> {
    refuse_what_has_no_place(call)?;
    let mut json = Writer::new();
    json.object(|json| {
        json.key("model").text(edits.model);
        json.key("input").array(|json| encode_items::write(json, &call.turns));
        settings(json, call, edits);
        if !call.tools.is_empty() {
            json.key("tools").array(|json| call.tools.iter().for_each(|tool| write_tool(json, tool)));
        }
        if let Some(choice) = &call.tool_choice {
            write_choice(json.key("tool_choice"), choice);
        }
        if let (Some(parallel), false) = (call.parallel_tools, call.tools.is_empty()) {
            json.key("parallel_tool_calls").bool(parallel);
        }
        if call.format.is_some() || call.verbosity.is_some() {
            json.key("text").object(|json| {
                call.format.iter().for_each(|format| write_format(json.key("format"), format));
                call.verbosity.iter().for_each(|said| json.key("verbosity").text(said.expose()).done());
            });
        }
        write_reasoning(json, call);
        if let Some(user) = &call.user {
            json.key("user").text(user.expose());
        }
        if call.stream {
            json.key("stream").bool(true);
        }
        json.key("store").bool(false);
    });
    Ok(json.into_bytes())
}

fn refuse_what_has_no_place(call: &Call) -> Result<(), RequestError> {
    let refuse = |field: &str, why| Err(RequestError::Untranslatable { field: field.to_owned(), why });
    if call.top_k.is_some() {
        return refuse("top_k", "the target has no counterpart");
    }
    if !call.stop.is_empty() {
        return refuse(call.names.stop, "the target takes no stop sequences");
    }
    for (field, penalty) in
        [("frequency_penalty", &call.frequency_penalty), ("presence_penalty", &call.presence_penalty)]
    {
        if penalty.as_ref().is_some_and(|penalty| as_number(penalty) != Some(0.0)) {
            return refuse(field, "the target has no counterpart");
        }
    }
    for turn in &call.turns {
        let media =
            |part: &Part| matches!(part, Part::Image { .. } | Part::File { .. } | Part::FileUrl { .. });
        if turn.role != Role::User && turn.parts.iter().any(media) {
            let field = format!("{}.content (image or file)", call.place(turn));
            return refuse(&field, "the target takes these from users only");
        }
    }
    Ok(())
}

fn as_number(json: &Json) -> Option<f64> {
    Value::parse(json.as_ref()).ok()?.number()
}

fn settings(json: &mut Writer, call: &Call, edits: &Edits<'_>) {
    let limit = match (call.output_limit, edits.output_limit) {
        (Some(asked), Some(granted)) => Some(asked.min(granted)),
        (asked, granted) => asked.or(granted),
    };
    if let Some(limit) = limit {
        json.key("max_output_tokens").whole(limit);
    }
    if let Some(top) = call.logprobs.filter(|top| *top > 0) {
        json.key("top_logprobs").whole(top);
    }
    for (key, number) in [("temperature", &call.temperature), ("top_p", &call.top_p)] {
        if let Some(number) = number {
            json.key(key).raw(number);
        }
    }
}

fn write_tool(json: &mut Writer, tool: &Tool) {
    json.object(|json| {
        json.key("type").text("function").key("name").text(&tool.name);
        if let Some(description) = &tool.description {
            json.key("description").text(description.expose());
        }
        json.key("parameters");
        match &tool.schema {
            Some(schema) => json.raw(schema),
            None => json.raw(r#"{"type":"object","properties":{}}"#),
        };
        // Silence would mean strict here; elsewhere it means the opposite.
        json.key("strict").bool(tool.strict == Some(true));
    });
}

fn write_choice(json: &mut Writer, choice: &ToolChoice) {
    match choice {
        ToolChoice::Auto => json.text("auto"),
        ToolChoice::None => json.text("none"),
        ToolChoice::Any => json.text("required"),
        ToolChoice::Named(name) => {
            json.object(|json| json.key("type").text("function").key("name").text(name).done())
        }
    };
}

fn write_format(json: &mut Writer, format: &OutputFormat) {
    json.object(|json| match format {
        OutputFormat::JsonObject => json.key("type").text("json_object").done(),
        OutputFormat::Schema { name, schema, strict } => {
            json.key("type").text("json_schema").key("name").text(name.as_deref().unwrap_or("output"));
            json.key("schema").raw(schema).key("strict").bool(strict.unwrap_or(true));
        }
    });
}

/// Reasoning, and what is to come along with the answer. Models that do not reason refuse to give encrypted reasoning, so it is asked for only where
/// reasoning is.
fn write_reasoning(json: &mut Writer, call: &Call) {
    let effort = effort(&call.reasoning);
    if let Some(effort) = effort {
        json.key("reasoning").object(|json| json.key("effort").text(effort).done());
    }
    let thinks = matches!(call.reasoning.mode, ReasoningMode::Adaptive | ReasoningMode::Budget(_));
    let sealed = effort.is_some() || thinks || call.turns.iter().any(has_reasoning);
    if sealed || call.logprobs.is_some() {
        json.key("include").array(|json| {
            if sealed {
                json.text("reasoning.encrypted_content");
            }
            if call.logprobs.is_some() {
                json.text(LOGPROBS);
            }
        });
    }
}

/// There is one word for how much reasoning; budgets of tokens become the nearest.
fn effort(reasoning: &Reasoning) -> Option<&'static str> {
    match (reasoning.effort, reasoning.mode) {
        // Models that do not reason refuse even "none": silence is their off.
        (_, ReasoningMode::Off) => None,
        (Some(effort), _) => Some(match effort {
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
            Effort::ExtraHigh | Effort::Max => "xhigh",
        }),
        (None, ReasoningMode::Budget(tokens)) => Some(match tokens {
            0..=4_096 => "low",
            4_097..=16_384 => "medium",
            _ => "high",
        }),
        (None, _) => None,
    }
}
