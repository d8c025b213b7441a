//! Requests of Gemini out of the one form. Model and stream are told by the path.

use super::turns;
use crate::canonical::{Call, Effort, OutputFormat, ReasoningMode, Tool, ToolChoice};
use crate::json::Writer;
use crate::outbound::Edits;
use crate::{Content, RequestError};

/// Most stop sequences that Gemini takes.
const MOST_STOPS: usize = 5;

/// Encodes a call.
pub(super) fn encode(call: &Call, edits: &Edits<'_>) -> Result<Vec<u8>, RequestError> {
    refuse_what_has_no_place(call)?;
    let (system, contents) = turns::arrange(call)?;
    let mut json = Writer::new();
    json.object(|json| {
        if !system.is_empty() {
            json.key("systemInstruction").object(|json| {
                json.key("parts").array(|json| {
                    for text in system {
                        json.object(|json| json.key("text").text(text.expose()).done());
                    }
                });
            });
        }
        json.key("contents").array(|json| contents.iter().for_each(|content| turns::write(json, content)));
        if !call.tools.is_empty() {
            write_tools(json, &call.tools);
        }
        write_choice(json, call);
        write_config(json, call, edits);
    });
    Ok(json.into_bytes())
}

fn refuse_what_has_no_place(call: &Call) -> Result<(), RequestError> {
    let refuse = |field: &str, why| Err(RequestError::Untranslatable { field: field.to_owned(), why });
    if call.stop.len() > MOST_STOPS {
        return refuse(call.names.stop, "the target takes 5 stop sequences at most");
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
    Ok(())
}

fn write_tools(json: &mut Writer, tools: &[Tool]) {
    json.key("tools").array(|json| {
        json.object(|json| {
            json.key("functionDeclarations").array(|json| {
                for tool in tools {
                    json.object(|json| {
                        json.key("name").text(&tool.name);
                        if let Some(description) = &tool.description {
                            json.key("description").text(description.expose());
                        }
                        if let Some(schema) = &tool.schema {
                            json.key("parametersJsonSchema").raw(schema);
                        }
                    });
                }
            });
        });
    });
}

/// Strict tools are validated calls; Gemini has that for all tools at once.
fn write_choice(json: &mut Writer, call: &Call) {
    let strict = call.tools.iter().any(|tool| tool.strict == Some(true));
    let (mode, only) = match &call.tool_choice {
        _ if call.tools.is_empty() => return,
        None if !strict => return,
        None | Some(ToolChoice::Auto) => (if strict { "VALIDATED" } else { "AUTO" }, None),
        Some(ToolChoice::Any) => ("ANY", None),
        Some(ToolChoice::None) => ("NONE", None),
        Some(ToolChoice::Named(name)) => ("ANY", Some(name)),
    };
    json.key("toolConfig").object(|json| {
        json.key("functionCallingConfig").object(|json| {
            json.key("mode").text(mode);
            if let Some(name) = only {
                json.key("allowedFunctionNames").array(|json| json.text(name).done());
            }
        });
    });
}

fn write_config(json: &mut Writer, call: &Call, edits: &Edits<'_>) {
    json.key("generationConfig").object(|json| {
        let limit = match (call.output_limit, edits.output_limit) {
            (Some(asked), Some(granted)) => Some(asked.min(granted)),
            (asked, granted) => asked.or(granted),
        };
        if let Some(limit) = limit {
            json.key("maxOutputTokens").whole(limit);
        }
        if !call.stop.is_empty() {
            let stops = call.stop.iter().map(Content::expose);
            json.key("stopSequences").array(|json| stops.for_each(|stop| json.text(stop).done()));
        }
        let numbers = [
            ("temperature", &call.temperature),
            ("topP", &call.top_p),
            ("topK", &call.top_k),
            ("seed", &call.seed),
            ("frequencyPenalty", &call.frequency_penalty),
            ("presencePenalty", &call.presence_penalty),
        ];
        for (key, number) in numbers {
            if let Some(number) = number {
                json.key(key).raw(number);
            }
        }
        if let Some(top) = call.logprobs {
            json.key("responseLogprobs").bool(true);
            if top > 0 {
                json.key("logprobs").whole(top);
            }
        }
        if let Some(format) = &call.format {
            json.key("responseMimeType").text("application/json");
            if let OutputFormat::Schema { schema, .. } = format {
                json.key("responseJsonSchema").raw(schema);
            }
        }
        write_thinking(json, call, edits.model);
    });
}

/// Gemini 3 takes a level, 2.5 a number of tokens (those that Google's own OpenAI surface takes for the
/// efforts); `-1` is as much as the model finds right. Thoughts are shown where reasoning was asked for.
fn write_thinking(json: &mut Writer, call: &Call, model: &str) {
    let by_budget = model.contains("gemini-2");
    let level = call.reasoning.effort.map(|effort| match effort {
        Effort::Low => ("LOW", 1024),
        Effort::Medium => ("MEDIUM", 8192),
        Effort::High | Effort::ExtraHigh | Effort::Max => ("HIGH", 24576),
    });
    if call.reasoning.mode == ReasoningMode::Unsaid && level.is_none() {
        return;
    }
    json.key("thinkingConfig").object(|json| {
        match (call.reasoning.mode, level) {
            (ReasoningMode::Off, _) => return json.key("thinkingBudget").whole(0).done(),
            (ReasoningMode::Budget(tokens), _) => json.key("thinkingBudget").whole(tokens).done(),
            (_, Some((_, tokens))) if by_budget => json.key("thinkingBudget").whole(tokens).done(),
            (_, Some((level, _))) => json.key("thinkingLevel").text(level).done(),
            (_, None) if by_budget => json.key("thinkingBudget").raw("-1").done(),
            (_, None) => {}
        }
        json.key("includeThoughts").bool(true);
    });
}
