//! Validates a messages request as strictly as the real service does.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::ask::{Ask, Choice, Invalid, Tool, count, ranged, text};

const TOP: &[&str] = &[
    "model",
    "messages",
    "max_tokens",
    "system",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "tools",
    "tool_choice",
    "metadata",
    "thinking",
    "service_tier",
    "output_config",
    "output_format",
    "context_management",
    "container",
    "mcp_servers",
    "cache_control",
    "inference_geo",
];

/// Reads the request, or says what a real service would say.
pub(crate) fn read(body: &Value) -> Result<Ask, Invalid> {
    let object =
        body.as_object().ok_or_else(|| Invalid::new("The request body is not valid JSON.", "body"))?;
    if let Some(key) = object.keys().find(|key| !TOP.contains(&key.as_str())) {
        return Err(Invalid::new(format!("{key}: Extra inputs are not permitted"), key.clone()));
    }
    let mut ask = Ask { model: text(object.get("model"), "model")?.to_owned(), n: 1, ..Ask::default() };
    ask.limit = count(object.get("max_tokens"), 1, "max_tokens")?;
    if ask.limit.is_none() {
        return Err(Invalid::new("max_tokens: Field required", "max_tokens"));
    }
    if let Some(system) = object.get("system") {
        let content = read_blocks(system, "system", &mut ask, &mut HashSet::new(), &mut HashSet::new())?;
        ask.input.push(content);
    }
    read_messages(object, &mut ask)?;
    read_tools(object, &mut ask)?;
    ranged(object.get("temperature"), 0.0, 1.0, "temperature")?;
    ranged(object.get("top_p"), 0.0, 1.0, "top_p")?;
    let stops = object.get("stop_sequences").and_then(Value::as_array);
    ask.stops = stops.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    ask.stream = object.get("stream") == Some(&Value::Bool(true));
    read_thinking(object, &mut ask)?;
    let format = object.get("output_format").or_else(|| body.pointer("/output_config/format"));
    ask.json = format.and_then(|format| format.get("schema")).cloned();
    Ok(ask)
}

fn read_thinking(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    let kind = object.get("thinking").and_then(|thinking| thinking.get("type")).and_then(Value::as_str);
    if kind == Some("enabled") {
        let at = "thinking.budget_tokens";
        let budget = count(object.get("thinking").and_then(|t| t.get("budget_tokens")), 1024, at)?;
        let fits = budget.zip(ask.limit).is_some_and(|(budget, limit)| budget < limit);
        if !fits {
            return Err(Invalid::new("`max_tokens` must be greater than `thinking.budget_tokens`.", at));
        }
    }
    ask.thinking = matches!(kind, Some("enabled" | "adaptive"));
    Ok(())
}

