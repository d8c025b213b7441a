//! Requests of Anthropic messages into the one form.

use super::blocks;
use crate::canonical::{
    Call, Effort, Json, Names, OutputFormat, Reasoning, ReasoningMode, Role, Tool, ToolChoice, Turn,
};
use crate::decode::{need, need_text, refuse, rest_of, rest_of_body};
use crate::json::{Kind, Value};
use crate::read::{CallBody, Fields, Path, array, boolean, text, texts, whole, wrong};
use crate::{Content, Dialect, RequestError};

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// Decodes a body that has been read.
pub(crate) fn decode(body: &CallBody) -> Result<Call, RequestError> {
    let root = Path::Root;
    let mut fields = Fields::read(&Value::validated(&body.bytes, body.spots.root), root)?;
    for known in ["model", "stream", "max_tokens"] {
        fields.take(known);
    }
    let (tool_choice, parallel_tools) = tool_choice(&mut fields)?;
    let mut reasoning = thinking(&mut fields)?;
    let format = output(&mut fields, &mut reasoning)?;
    let call = Call {
        names: Names { stop: "stop_sequences", format: "output_config.format", own: &[] },
        turns: turns(&mut fields)?,
        tools: tools(&mut fields)?,
        tool_choice,
        parallel_tools,
        output_limit: body.output_limit,
        stop: fields
            .take("stop_sequences")
            .map_or(Ok(Vec::new()), |value| texts(&value, root.key("stop_sequences")))?
            .into_iter()
            .map(Content::new)
            .collect(),
        temperature: number(&mut fields, "temperature")?,
        top_p: number(&mut fields, "top_p")?,
        top_k: number(&mut fields, "top_k")?,
        reasoning,
        format,
        user: user(&mut fields)?,
        stream: body.stream,
        ..Call::default()
    };
    rest_of_body(DIALECT, &fields)?;
    Ok(call)
}

fn number(fields: &mut Fields<'_>, key: &str) -> Result<Option<Json>, RequestError> {
    match fields.take(key) {
        Some(value) if value.kind() != Kind::Number => Err(wrong(Path::Root.key(key), "a number")),
        value => Ok(value.map(|value| Json::from(&value))),
    }
}

/// The end user as the provider may know it; the one in the gateway's own options stays here.
fn user(fields: &mut Fields<'_>) -> Result<Option<Content>, RequestError> {
    let Some(metadata) = fields.take("metadata") else { return Ok(None) };
    let path = Path::Root.key("metadata");
    let mut metadata = Fields::read(&metadata, path)?;
    let user = metadata.take("user_id").map(|user| text(&user, path.key("user_id"))).transpose()?;
    rest_of(DIALECT, "metadata", path, &metadata)?;
    Ok(user.map(Content::new))
}

fn turns(fields: &mut Fields<'_>) -> Result<Vec<Turn>, RequestError> {
    let root = Path::Root;
    let mut turns = Vec::new();
    if let Some(system) = fields.take("system") {
        let parts = blocks::decode(&system, root.key("system"), "system[]")?;
        turns.push(Turn { role: Role::System, parts, at: 0 });
    }
    let messages = need(fields, "messages", root)?;
    let mut at = 0;
    array(&messages, root.key("messages"), |message, path| {
        let mut message = Fields::read(&message, path)?;
        let role = match need_text(&mut message, "role", path)?.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            _ => return Err(refuse(path.key("role"), "no such role in other dialects")),
        };
        let content = need(&mut message, "content", path)?;
        let parts = blocks::decode(&content, path.key("content"), "messages[].content[]")?;
        turns.push(Turn { role, parts, at });
        at += 1;
        rest_of(DIALECT, "messages[]", path, &message)
    })?;
    Ok(turns)
}

