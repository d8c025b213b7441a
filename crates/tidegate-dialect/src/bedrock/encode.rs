//! Requests of Converse out of the one form. The model stands in the path, and so does the stream.

use super::arrange::arrange;
use super::encode_blocks::{Blocks, write_cache_point};
use super::model::{Family, output_effort, write_additional};
use crate::RequestError;
use crate::canonical::{Call, Json, OutputFormat, Part, Role, Tool, ToolChoice, schema};
use crate::json::{Kind, Value, Writer};
use crate::outbound::Edits;

/// Encodes a call.
pub(super) fn encode(call: &Call, edits: &Edits<'_>) -> Result<Vec<u8>, RequestError> {
    let family = Family::of(edits.model);
    refuse_what_has_no_place(call, family)?;
    let first = call.turns.iter().position(|turn| turn.role != Role::System).unwrap_or(call.turns.len());
    let (system, turns) = call.turns.split_at(first);
    for turn in &call.turns {
        turn.parts.iter().try_for_each(|part| super::encode_blocks::check(call, part, turn))?;
    }
    let turns = arrange(call, turns, family)?;
    let single = call.parallel_tools == Some(false) && !call.tools.is_empty();
    let mut json = Writer::new();
    json.object(|json| {
        let mut blocks = Blocks::new(family);
        json.key("messages").array(|json| {
            for (role, parts) in &turns {
                json.object(|json| {
                    json.key("role").text(match role {
                        Role::User => "user",
                        Role::Assistant => "assistant",
                        Role::System => "system",
                    });
                    json.key("content").array(|json| blocks.write(json, parts));
                });
            }
        });
        let system: Vec<&Part> = system.iter().flat_map(|turn| &turn.parts).collect();
        if !system.is_empty() {
            json.key("system").array(|json| blocks.write(json, &system));
        }
        inference(json, call, edits);
        if !call.tools.is_empty() && call.tool_choice != Some(ToolChoice::None) {
            json.key("toolConfig").object(|json| write_tools(json, call, family, single));
        }
        write_additional(json, family, call, single);
        write_output(json, call, family);
    });
    Ok(json.into_bytes())
}

fn refuse_what_has_no_place(call: &Call, family: Family) -> Result<(), RequestError> {
    let refuse = |field: &str, why| Err(RequestError::Untranslatable { field: field.to_owned(), why });
    if call.logprobs.is_some() {
        return refuse("logprobs", "the target has no counterpart");
    }
    for (field, penalty) in
        [("frequency_penalty", &call.frequency_penalty), ("presence_penalty", &call.presence_penalty)]
    {
        if penalty.as_ref().is_some_and(|penalty| as_number(penalty) != Some(0.0)) {
            return refuse(field, "the target has no counterpart");
        }
    }
    if call.temperature.as_ref().and_then(as_number).is_some_and(|temperature| temperature > 1.0) {
        return refuse("temperature", "the target takes 0 to 1");
    }
    if call.top_k.is_some() && !family.takes_top_k() {
        return refuse("top_k", "the target's model has no counterpart");
    }
    if matches!(call.format, Some(OutputFormat::JsonObject)) {
        return refuse(call.names.format, "the target needs a schema; use json_schema");
    }
    let forbidden = call.tool_choice == Some(ToolChoice::None);
    if call.parallel_tools == Some(false)
        && !call.tools.is_empty()
        && !forbidden
        && !family.takes_single_calls()
    {
        let field = match call.names.stop {
            "stop_sequences" => "tool_choice.disable_parallel_tool_use",
            _ => "parallel_tool_calls",
        };
        return refuse(field, "the target's model may call several tools at once");
    }
    let used = |part: &Part| matches!(part, Part::ToolUse { .. } | Part::ToolResult { .. });
    if call.turns.iter().any(|turn| turn.parts.iter().any(used)) {
        if call.tools.is_empty() {
            return refuse("tools", "the target wants the tools that the conversation has used");
        }
        if forbidden {
            return refuse("tool_choice", "the target cannot forbid tools that the conversation has used");
        }
    }
    Ok(())
}

fn as_number(json: &Json) -> Option<f64> {
    Value::parse(json.as_ref()).ok()?.number()
}

