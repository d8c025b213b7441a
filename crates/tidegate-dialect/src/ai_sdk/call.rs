//! Requests of the AI SDK into the one form.

use super::{options, prompt};
use crate::canonical::{
    Call, Effort, Json, Names, OutputFormat, ProviderOptions, Reasoning, ReasoningMode, Tool, ToolChoice,
    schema,
};
use crate::decode::{need, need_text, refuse, rest_of, rest_of_body};
use crate::json::{Kind, Value};
use crate::read::{CallBody, Fields, Path, array, boolean, text, texts, wrong};
use crate::{Content, Dialect, RequestError};

pub(super) const DIALECT: Dialect = Dialect::AiSdk;

/// Decodes a body that has been read. All three versions are told apart by the shapes that they send.
pub(super) fn decode(body: &CallBody) -> Result<Call, RequestError> {
    let root = Path::Root;
    let mut fields = Fields::read(&Value::validated(&body.bytes, body.spots.root), root)?;
    fields.take("maxOutputTokens");
    let mut options = of_providers(&mut fields)?;
    let prompt = need(&mut fields, "prompt", root)?;
    let turns = prompt::decode(&prompt, root.key("prompt"), &mut options)?;
    let tools = tools(&mut fields, &mut options)?;
    let choice = tool_choice(&mut fields)?;
    let call = Call {
        names: Names { stop: "stopSequences", format: "responseFormat", own: &[] },
        list: "prompt",
        turns,
        // SDK 7 sends "auto" without a tool to choose.
        tool_choice: choice
            .filter(|choice| !tools.is_empty() || !matches!(choice, ToolChoice::Auto | ToolChoice::None)),
        tools,
        output_limit: body.output_limit,
        stop: fields
            .take("stopSequences")
            .map_or(Ok(Vec::new()), |value| texts(&value, root.key("stopSequences")))?
            .into_iter()
            .map(Content::new)
            .collect(),
        temperature: number(&mut fields, "temperature")?,
        top_p: number(&mut fields, "topP")?,
        top_k: number(&mut fields, "topK")?,
        frequency_penalty: number(&mut fields, "frequencyPenalty")?,
        presence_penalty: number(&mut fields, "presencePenalty")?,
        seed: number(&mut fields, "seed")?,
        reasoning: reasoning(&mut fields)?,
        format: format(&mut fields)?,
        stream: body.stream,
        options,
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

/// Options for single providers; those for the gateway itself have been read.
fn of_providers(fields: &mut Fields<'_>) -> Result<Vec<ProviderOptions>, RequestError> {
    let mut found = Vec::new();
    let Some(value) = fields.take("providerOptions") else { return Ok(found) };
    let path = Path::Root.key("providerOptions");
    for member in Fields::read(&value, path)?.iter() {
        if member.key != "gateway" && !member.value.is_null() {
            found.push(options::keep(&member.key, &member.value, path.key(&member.key))?);
        }
    }
    Ok(found)
}

fn tools(fields: &mut Fields<'_>, rest: &mut Vec<ProviderOptions>) -> Result<Vec<Tool>, RequestError> {
    let mut tools = Vec::new();
    let Some(value) = fields.take("tools") else { return Ok(tools) };
    array(&value, Path::Root.key("tools"), |tool, path| {
        let mut tool = Fields::read(&tool, path)?;
        match need_text(&mut tool, "type", path)?.as_str() {
            "function" => {}
            "provider" | "provider-defined" => {
                return Err(refuse(path.key("id"), "a tool that a provider or the gateway defines or runs"));
            }
            _ => return Err(wrong(path.key("type"), "function or provider")),
        }
        let said = options::of_part(&mut tool, path, rest)?;
        let description = tool.take("description");
        tools.push(Tool {
            name: need_text(&mut tool, "name", path)?,
            description: description
                .map(|value| text(&value, path.key("description")).map(Content::new))
                .transpose()?,
            schema: Some(Json::from(&need(&mut tool, "inputSchema", path)?)),
            strict: tool.take("strict").map(|strict| boolean(&strict, path.key("strict"))).transpose()?,
            cache: said.cache,
        });
        rest_of(DIALECT, "tools[]", path, &tool)
    })?;
    Ok(tools)
}

fn tool_choice(fields: &mut Fields<'_>) -> Result<Option<ToolChoice>, RequestError> {
    let path = Path::Root.key("toolChoice");
    let Some(value) = fields.take("toolChoice") else { return Ok(None) };
    let mut choice = Fields::read(&value, path)?;
    let found = match need_text(&mut choice, "type", path)?.as_str() {
        "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        "required" => ToolChoice::Any,
        "tool" => ToolChoice::Named(need_text(&mut choice, "toolName", path)?),
        _ => return Err(wrong(path.key("type"), "auto, none, required or tool")),
    };
    rest_of(DIALECT, "toolChoice", path, &choice)?;
    Ok(Some(found))
}

fn reasoning(fields: &mut Fields<'_>) -> Result<Reasoning, RequestError> {
    let path = Path::Root.key("reasoning");
    let Some(value) = fields.take("reasoning") else { return Ok(Reasoning::default()) };
    match &*text(&value, path)? {
        "provider-default" => Ok(Reasoning::default()),
        "none" => Ok(Reasoning { mode: ReasoningMode::Off, effort: None }),
        word => match effort(word) {
            Some(effort) => Ok(Reasoning { mode: ReasoningMode::Adaptive, effort: Some(effort) }),
            None => Err(wrong(path, "provider-default, none, minimal, low, medium, high, xhigh or max")),
        },
    }
}

/// How much reasoning a word asks for.
pub(super) fn effort(word: &str) -> Option<Effort> {
    match word {
        "minimal" | "low" => Some(Effort::Low),
        "medium" => Some(Effort::Medium),
        "high" => Some(Effort::High),
        "xhigh" => Some(Effort::ExtraHigh),
        "max" => Some(Effort::Max),
        _ => None,
    }
}

fn format(fields: &mut Fields<'_>) -> Result<Option<OutputFormat>, RequestError> {
    let path = Path::Root.key("responseFormat");
    let Some(value) = fields.take("responseFormat") else { return Ok(None) };
    let mut format = Fields::read(&value, path)?;
    let kind = need_text(&mut format, "type", path)?;
    let name = format.take("name");
    let name = name.map(|name| text(&name, path.key("name")).map(|name| name.into_owned())).transpose()?;
    let schema = format.take("schema").map(|schema| Json::from(&schema));
    rest_of(DIALECT, "responseFormat", path, &format)?;
    match (kind.as_str(), schema) {
        ("text", _) => Ok(None),
        ("json", Some(schema)) => {
            // These clients cannot say it: strict where the schema allows it, as their users expect.
            let loose = Value::parse(schema.as_ref()).is_ok_and(|schema| !schema::is_strict(&schema));
            Ok(Some(OutputFormat::Schema { name, schema, strict: loose.then_some(false) }))
        }
        ("json", None) => Ok(Some(OutputFormat::JsonObject)),
        _ => Err(wrong(path.key("type"), "text or json")),
    }
}
