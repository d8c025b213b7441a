//! Requests of Anthropic messages out of the one form.

use super::arrange::{arrange, is_blank};
use super::documents;
use crate::canonical::{
    Call, Effort, Image, Json, OutputFormat, Part, ReasoningMode, Role, Tool, ToolChoice, Turn, schema,
};
use crate::json::{Kind, Value, Writer};
use crate::outbound::Edits;
use crate::{Content, RequestError};

/// Encodes a call.
pub(crate) fn encode(call: &Call, edits: &Edits<'_>) -> Result<Vec<u8>, RequestError> {
    refuse_what_has_no_place(call)?;
    let limit = match (call.output_limit, edits.output_limit) {
        (Some(asked), Some(granted)) => asked.min(granted),
        (asked, granted) => asked.or(granted).unwrap_or(edits.default_output_limit),
    };
    let first = call.turns.iter().position(|turn| turn.role != Role::System).unwrap_or(call.turns.len());
    let (system, turns) = call.turns.split_at(first);
    let turns = arrange(call, turns)?;
    let mut json = Writer::new();
    json.object(|json| {
        json.key("model").text(edits.model).key("max_tokens").whole(limit);
        if !system.is_empty() {
            write_system(json.key("system"), system);
        }
        json.key("messages")
            .array(|json| turns.iter().for_each(|(role, parts)| write_turn(json, *role, parts)));
        settings(json, call);
        if !call.tools.is_empty() {
            json.key("tools").array(|json| call.tools.iter().for_each(|tool| write_tool(json, tool)));
            write_choice(json, call);
        }
        write_output(json, call);
        if let Some(user) = &call.user {
            json.key("metadata").object(|json| json.key("user_id").text(user.expose()).done());
        }
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
    if matches!(call.format, Some(OutputFormat::JsonObject)) {
        return refuse(call.names.format, "the target needs a schema; use json_schema");
    }
    for turn in &call.turns {
        let media =
            |part: &Part| matches!(part, Part::Image { .. } | Part::File { .. } | Part::FileUrl { .. });
        if turn.role != Role::User && turn.parts.iter().any(media) {
            let field = format!("{}.content (image or file)", call.place(turn));
            return refuse(&field, "the target takes these from users only");
        }
        if turn.parts.iter().any(documents::is_refused) {
            let field = format!("{}.content (file)", call.place(turn));
            return refuse(&field, "the target takes PDF and text files");
        }
    }
    Ok(())
}

fn as_number(json: &Json) -> Option<f64> {
    Value::parse(json.as_ref()).ok()?.number()
}

fn write_system(json: &mut Writer, turns: &[Turn]) {
    let parts: Vec<&Part> = turns.iter().flat_map(|turn| &turn.parts).collect();
    write_content(json, &parts);
}

fn write_turn(json: &mut Writer, role: Role, parts: &[&Part]) {
    json.object(|json| {
        json.key("role").text(match role {
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::System => "system",
        });
        write_content(json.key("content"), parts);
    });
}

fn write_content(json: &mut Writer, parts: &[&Part]) {
    if let [Part::Text { text, cache: None }] = parts {
        json.text(text.expose());
        return;
    }
    json.array(|json| parts.iter().for_each(|part| write_part(json, part)));
}

fn write_part(json: &mut Writer, part: &Part) {
    match part {
        part if is_blank(part) => {}
        part => json.object(|json| write_block(json, part)).done(),
    }
}

fn write_block(json: &mut Writer, part: &Part) {
    let marker = match part {
        Part::Text { text, cache } => {
            json.key("type").text("text").key("text").text(text.expose());
            cache
        }
        Part::Image { image, cache } => {
            json.key("type").text("image").key("source").object(|json| match image {
                Image::Url(url) => json.key("type").text("url").key("url").text(url.expose()).done(),
                Image::Base64 { media_type, data } => base64(json, media_type, data),
            });
            cache
        }
        Part::File { media_type, data, name, cache } => {
            documents::write_source(json.key("type").text("document").key("source"), media_type, data);
            if let Some(name) = name {
                json.key("title").text(name.expose());
            }
            cache
        }
        Part::FileUrl { url, name, cache, .. } => {
            json.key("type").text("document").key("source").object(|json| {
                json.key("type").text("url").key("url").text(url.expose());
            });
            if let Some(name) = name {
                json.key("title").text(name.expose());
            }
            cache
        }
        Part::ToolUse { id, name, input, cache } => {
            json.key("type")
                .text("tool_use")
                .key("id")
                .text(id)
                .key("name")
                .text(name)
                .key("input")
                .raw(input);
            cache
        }
        Part::ToolResult { id, parts, is_error, cache } => {
            json.key("type").text("tool_result").key("tool_use_id").text(id);
            if !parts.is_empty() {
                write_content(json.key("content"), &parts.iter().collect::<Vec<_>>());
            }
            if *is_error {
                json.key("is_error").bool(true);
            }
            cache
        }
        Part::Thinking { text, signature } => {
            json.key("type").text("thinking").key("thinking").text(text.expose());
            json.key("signature").text(signature.as_ref().map_or("", Content::expose));
            &None
        }
        Part::RedactedThinking { data } => {
            json.key("type").text("redacted_thinking").key("data").text(data.expose());
            &None
        }
    };
    if let Some(marker) = marker {
        json.key("cache_control").raw(marker);
    }
}

fn base64(json: &mut Writer, media_type: &str, data: &Content) {
    json.key("type").text("base64").key("media_type").text(media_type).key("data").text(data.expose());
}

fn settings(json: &mut Writer, call: &Call) {
    for (key, number) in [("temperature", &call.temperature), ("top_p", &call.top_p), ("top_k", &call.top_k)]
    {
        if let Some(number) = number {
            json.key(key).raw(number);
        }
    }
    if !call.stop.is_empty() {
        json.key("stop_sequences")
            .array(|json| call.stop.iter().for_each(|stop| json.text(stop.expose()).done()));
    }
}

fn write_tool(json: &mut Writer, tool: &Tool) {
    json.object(|json| {
        json.key("name").text(&tool.name);
        if let Some(description) = &tool.description {
            json.key("description").text(description.expose());
        }
        json.key("input_schema");
        write_schema(json, tool.schema.as_ref());
        if tool.strict == Some(true) {
            json.key("strict").bool(true);
        }
        if let Some(marker) = &tool.cache {
            json.key("cache_control").raw(marker);
        }
    });
}

/// Anthropic demands the type that OpenAI's clients often leave out.
fn write_schema(json: &mut Writer, schema: Option<&Json>) {
    let parsed = schema.and_then(|schema| Value::parse(schema.as_ref()).ok());
    match (schema, parsed) {
        (Some(schema), Some(value)) if value.kind() != Kind::Object || value.get("type").is_some() => {
            json.raw(schema)
        }
        (None, _) => json.raw(r#"{"type":"object","properties":{}}"#),
        (_, value) => json.object(|json| {
            json.key("type").text("object");
            for member in value.iter().flat_map(Value::members) {
                json.key(&member.key).raw(Json::from(&member.value));
            }
        }),
    };
}

fn write_choice(json: &mut Writer, call: &Call) {
    let single = call.parallel_tools == Some(false);
    let choice = match &call.tool_choice {
        None if !single => return,
        choice => choice.as_ref().unwrap_or(&ToolChoice::Auto),
    };
    json.key("tool_choice").object(|json| {
        match choice {
            ToolChoice::Auto => json.key("type").text("auto"),
            ToolChoice::Any => json.key("type").text("any"),
            ToolChoice::None => json.key("type").text("none"),
            ToolChoice::Named(name) => json.key("type").text("tool").key("name").text(name),
        };
        if single && *choice != ToolChoice::None {
            json.key("disable_parallel_tool_use").bool(true);
        }
    });
}

fn write_output(json: &mut Writer, call: &Call) {
    match call.reasoning.mode {
        ReasoningMode::Unsaid => {}
        ReasoningMode::Off => {
            json.key("thinking").object(|json| json.key("type").text("disabled").done()).done()
        }
        ReasoningMode::Adaptive => {
            json.key("thinking").object(|json| json.key("type").text("adaptive").done()).done()
        }
        ReasoningMode::Budget(tokens) => json
            .key("thinking")
            .object(|json| {
                json.key("type").text("enabled").key("budget_tokens").whole(tokens);
            })
            .done(),
    }
    let schema = match &call.format {
        Some(OutputFormat::Schema { schema, .. }) => Some(schema),
        _ => None,
    };
    if schema.is_none() && call.reasoning.effort.is_none() {
        return;
    }
    json.key("output_config").object(|json| {
        if let Some(effort) = call.reasoning.effort {
            json.key("effort").text(match effort {
                Effort::Low => "low",
                Effort::Medium => "medium",
                Effort::High => "high",
                Effort::ExtraHigh => "xhigh",
                Effort::Max => "max",
            });
        }
        if let Some(schema) = schema {
            json.key("format").object(|json| {
                json.key("type").text("json_schema").key("schema");
                match Value::parse(schema.as_ref()) {
                    Ok(value) => schema::write_closed(json, &value),
                    Err(_) => json.raw(schema).done(),
                }
            });
        }
    });
}
