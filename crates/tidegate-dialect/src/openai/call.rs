//! Requests of OpenAI chat completions into the one form.

use super::messages;
use crate::canonical::{Call, Effort, Json, Names, OutputFormat, Reasoning, ReasoningMode, Tool, ToolChoice};
use crate::decode::{need, need_text, refuse, rest_of, rest_of_body};
use crate::json::{Kind, Value};
use crate::read::{CallBody, Fields, Path, array, boolean, text, texts, whole, wrong};
use crate::{Content, Dialect, RequestError};

const DIALECT: Dialect = Dialect::OpenaiChat;

/// Decodes a body that has been read.
pub(crate) fn decode(body: &CallBody) -> Result<Call, RequestError> {
    let root = Path::Root;
    let mut fields = Fields::read(&Value::validated(&body.bytes, body.spots.root), root)?;
    for known in ["model", "stream", "max_tokens", "max_completion_tokens"] {
        fields.take(known);
    }
    if let Some(options) = fields.take("stream_options") {
        let path = root.key("stream_options");
        rest_of(DIALECT, "stream_options", path, &Fields::read(&options, path)?)?;
    }
    let messages = need(&mut fields, "messages", root)?;
    let call = Call {
        names: Names { stop: "stop", format: "response_format", own: &[] },
        turns: messages::decode(&messages, root.key("messages"))?,
        tools: tools(&mut fields)?,
        tool_choice: tool_choice(&mut fields)?,
        parallel_tools: optional_bool(&mut fields, "parallel_tool_calls", root)?,
        output_limit: body.output_limit,
        stop: stop(&mut fields)?,
        temperature: number(&mut fields, "temperature")?,
        top_p: number(&mut fields, "top_p")?,
        top_k: number(&mut fields, "top_k")?,
        frequency_penalty: number(&mut fields, "frequency_penalty")?,
        presence_penalty: number(&mut fields, "presence_penalty")?,
        reasoning: reasoning(&mut fields)?,
        format: format(&mut fields)?,
        seed: number(&mut fields, "seed")?,
        logprobs: logprobs(&mut fields)?,
        verbosity: verbosity(&mut fields, root)?,
        user: user(&mut fields)?,
        stream: body.stream,
        ..Call::default()
    };
    rest_of_body(DIALECT, &fields)?;
    Ok(call)
}

pub(crate) fn optional_bool(
    fields: &mut Fields<'_>,
    key: &str,
    path: Path<'_>,
) -> Result<Option<bool>, RequestError> {
    fields.take(key).map(|value| boolean(&value, path.key(key))).transpose()
}

fn number(fields: &mut Fields<'_>, key: &str) -> Result<Option<Json>, RequestError> {
    match fields.take(key) {
        Some(value) if value.kind() != Kind::Number => Err(wrong(Path::Root.key(key), "a number")),
        value => Ok(value.map(|value| Json::from(&value))),
    }
}

fn logprobs(fields: &mut Fields<'_>) -> Result<Option<u64>, RequestError> {
    let root = Path::Root;
    let asked = optional_bool(fields, "logprobs", root)?.unwrap_or(false);
    let top = fields.take("top_logprobs").map(|value| whole(&value, root.key("top_logprobs"))).transpose()?;
    if top.is_some_and(|top| top > 0) && !asked {
        return Err(wrong(root.key("top_logprobs"), "absent where logprobs is not true"));
    }
    Ok(asked.then_some(top.unwrap_or(0)))
}

/// The end user as the provider may know it; the one in the gateway's own options stays here.
fn user(fields: &mut Fields<'_>) -> Result<Option<Content>, RequestError> {
    let newer = optional_text(fields, "safety_identifier", Path::Root)?;
    let older = optional_text(fields, "user", Path::Root)?;
    Ok(newer.or(older))
}

/// How much is said, unless it is the usual.
pub(crate) fn verbosity(fields: &mut Fields<'_>, path: Path<'_>) -> Result<Option<Content>, RequestError> {
    let Some(said) = optional_text(fields, "verbosity", path)? else { return Ok(None) };
    match said.expose() {
        "medium" => Ok(None),
        "low" | "high" => Ok(Some(said)),
        _ => Err(wrong(path.key("verbosity"), "low, medium or high")),
    }
}

fn stop(fields: &mut Fields<'_>) -> Result<Vec<Content>, RequestError> {
    let Some(value) = fields.take("stop") else { return Ok(Vec::new()) };
    if value.kind() == Kind::Text {
        return Ok(vec![Content::new(text(&value, Path::Root.key("stop"))?)]);
    }
    Ok(texts(&value, Path::Root.key("stop"))?.into_iter().map(Content::new).collect())
}

