//! Requests of OpenAI chat completions out of the one form.

use super::media::{is_foreign_media, sound_format};
use crate::canonical::{
    Call, Effort, Image, OutputFormat, Part, Reasoning, ReasoningMode, Role, Tool, ToolChoice, Turn,
};
use crate::json::Writer;
use crate::outbound::{Edits, LimitKey};
use crate::{Content, RequestError};

/// Most stop sequences that OpenAI takes.
const MOST_STOPS: usize = 4;

/// Encodes a call.
pub(crate) fn encode(call: &Call, edits: &Edits<'_>) -> Result<Vec<u8>, RequestError> {
    refuse_what_has_no_place(call)?;
    let mut json = Writer::new();
    json.object(|json| {
        json.key("model").text(edits.model);
        json.key("messages").array(|json| call.turns.iter().for_each(|turn| write_turn(json, turn)));
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
        if let Some(format) = &call.format {
            write_format(json.key("response_format"), format);
        }
        if let Some(effort) = effort(&call.reasoning) {
            json.key("reasoning_effort").text(effort);
        }
        if let Some(user) = &call.user {
            json.key("user").text(user.expose());
        }
        if call.stream {
            json.key("stream").bool(true);
            json.key("stream_options").object(|json| {
                json.key("include_usage").bool(true);
            });
        }
        if edits.no_store {
            json.key("store").bool(false);
        }
    });
    Ok(json.into_bytes())
}

