//! Requests of Cohere's chat out of the one form.

use super::answer::{write_calls, write_content};
use crate::canonical::{
    Call, Effort, Image, OutputFormat, Part, ReasoningMode, Role, Tool, ToolChoice, Turn,
};
use crate::json::Writer;
use crate::outbound::Edits;
use crate::{Content, RequestError};

/// Most stop sequences that Cohere takes.
const MOST_STOPS: usize = 5;

/// Encodes a call.
pub(super) fn encode(call: &Call, edits: &Edits<'_>) -> Result<Vec<u8>, RequestError> {
    refuse_what_has_no_place(call)?;
    let tools = tools(call)?;
    let mut json = Writer::new();
    json.object(|json| {
        json.key("model").text(edits.model);
        json.key("messages").array(|json| call.turns.iter().for_each(|turn| write_turn(json, turn)));
        settings(json, call, edits);
        if !tools.is_empty() {
            json.key("tools").array(|json| tools.iter().for_each(|tool| write_tool(json, tool)));
            match &call.tool_choice {
                None | Some(ToolChoice::Auto) => {}
                Some(ToolChoice::None) => json.key("tool_choice").text("NONE").done(),
                Some(ToolChoice::Any | ToolChoice::Named(_)) => {
                    json.key("tool_choice").text("REQUIRED").done();
                }
            }
            if tools.iter().any(|tool| tool.strict == Some(true)) {
                json.key("strict_tools").bool(true);
            }
        }
        if let Some(format) = &call.format {
            json.key("response_format").object(|json| {
                json.key("type").text("json_object");
                if let OutputFormat::Schema { schema, .. } = format {
                    json.key("json_schema").raw(schema);
                }
            });
        }
        write_thinking(json, call);
        if call.stream {
            json.key("stream").bool(true);
        }
    });
    Ok(json.into_bytes())
}