fn read_messages(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    let messages = object
        .get("messages")
        .and_then(Value::as_array)
        .filter(|messages| !messages.is_empty())
        .ok_or_else(|| Invalid::new("messages: at least one message is required", "messages"))?;
    let mut open: HashSet<String> = HashSet::new();
    for (index, message) in messages.iter().enumerate() {
        let at = format!("messages.{index}");
        let role = text(message.get("role"), &format!("{at}.role"))?;
        if !matches!(role, "user" | "assistant") {
            let text = format!("{at}.role: Input should be 'user' or 'assistant'");
            return Err(Invalid::new(text, format!("{at}.role")));
        }
        let content = message
            .get("content")
            .ok_or_else(|| Invalid::new(format!("{at}.content: Field required"), &*at))?;
        let (mut used, mut answered) = (HashSet::new(), HashSet::new());
        ask.tool_result = None;
        let content = read_blocks(content, &at, ask, &mut used, &mut answered)?;
        if let Some(stray) = answered.iter().find(|id| !open.contains(*id)) {
            let text = format!(
                "{at}: unexpected `tool_use_id` found in `tool_result` blocks: {stray}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            );
            return Err(Invalid::new(text, at));
        }
        if let Some(missing) = open.iter().find(|id| !answered.contains(*id)) {
            let text = format!(
                "{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {missing}."
            );
            return Err(Invalid::new(text, at));
        }
        open = used;
        ask.last_text.clone_from(&content);
        ask.input.push(content);
    }
    if open.is_empty() {
        return Ok(());
    }
    Err(Invalid::new("messages: `tool_use` ids were found without `tool_result` blocks.", "messages"))
}

/// Text of a content value; notes tool uses and results.
fn read_blocks(
    content: &Value,
    at: &str,
    ask: &mut Ask,
    used: &mut HashSet<String>,
    answered: &mut HashSet<String>,
) -> Result<String, Invalid> {
    let blocks = match content {
        Value::String(text) if text.is_empty() => {
            return Err(Invalid::new(format!("{at}: text content blocks must be non-empty"), at));
        }
        Value::String(text) => return Ok(text.clone()),
        Value::Array(blocks) => blocks,
        _ => return Err(Invalid::new(format!("{at}.content: Input should be a string or an array"), at)),
    };
    let mut out = String::new();
    for block in blocks {
        ask.cache_marked |= block.get("cache_control").is_some_and(|marker| !marker.is_null());
        match block.get("type").and_then(Value::as_str) {
            Some("text") => out.push_str(text(block.get("text"), &format!("{at}.text"))?),
            Some("image" | "document") => {
                text(block.pointer("/source/type"), &format!("{at}.source.type"))?;
            }
            Some("thinking") => {
                text(block.get("signature"), &format!("{at}.thinking.signature"))?;
            }
            Some("redacted_thinking") => {}
            Some("tool_use") => {
                used.insert(text(block.get("id"), &format!("{at}.tool_use.id"))?.to_owned());
                let name = text(block.get("name"), &format!("{at}.tool_use.name"))?;
                let input = block.get("input").filter(|input| input.is_object());
                let input = input.ok_or_else(|| {
                    Invalid::new(format!("{at}.tool_use.input: Input should be a valid dictionary"), at)
                })?;
                ask.input.push(format!("{name}{input}"));
            }
            Some("tool_result") => {
                answered.insert(
                    text(block.get("tool_use_id"), &format!("{at}.tool_result.tool_use_id"))?.to_owned(),
                );
                let result = match block.get("content") {
                    None | Some(Value::Null) => String::new(),
                    Some(content) => read_blocks(content, at, ask, used, &mut HashSet::new())?,
                };
                ask.tool_result = Some(result.clone());
                ask.input.push(result);
            }
            other => {
                let text = format!(
                    "{at}: Input tag '{}' found using 'type' is not expected",
                    other.unwrap_or("null")
                );
                return Err(Invalid::new(text, at));
            }
        }
    }
    Ok(out)
}

fn read_tools(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    for (index, tool) in object.get("tools").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let at = format!("tools.{index}");
        if !matches!(tool.get("type").and_then(Value::as_str), None | Some("custom")) {
            return Err(Invalid::new(format!("{at}.type: only custom tools are simulated"), at));
        }
        let name = text(tool.get("name"), &format!("{at}.name"))?.to_owned();
        let schema = tool.get("input_schema").filter(|schema| schema.is_object()).cloned();
        let schema =
            schema.ok_or_else(|| Invalid::new(format!("{at}.input_schema: Field required"), &*at))?;
        ask.input.push(format!("{name}{schema}"));
        ask.tools.push(Tool { name, schema });
    }
    let Some(choice) = object.get("tool_choice").filter(|choice| !choice.is_null()) else { return Ok(()) };
    ask.single_call = choice.get("disable_parallel_tool_use") == Some(&Value::Bool(true));
    ask.choice = match choice.get("type").and_then(Value::as_str) {
        Some("auto") => Choice::Auto,
        Some("none") => Choice::None,
        Some("any") => Choice::Required,
        Some("tool") => Choice::Named(text(choice.get("name"), "tool_choice.name")?.to_owned()),
        _ => {
            return Err(Invalid::new(
                "tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'",
                "tool_choice",
            ));
        }
    };
    Ok(())
}
