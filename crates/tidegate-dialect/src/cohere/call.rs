//! Requests of Cohere's chat into the one form.

use super::answer::object;
use crate::canonical::{
    Call, Image, Json, Names, OutputFormat, Part, Reasoning, ReasoningMode, Role, Tool, ToolChoice, Turn,
};
use crate::decode::{need, need_text, refuse, rest_of, rest_of_body};
use crate::json::{Kind, Value};
use crate::read::{CallBody, Fields, Path, array, boolean, text, texts, whole, wrong};
use crate::{Content, Dialect, RequestError};

const DIALECT: Dialect = Dialect::CohereChat;

/// Decodes a body that has been read.
pub(super) fn decode(body: &CallBody) -> Result<Call, RequestError> {
    let root = Path::Root;
    let mut fields = Fields::read(&Value::validated(&body.bytes, body.spots.root), root)?;
    for known in ["model", "stream", "max_tokens"] {
        fields.take(known);
    }
    let messages = need(&mut fields, "messages", root)?;
    let call = Call {
        names: Names {
            stop: "stop_sequences",
            format: "response_format",
            own: &[("top_k", "k"), ("top_p", "p")],
        },
        turns: turns(&messages, root.key("messages"))?,
        tools: tools(&mut fields)?,
        tool_choice: tool_choice(&mut fields)?,
        output_limit: body.output_limit,
        stop: match fields.take("stop_sequences") {
            Some(value) => texts(&value, root.key("stop_sequences"))?.into_iter().map(Content::new).collect(),
            None => Vec::new(),
        },
        temperature: number(&mut fields, "temperature")?,
        top_p: number(&mut fields, "p")?,
        top_k: number(&mut fields, "k")?,
        frequency_penalty: number(&mut fields, "frequency_penalty")?,
        presence_penalty: number(&mut fields, "presence_penalty")?,
        seed: number(&mut fields, "seed")?,
        reasoning: thinking(&mut fields)?,
        format: format(&mut fields)?,
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

fn turns(messages: &Value<'_>, path: Path<'_>) -> Result<Vec<Turn>, RequestError> {
    let mut turns: Vec<Turn> = Vec::new();
    let mut at = 0;
    array(messages, path, |value, path| {
        let mut message = Fields::read(&value, path)?;
        let (role, parts) = match need_text(&mut message, "role", path)?.as_str() {
            "system" => (Role::System, content(&mut message, path)?),
            "user" => (Role::User, content(&mut message, path)?),
            "assistant" => (Role::Assistant, assistant(&mut message, path)?),
            "tool" => {
                let id = need_text(&mut message, "tool_call_id", path)?;
                let parts = content(&mut message, path)?;
                (Role::User, vec![Part::ToolResult { id, parts, is_error: false, cache: None }])
            }
            _ => return Err(wrong(path.key("role"), "system, user, assistant or tool")),
        };
        rest_of(DIALECT, "messages[]", path, &message)?;
        // Results of parallel calls, and what the user says next, are one turn.
        match turns.last_mut() {
            Some(last)
                if role == Role::User && matches!(last.parts.last(), Some(Part::ToolResult { .. })) =>
            {
                last.parts.extend(parts);
            }
            _ => turns.push(Turn { role, parts, at }),
        }
        at += 1;
        Ok(())
    })?;
    Ok(turns)
}

fn content(message: &mut Fields<'_>, path: Path<'_>) -> Result<Vec<Part>, RequestError> {
    let Some(value) = message.take("content") else { return Ok(Vec::new()) };
    let path = path.key("content");
    if value.kind() == Kind::Text {
        return Ok(vec![Part::Text { text: Content::new(text(&value, path)?), cache: None }]);
    }
    let mut parts = Vec::new();
    array(&value, path, |value, path| {
        let mut part = Fields::read(&value, path)?;
        let kind = need_text(&mut part, "type", path)?;
        parts.push(match kind.as_str() {
            "text" => Part::Text { text: need_text(&mut part, "text", path)?.into(), cache: None },
            "thinking" => {
                Part::Thinking { text: need_text(&mut part, "thinking", path)?.into(), signature: None }
            }
            "image_url" => Part::Image { image: image(&mut part, path)?, cache: None },
            "document" => Part::Text { text: document(&mut part, path)?, cache: None },
            _ => return Err(refuse(path.key("type"), "no counterpart in other dialects")),
        });
        rest_of(DIALECT, "messages[].content[]", path, &part)
    })?;
    Ok(parts)
}

fn image(part: &mut Fields<'_>, path: Path<'_>) -> Result<Image, RequestError> {
    let value = need(part, "image_url", path)?;
    let path = path.key("image_url");
    if value.kind() == Kind::Text {
        return Ok(of_url(&text(&value, path)?));
    }
    let mut inner = Fields::read(&value, path)?;
    let url = need_text(&mut inner, "url", path)?;
    rest_of(DIALECT, "messages[].content[].image_url", path, &inner)?;
    Ok(of_url(&url))
}

fn of_url(url: &str) -> Image {
    match url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        Some((media_type, data)) => Image::Base64 { media_type: media_type.to_owned(), data: data.into() },
        None => Image::Url(url.into()),
    }
}

/// A document, mostly a tool's result: its text, or its JSON as text.
fn document(part: &mut Fields<'_>, path: Path<'_>) -> Result<Content, RequestError> {
    let value = need(part, "document", path)?;
    let path = path.key("document");
    let mut inner = Fields::read(&value, path)?;
    let data = need(&mut inner, "data", path)?;
    rest_of(DIALECT, "messages[].content[].document", path, &inner)?;
    match data.kind() {
        Kind::Text => Ok(Content::new(text(&data, path.key("data"))?)),
        _ => Ok(Content::new(Json::from(&data).text())),
    }
}

fn assistant(message: &mut Fields<'_>, path: Path<'_>) -> Result<Vec<Part>, RequestError> {
    let mut parts = Vec::new();
    if let Some(plan) = message.take("tool_plan") {
        let text = Content::new(text(&plan, path.key("tool_plan"))?);
        if !text.is_empty() {
            parts.push(Part::Thinking { text, signature: None });
        }
    }
    parts.extend(content(message, path)?);
    if let Some(calls) = message.take("tool_calls") {
        array(&calls, path.key("tool_calls"), |value, path| {
            let mut call = Fields::read(&value, path)?;
            call.take("type");
            let id = need_text(&mut call, "id", path)?;
            let function = need(&mut call, "function", path)?;
            rest_of(DIALECT, "messages[].tool_calls[]", path, &call)?;
            let path = path.key("function");
            let mut function = Fields::read(&function, path)?;
            let name = need_text(&mut function, "name", path)?;
            let arguments = need_text(&mut function, "arguments", path)?;
            rest_of(DIALECT, "messages[].tool_calls[].function", path, &function)?;
            let input = object(&arguments)
                .ok_or_else(|| refuse(path.key("arguments"), "not the text of a JSON object"))?;
            parts.push(Part::ToolUse { id, name, input, cache: None });
            Ok(())
        })?;
    }
    Ok(parts)
}

fn tools(fields: &mut Fields<'_>) -> Result<Vec<Tool>, RequestError> {
    let root = Path::Root;
    let strict =
        fields.take("strict_tools").map(|strict| boolean(&strict, root.key("strict_tools"))).transpose()?;
    let mut tools = Vec::new();
    let Some(value) = fields.take("tools") else { return Ok(tools) };
    array(&value, root.key("tools"), |tool, path| {
        let mut tool = Fields::read(&tool, path)?;
        if need_text(&mut tool, "type", path)? != "function" {
            return Err(refuse(path.key("type"), "only function tools can be carried over"));
        }
        let function = need(&mut tool, "function", path)?;
        rest_of(DIALECT, "tools[]", path, &tool)?;
        let path = path.key("function");
        let mut function = Fields::read(&function, path)?;
        let description = function.take("description");
        tools.push(Tool {
            name: need_text(&mut function, "name", path)?,
            description: description
                .map(|value| text(&value, path.key("description")).map(Content::new))
                .transpose()?,
            schema: function.take("parameters").map(|schema| Json::from(&schema)),
            strict,
            cache: None,
        });
        rest_of(DIALECT, "tools[].function", path, &function)
    })?;
    Ok(tools)
}

fn tool_choice(fields: &mut Fields<'_>) -> Result<Option<ToolChoice>, RequestError> {
    let path = Path::Root.key("tool_choice");
    let Some(value) = fields.take("tool_choice") else { return Ok(None) };
    match &*text(&value, path)? {
        "REQUIRED" => Ok(Some(ToolChoice::Any)),
        "NONE" => Ok(Some(ToolChoice::None)),
        _ => Err(wrong(path, "REQUIRED or NONE")),
    }
}

fn thinking(fields: &mut Fields<'_>) -> Result<Reasoning, RequestError> {
    let path = Path::Root.key("thinking");
    let Some(value) = fields.take("thinking") else { return Ok(Reasoning::default()) };
    let mut thinking = Fields::read(&value, path)?;
    let kind = need_text(&mut thinking, "type", path)?;
    let budget =
        thinking.take("token_budget").map(|budget| whole(&budget, path.key("token_budget"))).transpose()?;
    rest_of(DIALECT, "thinking", path, &thinking)?;
    let mode = match (kind.as_str(), budget) {
        ("disabled", _) => ReasoningMode::Off,
        ("enabled", Some(budget)) => ReasoningMode::Budget(budget),
        ("enabled", None) => ReasoningMode::Adaptive,
        _ => return Err(wrong(path.key("type"), "enabled or disabled")),
    };
    Ok(Reasoning { mode, effort: None })
}

fn format(fields: &mut Fields<'_>) -> Result<Option<OutputFormat>, RequestError> {
    let path = Path::Root.key("response_format");
    let Some(value) = fields.take("response_format") else { return Ok(None) };
    let mut format = Fields::read(&value, path)?;
    let kind = need_text(&mut format, "type", path)?;
    let schema = format.take("json_schema").or_else(|| format.take("schema"));
    rest_of(DIALECT, "response_format", path, &format)?;
    match (kind.as_str(), schema) {
        ("text", None) => Ok(None),
        ("json_object", None) => Ok(Some(OutputFormat::JsonObject)),
        ("json_object", Some(schema)) => {
            Ok(Some(OutputFormat::Schema { name: None, schema: Json::from(&schema), strict: None }))
        }
        _ => Err(wrong(path.key("type"), "text or json_object")),
    }
}