fn tools(fields: &mut Fields<'_>) -> Result<Vec<Tool>, RequestError> {
    let mut tools = Vec::new();
    let Some(value) = fields.take("tools") else { return Ok(tools) };
    array(&value, Path::Root.key("tools"), |tool, path| {
        let mut tool = Fields::read(&tool, path)?;
        if need_text(&mut tool, "type", path)? != "function" {
            return Err(refuse(path.key("type"), "only function tools can be carried over"));
        }
        let function = need(&mut tool, "function", path)?;
        let cache = tool.take("cache_control");
        rest_of(DIALECT, "tools[]", path, &tool)?;
        let path = path.key("function");
        let mut function = Fields::read(&function, path)?;
        tools.push(Tool {
            name: need_text(&mut function, "name", path)?,
            description: optional_text(&mut function, "description", path)?,
            schema: function.take("parameters").map(|schema| Json::from(&schema)),
            strict: optional_bool(&mut function, "strict", path)?,
            cache: cache.or_else(|| function.take("cache_control")).map(|cache| Json::from(&cache)),
        });
        rest_of(DIALECT, "tools[].function", path, &function)
    })?;
    Ok(tools)
}

fn optional_text(
    fields: &mut Fields<'_>,
    key: &str,
    path: Path<'_>,
) -> Result<Option<Content>, RequestError> {
    fields.take(key).map(|value| text(&value, path.key(key)).map(Content::new)).transpose()
}

fn tool_choice(fields: &mut Fields<'_>) -> Result<Option<ToolChoice>, RequestError> {
    let path = Path::Root.key("tool_choice");
    let Some(value) = fields.take("tool_choice") else { return Ok(None) };
    if value.kind() == Kind::Text {
        return match &*text(&value, path)? {
            "auto" => Ok(Some(ToolChoice::Auto)),
            "none" => Ok(Some(ToolChoice::None)),
            "required" => Ok(Some(ToolChoice::Any)),
            _ => Err(wrong(path, "auto, none, required or a function")),
        };
    }
    let mut choice = Fields::read(&value, path)?;
    if need_text(&mut choice, "type", path)? != "function" {
        return Err(refuse(path.key("type"), "only a function can be chosen"));
    }
    let function = need(&mut choice, "function", path)?;
    rest_of(DIALECT, "tool_choice", path, &choice)?;
    let path = path.key("function");
    let mut function = Fields::read(&function, path)?;
    let name = need_text(&mut function, "name", path)?;
    rest_of(DIALECT, "tool_choice.function", path, &function)?;
    Ok(Some(ToolChoice::Named(name)))
}

fn reasoning(fields: &mut Fields<'_>) -> Result<Reasoning, RequestError> {
    let path = Path::Root.key("reasoning_effort");
    let Some(value) = fields.take("reasoning_effort") else { return Ok(Reasoning::default()) };
    let effort = match &*text(&value, path)? {
        "none" => return Ok(Reasoning { mode: ReasoningMode::Off, effort: None }),
        "minimal" | "low" => Effort::Low,
        "medium" => Effort::Medium,
        "high" => Effort::High,
        "xhigh" => Effort::ExtraHigh,
        "max" => Effort::Max,
        _ => return Err(wrong(path, "none, minimal, low, medium, high or xhigh")),
    };
    Ok(Reasoning { mode: ReasoningMode::Adaptive, effort: Some(effort) })
}

fn format(fields: &mut Fields<'_>) -> Result<Option<OutputFormat>, RequestError> {
    let path = Path::Root.key("response_format");
    let Some(value) = fields.take("response_format") else { return Ok(None) };
    let mut format = Fields::read(&value, path)?;
    let kind = need_text(&mut format, "type", path)?;
    let found = match kind.as_str() {
        "text" => None,
        "json_object" => Some(OutputFormat::JsonObject),
        "json_schema" => Some(schema(&mut format, path)?),
        _ => return Err(refuse(path.key("type"), "not known to the gateway")),
    };
    rest_of(DIALECT, "response_format", path, &format)?;
    Ok(found)
}

fn schema(format: &mut Fields<'_>, path: Path<'_>) -> Result<OutputFormat, RequestError> {
    let value = need(format, "json_schema", path)?;
    let path = path.key("json_schema");
    let mut inner = Fields::read(&value, path)?;
    let found = OutputFormat::Schema {
        name: optional_text(&mut inner, "name", path)?.map(Content::into_string),
        schema: Json::from(&need(&mut inner, "schema", path)?),
        // Not strict unless said so, as the reference has it.
        strict: optional_bool(&mut inner, "strict", path)?.or(Some(false)),
    };
    rest_of(DIALECT, "response_format.json_schema", path, &inner)?;
    Ok(found)
}