fn refuse_what_has_no_place(call: &Call) -> Result<(), RequestError> {
    let refuse = |field: &str, why| Err(RequestError::Untranslatable { field: field.to_owned(), why });
    if call.top_k.is_some() {
        return refuse("top_k", "the target has no counterpart");
    }
    if call.stop.len() > MOST_STOPS {
        return refuse(call.names.stop, "the target takes 4 stop sequences at most");
    }
    for turn in &call.turns {
        let at = |what: &str| format!("{}.content ({what})", call.place(turn));
        for part in &turn.parts {
            match part {
                Part::FileUrl { .. } => {
                    return refuse(&at("file by URL"), "the target takes only files that are sent along");
                }
                Part::Image { .. } | Part::File { .. } if turn.role != Role::User => {
                    return refuse(&at("image or file"), "the target takes these from users only");
                }
                Part::File { media_type, .. } if is_foreign_media(media_type) => {
                    return refuse(&at("file"), "the target takes recordings as WAV or MP3 and no films");
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

fn settings(json: &mut Writer, call: &Call, edits: &Edits<'_>) {
    let limit = match (call.output_limit, edits.output_limit) {
        (Some(asked), Some(granted)) => Some(asked.min(granted)),
        (asked, granted) => asked.or(granted),
    };
    if let Some(limit) = limit {
        let key = match edits.limit_key {
            LimitKey::MaxCompletionTokens => "max_completion_tokens",
            LimitKey::MaxTokens => "max_tokens",
        };
        json.key(key).whole(limit);
    }
    if !call.stop.is_empty() {
        json.key("stop").array(|json| call.stop.iter().for_each(|stop| json.text(stop.expose()).done()));
    }
    let numbers = [
        ("temperature", &call.temperature),
        ("top_p", &call.top_p),
        ("frequency_penalty", &call.frequency_penalty),
        ("presence_penalty", &call.presence_penalty),
        ("seed", &call.seed),
    ];
    for (key, number) in numbers {
        if let Some(number) = number {
            json.key(key).raw(number);
        }
    }
    if let Some(top) = call.logprobs {
        json.key("logprobs").bool(true);
        if top > 0 {
            json.key("top_logprobs").whole(top);
        }
    }
    if let Some(verbosity) = &call.verbosity {
        json.key("verbosity").text(verbosity.expose());
    }
}

/// One turn may be several messages: results of tools come first, each as its own.
fn write_turn(json: &mut Writer, turn: &Turn) {
    let mut rest: Vec<&Part> = Vec::new();
    for part in &turn.parts {
        match part {
            Part::ToolResult { id, parts, is_error, .. } => write_result(json, id, parts, *is_error),
            // Reasoning is its provider's own; the registry says so.
            Part::Thinking { .. } | Part::RedactedThinking { .. } => {}
            other => rest.push(other),
        }
    }
    if rest.is_empty() && !turn.parts.is_empty() && turn.role == Role::User {
        return;
    }
    json.object(|json| {
        json.key("role").text(match turn.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        });
        let (calls, content): (Vec<&Part>, Vec<&Part>) =
            rest.iter().partition(|part| matches!(part, Part::ToolUse { .. }));
        if content.is_empty() && !calls.is_empty() {
            json.key("content").null();
        } else {
            write_content(json.key("content"), &content);
        }
        if !calls.is_empty() {
            json.key("tool_calls").array(|json| calls.iter().for_each(|call| write_call(json, call)));
        }
    });
}

fn write_content(json: &mut Writer, parts: &[&Part]) {
    match parts {
        [] => json.text("").done(),
        [Part::Text { text, .. }] => json.text(text.expose()).done(),
        parts => json.array(|json| parts.iter().for_each(|part| write_part(json, part))).done(),
    }
}

fn write_part(json: &mut Writer, part: &Part) {
    match part {
        Part::Text { text, .. } => {
            json.object(|json| json.key("type").text("text").key("text").text(text.expose()).done());
        }
        Part::Image { image, .. } => {
            json.object(|json| {
                json.key("type").text("image_url").key("image_url").object(|json| {
                    json.key("url").text(&match image {
                        Image::Url(url) => url.expose().to_owned(),
                        Image::Base64 { media_type, data } => data_url(media_type, data),
                    });
                });
            });
        }
        Part::File { media_type, data, .. } if sound_format(media_type).is_some() => {
            json.object(|json| {
                json.key("type").text("input_audio").key("input_audio").object(|json| {
                    json.key("data").text(data.expose());
                    json.key("format").text(sound_format(media_type).unwrap_or("wav"));
                });
            });
        }
        Part::File { media_type, data, name, .. } => {
            json.object(|json| {
                json.key("type").text("file").key("file").object(|json| {
                    json.key("filename").text(name.as_ref().map_or("file", Content::expose));
                    json.key("file_data").text(&data_url(media_type, data));
                });
            });
        }
        _ => {}
    }
}

fn data_url(media_type: &str, data: &Content) -> String {
    format!("data:{media_type};base64,{}", data.expose())
}

fn write_call(json: &mut Writer, part: &Part) {
    if let Part::ToolUse { id, name, input, .. } = part {
        json.object(|json| {
            json.key("id").text(id).key("type").text("function").key("function").object(|json| {
                json.key("name").text(name).key("arguments").text(&input.text());
            });
        });
    }
}

fn write_result(json: &mut Writer, id: &str, parts: &[Part], is_error: bool) {
    json.object(|json| {
        json.key("role").text("tool").key("tool_call_id").text(id);
        // There is no flag for errors: the text says it.
        let prefix = Part::Text { text: "Error:".into(), cache: None };
        match (is_error, parts) {
            (true, [Part::Text { text, .. }]) => {
                json.key("content").text(&format!("Error: {}", text.expose()));
            }
            (true, parts) => {
                let parts: Vec<&Part> = std::iter::once(&prefix).chain(parts).collect();
                write_content(json.key("content"), &parts);
            }
            (false, parts) => write_content(json.key("content"), &parts.iter().collect::<Vec<_>>()),
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
            if let Some(schema) = &tool.schema {
                json.key("parameters").raw(schema);
            }
            if let Some(strict) = tool.strict {
                json.key("strict").bool(strict);
            }
        });
    });
}

fn write_choice(json: &mut Writer, choice: &ToolChoice) {
    match choice {
        ToolChoice::Auto => json.text("auto").done(),
        ToolChoice::None => json.text("none").done(),
        ToolChoice::Any => json.text("required").done(),
        ToolChoice::Named(name) => json
            .object(|json| {
                json.key("type")
                    .text("function")
                    .key("function")
                    .object(|json| json.key("name").text(name).done());
            })
            .done(),
    }
}

fn write_format(json: &mut Writer, format: &OutputFormat) {
    json.object(|json| match format {
        OutputFormat::JsonObject => json.key("type").text("json_object").done(),
        OutputFormat::Schema { name, schema, strict } => {
            json.key("type").text("json_schema").key("json_schema").object(|json| {
                json.key("name").text(name.as_deref().unwrap_or("output"));
                json.key("schema").raw(schema).key("strict").bool(strict.unwrap_or(true));
            });
        }
    });
}

/// OpenAI has one word for how much reasoning; budgets of tokens become the nearest.
fn effort(reasoning: &Reasoning) -> Option<&'static str> {
    let word = |effort| match effort {
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::ExtraHigh | Effort::Max => "xhigh",
    };
    match (reasoning.effort, reasoning.mode) {
        // Models that do not reason refuse even "none": silence is their off.
        (_, ReasoningMode::Off) => None,
        (Some(effort), _) => Some(word(effort)),
        (None, ReasoningMode::Budget(tokens)) => Some(match tokens {
            0..=4_096 => "low",
            4_097..=16_384 => "medium",
            _ => "high",
        }),
        (None, _) => None,
    }
}