fn refuse_what_has_no_place(call: &Call) -> Result<(), RequestError> {
    let refuse = |field: &str, why| Err(RequestError::Untranslatable { field: field.to_owned(), why });
    if call.logprobs.is_some() {
        return refuse("logprobs", "the target has no counterpart");
    }
    if call.stop.len() > MOST_STOPS {
        return refuse(call.names.stop, "the target takes 5 stop sequences at most");
    }
    if call.format.is_some() && !call.tools.is_empty() {
        return refuse(call.names.format, "the target takes no format together with tools");
    }
    if call.parallel_tools == Some(false)
        && !call.tools.is_empty()
        && call.tool_choice != Some(ToolChoice::None)
    {
        let field = match call.names.stop {
            "stop_sequences" => "tool_choice.disable_parallel_tool_use",
            _ => "parallel_tool_calls",
        };
        return refuse(field, "the target may call several tools at once");
    }
    for turn in &call.turns {
        let at = |what: &str| format!("{}.content ({what})", call.place(turn));
        for part in &turn.parts {
            match part {
                Part::File { .. } | Part::FileUrl { .. } => {
                    return refuse(&at("file"), "the target takes text and images only");
                }
                Part::Image { .. } if turn.role != Role::User => {
                    return refuse(&at("image"), "the target takes these from users only");
                }
                Part::ToolResult { parts, .. }
                    if parts.iter().any(|part| !matches!(part, Part::Text { .. })) =>
                {
                    return refuse(&at("tool_result"), "the target takes only text in tool results");
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// One tool can be asked for by name only by offering no other.
fn tools(call: &Call) -> Result<Vec<&Tool>, RequestError> {
    let Some(ToolChoice::Named(name)) = &call.tool_choice else { return Ok(call.tools.iter().collect()) };
    let named: Vec<&Tool> = call.tools.iter().filter(|tool| tool.name == *name).collect();
    if named.is_empty() {
        let why = "it names a tool that is not declared";
        return Err(RequestError::Untranslatable { field: "tool_choice".to_owned(), why });
    }
    Ok(named)
}

fn settings(json: &mut Writer, call: &Call, edits: &Edits<'_>) {
    let limit = match (call.output_limit, edits.output_limit) {
        (Some(asked), Some(granted)) => Some(asked.min(granted)),
        (asked, granted) => asked.or(granted),
    };
    if let Some(limit) = limit {
        json.key("max_tokens").whole(limit);
    }
    if !call.stop.is_empty() {
        json.key("stop_sequences")
            .array(|json| call.stop.iter().for_each(|stop| json.text(stop.expose()).done()));
    }
    let numbers = [
        ("temperature", &call.temperature),
        ("p", &call.top_p),
        ("k", &call.top_k),
        ("frequency_penalty", &call.frequency_penalty),
        ("presence_penalty", &call.presence_penalty),
        ("seed", &call.seed),
    ];
    for (key, number) in numbers {
        if let Some(number) = number {
            json.key(key).raw(number);
        }
    }
}

/// Cohere knows budgets only; a word of effort becomes the largest budget that others would call so.
fn write_thinking(json: &mut Writer, call: &Call) {
    let budget = match (call.reasoning.mode, call.reasoning.effort) {
        (ReasoningMode::Off, _) => {
            json.key("thinking").object(|json| json.key("type").text("disabled").done());
            return;
        }
        (ReasoningMode::Budget(tokens), _) => Some(tokens),
        (_, Some(Effort::Low)) => Some(4_096),
        (_, Some(Effort::Medium)) => Some(16_384),
        (_, Some(_)) => None,
        (_, None) => return,
    };
    json.key("thinking").object(|json| {
        json.key("type").text("enabled");
        if let Some(budget) = budget {
            json.key("token_budget").whole(budget);
        }
    });
}

/// One turn may be several messages: results of tools come first, each as its own.
fn write_turn(json: &mut Writer, turn: &Turn) {
    let mut rest: Vec<&Part> = Vec::new();
    for part in &turn.parts {
        match part {
            Part::ToolResult { id, parts, is_error, .. } => write_result(json, id, parts, *is_error),
            // Reasoning that another provider has signed is its own.
            Part::Thinking { signature: Some(_), .. } | Part::RedactedThinking { .. } => {}
            other => rest.push(other),
        }
    }
    // Empty answers, which OpenAI's clients send back, are left out.
    let blank = |part: &&Part| matches!(part, Part::Text { text, .. } if text.expose().trim().is_empty());
    let says_nothing = match turn.role {
        Role::Assistant => rest.iter().all(blank),
        _ => rest.is_empty() && !turn.parts.is_empty(),
    };
    if says_nothing {
        return;
    }
    json.object(|json| match turn.role {
        Role::System => write_message(json, "system", &rest),
        Role::User => write_message(json, "user", &rest),
        Role::Assistant if rest.iter().any(|part| matches!(part, Part::ToolUse { .. })) => {
            json.key("role").text("assistant");
            // What is said beside calls of tools is Cohere's plan for them.
            let said: String = rest.iter().filter_map(|part| words(part)).map(Content::expose).collect();
            if !said.trim().is_empty() {
                json.key("tool_plan").text(&said);
            }
            write_calls(json, rest.iter().copied());
        }
        Role::Assistant => write_message(json, "assistant", &rest),
    });
}

fn words(part: &Part) -> Option<&Content> {
    match part {
        Part::Text { text, .. } | Part::Thinking { text, .. } => Some(text),
        _ => None,
    }
}

fn write_message(json: &mut Writer, role: &str, parts: &[&Part]) {
    json.key("role").text(role).key("content");
    match parts {
        [] => json.text("").done(),
        [Part::Text { text, .. }] => json.text(text.expose()).done(),
        parts => json.array(|json| parts.iter().for_each(|part| write_part(json, part))).done(),
    }
}

fn write_part(json: &mut Writer, part: &Part) {
    let Part::Image { image, .. } = part else { return write_content(json, part) };
    json.object(|json| {
        json.key("type").text("image_url").key("image_url").object(|json| {
            json.key("url").text(&match image {
                Image::Url(url) => url.expose().to_owned(),
                Image::Base64 { media_type, data } => format!("data:{media_type};base64,{}", data.expose()),
            });
        });
    });
}

fn write_result(json: &mut Writer, id: &str, parts: &[Part], is_error: bool) {
    json.object(|json| {
        json.key("role").text("tool").key("tool_call_id").text(id).key("content");
        // There is no flag for errors: the text says it.
        let lead = if is_error { "Error: " } else { "" };
        match parts {
            [Part::Text { text, .. }] => json.text(&format!("{lead}{}", text.expose())).done(),
            [] => json.text(lead.trim_end()).done(),
            parts => json
                .array(|json| {
                    for (at, text) in parts.iter().filter_map(words).enumerate() {
                        let lead = if at == 0 { lead } else { "" };
                        json.object(|json| {
                            json.key("type")
                                .text("text")
                                .key("text")
                                .text(&format!("{lead}{}", text.expose()));
                        });
                    }
                })
                .done(),
        }
    });
}

fn write_tool(json: &mut Writer, tool: &Tool) {
    json.object(|json| {
        json.key("type").text("function").key("function").object(|json| {
            json.key("name").text(&tool.name);
            if let Some(description) = &tool.description {
                json.key("description").text(description.expose());
            }
            json.key("parameters");
            match &tool.schema {
                Some(schema) => json.raw(schema),
                None => json.raw(r#"{"type":"object","properties":{}}"#),
            };
        });
    });
}
