//! Requests of Converse into the one form.

use super::blocks;
use crate::canonical::{
    Call, Effort, Json, Names, OutputFormat, Reasoning, ReasoningMode, Role, Tool, ToolChoice, Turn,
};
use crate::decode::{need, need_text, refuse, rest_of, rest_of_body};
use crate::json::{Kind, Value};
use crate::read::{CallBody, Fields, Path, array, boolean, text, texts, whole, wrong};
use crate::{Content, Dialect, RequestError};

const DIALECT: Dialect = Dialect::BedrockConverse;

/// Its words for the one form's.
const SPELLINGS: &[(&str, &str)] = &[
    ("temperature", "inferenceConfig.temperature"),
    ("top_p", "inferenceConfig.topP"),
    ("top_k", "additionalModelRequestFields.top_k"),
];

/// Decodes a body that has been read.
pub(super) fn decode(body: &CallBody) -> Result<Call, RequestError> {
    let mut fields = Fields::read(&Value::validated(&body.bytes, body.spots.root), Path::Root)?;
    let mut call = Call {
        names: Names {
            stop: "inferenceConfig.stopSequences",
            format: "outputConfig.textFormat",
            own: SPELLINGS,
        },
        turns: turns(&mut fields)?,
        output_limit: body.output_limit,
        stream: body.stream,
        ..Call::default()
    };
    inference(&mut fields, &mut call)?;
    tools(&mut fields, &mut call)?;
    additional(&mut fields, &mut call)?;
    output(&mut fields, &mut call)?;
    rest_of_body(DIALECT, &fields)?;
    Ok(call)
}

fn turns(fields: &mut Fields<'_>) -> Result<Vec<Turn>, RequestError> {
    let root = Path::Root;
    let mut turns = Vec::new();
    if let Some(system) = fields.take("system") {
        let parts = blocks::decode(&system, root.key("system"), "system[]")?;
        if !parts.is_empty() {
            turns.push(Turn { role: Role::System, parts, at: 0 });
        }
    }
    let messages = need(fields, "messages", root)?;
    let mut at = 0;
    array(&messages, root.key("messages"), |message, path| {
        let mut message = Fields::read(&message, path)?;
        let role = match need_text(&mut message, "role", path)?.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            _ => return Err(wrong(path.key("role"), "user, assistant or system")),
        };
        let content = need(&mut message, "content", path)?;
        let parts = blocks::decode(&content, path.key("content"), blocks::BLOCK)?;
        turns.push(Turn { role, parts, at });
        at += 1;
        rest_of(DIALECT, "messages[]", path, &message)
    })?;
    Ok(turns)
}

fn number(fields: &mut Fields<'_>, key: &str, path: Path<'_>) -> Result<Option<Json>, RequestError> {
    match fields.take(key) {
        Some(value) if value.kind() != Kind::Number => Err(wrong(path.key(key), "a number")),
        value => Ok(value.map(|value| Json::from(&value))),
    }
}

fn inference(fields: &mut Fields<'_>, call: &mut Call) -> Result<(), RequestError> {
    let Some(value) = fields.take("inferenceConfig") else { return Ok(()) };
    let path = Path::Root.key("inferenceConfig");
    let mut config = Fields::read(&value, path)?;
    config.take("maxTokens");
    call.temperature = number(&mut config, "temperature", path)?;
    call.top_p = number(&mut config, "topP", path)?;
    if let Some(stops) = config.take("stopSequences") {
        call.stop = texts(&stops, path.key("stopSequences"))?.into_iter().map(Content::new).collect();
    }
    rest_of(DIALECT, "inferenceConfig", path, &config)
}

fn tools(fields: &mut Fields<'_>, call: &mut Call) -> Result<(), RequestError> {
    let Some(value) = fields.take("toolConfig") else { return Ok(()) };
    let path = Path::Root.key("toolConfig");
    let mut config = Fields::read(&value, path)?;
    let list = need(&mut config, "tools", path)?;
    array(&list, path.key("tools"), |value, path| {
        let mut tool = Fields::read(&value, path)?;
        if let Some(spec) = tool.take("toolSpec") {
            call.tools.push(tool_spec(&spec, path.key("toolSpec"))?);
        } else if let Some(point) = tool.take("cachePoint") {
            let marker = blocks::cache_point(&point, path.key("cachePoint"))?;
            if let Some(tool) = call.tools.last_mut() {
                tool.cache = Some(marker);
            }
        }
        rest_of(DIALECT, "toolConfig.tools[]", path, &tool)
    })?;
    if let Some(choice) = config.take("toolChoice") {
        call.tool_choice = Some(tool_choice(&choice, path.key("toolChoice"))?);
    }
    rest_of(DIALECT, "toolConfig", path, &config)
}

fn tool_spec(value: &Value<'_>, path: Path<'_>) -> Result<Tool, RequestError> {
    let mut spec = Fields::read(value, path)?;
    let schema = need(&mut spec, "inputSchema", path)?;
    let mut holder = Fields::read(&schema, path.key("inputSchema"))?;
    let schema = need(&mut holder, "json", path.key("inputSchema"))?;
    let tool = Tool {
        name: need_text(&mut spec, "name", path)?,
        description: spec
            .take("description")
            .map(|value| text(&value, path.key("description")).map(Content::new))
            .transpose()?,
        schema: Some(Json::from(&schema)),
        strict: spec.take("strict").map(|strict| boolean(&strict, path.key("strict"))).transpose()?,
        cache: None,
    };
    rest_of(DIALECT, "toolConfig.tools[].toolSpec.inputSchema", path.key("inputSchema"), &holder)?;
    rest_of(DIALECT, "toolConfig.tools[].toolSpec", path, &spec)?;
    Ok(tool)
}