fn inference(json: &mut Writer, call: &Call, edits: &Edits<'_>) {
    let limit = match (call.output_limit, edits.output_limit) {
        (Some(asked), Some(granted)) => Some(asked.min(granted)),
        (asked, granted) => asked.or(granted),
    };
    if limit.is_none() && call.temperature.is_none() && call.top_p.is_none() && call.stop.is_empty() {
        return;
    }
    json.key("inferenceConfig").object(|json| {
        if let Some(limit) = limit {
            json.key("maxTokens").whole(limit);
        }
        for (key, number) in [("temperature", &call.temperature), ("topP", &call.top_p)] {
            if let Some(number) = number {
                json.key(key).raw(number);
            }
        }
        if !call.stop.is_empty() {
            json.key("stopSequences")
                .array(|json| call.stop.iter().for_each(|stop| json.text(stop.expose()).done()));
        }
    });
}

fn write_tools(json: &mut Writer, call: &Call, family: Family, single: bool) {
    json.key("tools").array(|json| {
        for tool in &call.tools {
            json.object(|json| json.key("toolSpec").object(|json| write_tool(json, tool)).done());
            if let Some(marker) = tool.cache.as_ref().filter(|_| family.caches()) {
                write_cache_point(json, marker);
            }
        }
    });
    // Where calls one at a time are wanted, the model's own field says which tool, too.
    let Some(choice) = call.tool_choice.as_ref().filter(|_| !single) else { return };
    json.key("toolChoice").object(|json| match choice {
        ToolChoice::Auto | ToolChoice::None => json.key("auto").object(|_| {}).done(),
        ToolChoice::Any => json.key("any").object(|_| {}).done(),
        ToolChoice::Named(name) => {
            json.key("tool").object(|json| json.key("name").text(name).done()).done();
        }
    });
}

fn write_tool(json: &mut Writer, tool: &Tool) {
    json.key("name").text(&tool.name);
    if let Some(description) = tool.description.as_ref().filter(|text| !text.is_empty()) {
        json.key("description").text(description.expose());
    }
    json.key("inputSchema").object(|json| write_schema(json.key("json"), tool.schema.as_ref()));
    if tool.strict == Some(true) {
        json.key("strict").bool(true);
    }
}

/// Models demand the type that OpenAI's clients often leave out.
fn write_schema(json: &mut Writer, schema: Option<&Json>) {
    let parsed = schema.and_then(|schema| Value::parse(schema.as_ref()).ok());
    match (schema, parsed) {
        (Some(schema), Some(value)) if value.kind() != Kind::Object || value.get("type").is_some() => {
            json.raw(schema).done();
        }
        (None, _) => json.raw(r#"{"type":"object","properties":{}}"#).done(),
        (_, value) => json
            .object(|json| {
                json.key("type").text("object");
                for member in value.iter().flat_map(Value::members) {
                    json.key(&member.key).raw(Json::from(&member.value));
                }
            })
            .done(),
    }
}

fn write_output(json: &mut Writer, call: &Call, family: Family) {
    let effort = output_effort(family, call);
    let schema = match &call.format {
        Some(OutputFormat::Schema { name, schema, .. }) => Some((name, schema)),
        _ => None,
    };
    if effort.is_none() && schema.is_none() {
        return;
    }
    json.key("outputConfig").object(|json| {
        if let Some((name, schema)) = schema {
            json.key("textFormat").object(|json| {
                json.key("type").text("json_schema").key("structure").object(|json| {
                    json.key("jsonSchema").object(|json| {
                        json.key("schema").text(&closed(schema));
                        if let Some(name) = name {
                            json.key("name").text(name);
                        }
                    });
                });
            });
        }
        if let Some(effort) = effort {
            json.key("effort").text(effort);
        }
    });
}

/// The schema as a text, every object in it closed.
fn closed(schema: &Json) -> String {
    let mut json = Writer::new();
    match Value::parse(schema.as_ref()) {
        Ok(value) => schema::write_closed(&mut json, &value),
        Err(_) => json.raw(schema).done(),
    }
    String::from_utf8_lossy(&json.into_bytes()).into_owned()
}