fn tools(fields: &mut Fields<'_>) -> Result<Vec<Tool>, RequestError> {
    let mut tools = Vec::new();
    let Some(value) = fields.take("tools") else { return Ok(tools) };
    array(&value, Path::Root.key("tools"), |tool, path| {
        let mut tool = Fields::read(&tool, path)?;
        if let Some(kind) = tool.take("type")
            && text(&kind, path.key("type"))? != "custom"
        {
            return Err(refuse(path.key("type"), "a tool that the provider defines or runs"));
        }
        tools.push(Tool {
            name: need_text(&mut tool, "name", path)?,
            description: tool
                .take("description")
                .map(|value| text(&value, path.key("description")).map(Content::new))
                .transpose()?,
            schema: Some(Json::from(&need(&mut tool, "input_schema", path)?)),
            strict: tool.take("strict").map(|strict| boolean(&strict, path.key("strict"))).transpose()?,
            cache: tool.take("cache_control").map(|cache| Json::from(&cache)),
        });
        rest_of(DIALECT, "tools[]", path, &tool)
    })?;
    Ok(tools)
}

fn tool_choice(fields: &mut Fields<'_>) -> Result<(Option<ToolChoice>, Option<bool>), RequestError> {
    let path = Path::Root.key("tool_choice");
    let Some(value) = fields.take("tool_choice") else { return Ok((None, None)) };
    let mut choice = Fields::read(&value, path)?;
    let found = match need_text(&mut choice, "type", path)?.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Any,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(need_text(&mut choice, "name", path)?),
        _ => return Err(wrong(path.key("type"), "auto, any, none or tool")),
    };
    let single = choice.take("disable_parallel_tool_use");
    let single = single.map(|single| boolean(&single, path.key("disable_parallel_tool_use"))).transpose()?;
    rest_of(DIALECT, "tool_choice", path, &choice)?;
    Ok((Some(found), single.map(|single| !single)))
}

fn thinking(fields: &mut Fields<'_>) -> Result<Reasoning, RequestError> {
    let path = Path::Root.key("thinking");
    let Some(value) = fields.take("thinking") else { return Ok(Reasoning::default()) };
    let mut thinking = Fields::read(&value, path)?;
    let mode = match need_text(&mut thinking, "type", path)?.as_str() {
        "disabled" => ReasoningMode::Off,
        "adaptive" => ReasoningMode::Adaptive,
        "enabled" => {
            let budget = need(&mut thinking, "budget_tokens", path)?;
            ReasoningMode::Budget(whole(&budget, path.key("budget_tokens"))?)
        }
        _ => return Err(wrong(path.key("type"), "enabled, adaptive or disabled")),
    };
    rest_of(DIALECT, "thinking", path, &thinking)?;
    Ok(Reasoning { mode, effort: None })
}

fn output(fields: &mut Fields<'_>, reasoning: &mut Reasoning) -> Result<Option<OutputFormat>, RequestError> {
    let root = Path::Root;
    let mut format = None;
    if let Some(value) = fields.take("output_config") {
        let path = root.key("output_config");
        let mut config = Fields::read(&value, path)?;
        if let Some(effort) = config.take("effort") {
            reasoning.effort = Some(match &*text(&effort, path.key("effort"))? {
                "low" => Effort::Low,
                "medium" => Effort::Medium,
                "high" => Effort::High,
                "xhigh" => Effort::ExtraHigh,
                "max" => Effort::Max,
                _ => return Err(wrong(path.key("effort"), "low, medium, high, xhigh or max")),
            });
        }
        format = config.take("format").map(|value| schema(&value, path.key("format"))).transpose()?;
        rest_of(DIALECT, "output_config", path, &config)?;
    }
    if let Some(value) = fields.take("output_format") {
        format = Some(schema(&value, root.key("output_format"))?);
    }
    Ok(format)
}

fn schema(value: &Value<'_>, path: Path<'_>) -> Result<OutputFormat, RequestError> {
    let mut format = Fields::read(value, path)?;
    if need_text(&mut format, "type", path)? != "json_schema" {
        return Err(refuse(path.key("type"), "not known to the gateway"));
    }
    let schema = Json::from(&need(&mut format, "schema", path)?);
    rest_of(DIALECT, "output_config.format", path, &format)?;
    Ok(OutputFormat::Schema { name: None, schema, strict: None })
}