fn tool_choice(value: &Value<'_>, path: Path<'_>) -> Result<ToolChoice, RequestError> {
    let mut choice = Fields::read(value, path)?;
    let found = if choice.take("auto").is_some() {
        ToolChoice::Auto
    } else if choice.take("any").is_some() {
        ToolChoice::Any
    } else {
        let tool = need(&mut choice, "tool", path)?;
        let path = path.key("tool");
        ToolChoice::Named(need_text(&mut Fields::read(&tool, path)?, "name", path)?)
    };
    rest_of(DIALECT, "toolConfig.toolChoice", path, &choice)?;
    Ok(found)
}

/// Of a model's own fields only those that others have, too.
fn additional(fields: &mut Fields<'_>, call: &mut Call) -> Result<(), RequestError> {
    let Some(value) = fields.take("additionalModelRequestFields") else { return Ok(()) };
    let path = Path::Root.key("additionalModelRequestFields");
    let mut own = Fields::read(&value, path)?;
    for key in ["thinking", "reasoning_config"] {
        if let Some(value) = own.take(key) {
            call.reasoning.mode = thinking(&value, path.key(key))?;
        }
    }
    if let Some(value) = own.take("reasoning_effort") {
        call.reasoning = effort(&value, path.key("reasoning_effort"))?;
    }
    call.top_k = number(&mut own, "top_k", path)?;
    if let Some(value) = own.take("tool_choice") {
        own_choice(&value, path.key("tool_choice"), call)?;
    }
    match own.iter().find(|member| !member.value.is_null()) {
        None => Ok(()),
        Some(member) => Err(refuse(path.key(&member.key), "a field of a single model's own")),
    }
}

/// The choice of a tool in Anthropic's own words: only there calls one at a time can be asked for.
fn own_choice(value: &Value<'_>, path: Path<'_>, call: &mut Call) -> Result<(), RequestError> {
    let mut choice = Fields::read(value, path)?;
    call.tool_choice = Some(match need_text(&mut choice, "type", path)?.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Any,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(need_text(&mut choice, "name", path)?),
        _ => return Err(wrong(path.key("type"), "auto, any, none or tool")),
    });
    if let Some(single) = choice.take("disable_parallel_tool_use") {
        call.parallel_tools = Some(!boolean(&single, path.key("disable_parallel_tool_use"))?);
    }
    rest_of(DIALECT, "additionalModelRequestFields.tool_choice", path, &choice)
}

fn thinking(value: &Value<'_>, path: Path<'_>) -> Result<ReasoningMode, RequestError> {
    let mut thinking = Fields::read(value, path)?;
    let mode = match need_text(&mut thinking, "type", path)?.as_str() {
        "disabled" => ReasoningMode::Off,
        "adaptive" => ReasoningMode::Adaptive,
        "enabled" => {
            let budget = need(&mut thinking, "budget_tokens", path)?;
            ReasoningMode::Budget(whole(&budget, path.key("budget_tokens"))?)
        }
        _ => return Err(wrong(path.key("type"), "enabled, adaptive or disabled")),
    };
    rest_of(DIALECT, "additionalModelRequestFields.thinking", path, &thinking)?;
    Ok(mode)
}

fn effort(value: &Value<'_>, path: Path<'_>) -> Result<Reasoning, RequestError> {
    let effort = match &*text(value, path)? {
        "low" => Effort::Low,
        "medium" => Effort::Medium,
        "high" => Effort::High,
        "xhigh" => Effort::ExtraHigh,
        "max" => Effort::Max,
        _ => return Err(wrong(path, "low, medium, high, xhigh or max")),
    };
    Ok(Reasoning { mode: ReasoningMode::Adaptive, effort: Some(effort) })
}

fn output(fields: &mut Fields<'_>, call: &mut Call) -> Result<(), RequestError> {
    let Some(value) = fields.take("outputConfig") else { return Ok(()) };
    let path = Path::Root.key("outputConfig");
    let mut config = Fields::read(&value, path)?;
    if let Some(value) = config.take("effort") {
        call.reasoning.effort = effort(&value, path.key("effort"))?.effort;
    }
    if let Some(value) = config.take("textFormat") {
        call.format = Some(schema(&value, path.key("textFormat"))?);
    }
    rest_of(DIALECT, "outputConfig", path, &config)
}

fn schema(value: &Value<'_>, path: Path<'_>) -> Result<OutputFormat, RequestError> {
    let mut format = Fields::read(value, path)?;
    if need_text(&mut format, "type", path)? != "json_schema" {
        return Err(refuse(path.key("type"), "not known to the gateway"));
    }
    let structure = need(&mut format, "structure", path)?;
    rest_of(DIALECT, "outputConfig.textFormat", path, &format)?;
    let path = path.key("structure");
    let mut structure = Fields::read(&structure, path)?;
    let definition = need(&mut structure, "jsonSchema", path)?;
    rest_of(DIALECT, "outputConfig.textFormat.structure", path, &structure)?;
    let path = path.key("jsonSchema");
    let mut definition = Fields::read(&definition, path)?;
    // The schema is written as the text of a JSON document.
    let schema = need_text(&mut definition, "schema", path)?;
    if Value::parse(schema.as_bytes()).is_err() {
        return Err(wrong(path.key("schema"), "the text of a JSON schema"));
    }
    let name = definition.take("name").map(|name| text(&name, path.key("name"))).transpose()?;
    let found = OutputFormat::Schema {
        name: name.map(std::borrow::Cow::into_owned),
        schema: Json::of_valid(schema),
        strict: None,
    };
    rest_of(DIALECT, "outputConfig.textFormat.structure.jsonSchema", path, &definition)?;
    Ok(found)
}
