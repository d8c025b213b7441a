//! Validates a Converse request: the top level, and tools.

use serde_json::{Map, Value};

use super::{content, messages, settings};
use crate::ask::{Ask, Choice, Invalid, Tool, text};
use crate::schema::is_tool_name;

const TOP: &[&str] = &[
    "messages",
    "system",
    "inferenceConfig",
    "toolConfig",
    "guardrailConfig",
    "additionalModelRequestFields",
    "promptVariables",
    "additionalModelResponseFieldPaths",
    "requestMetadata",
    "performanceConfig",
    "serviceTier",
    "outputConfig",
];

/// Which fields of its own a model takes depends on who made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    Anthropic,
    Amazon,
    OpenAi,
    Other,
}

impl Maker {
    fn of(model: &str) -> Self {
        if model.contains("anthropic.") || model.contains("claude") {
            Self::Anthropic
        } else if model.contains("amazon.nova") {
            Self::Amazon
        } else if model.contains("openai.") {
            Self::OpenAi
        } else {
            Self::Other
        }
    }
}

/// Refuses members that are not in `known`, in the service's words.
pub(super) fn only(object: &Map<String, Value>, known: &[&str], at: &str) -> Result<(), Invalid> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => {
            let message = format!("Malformed input request: {at}: extraneous key [{key}] is not permitted");
            Err(Invalid::new(message, at))
        }
        None => Ok(()),
    }
}

/// The one member of a union.
pub(super) fn single<'v>(value: &'v Value, at: &str) -> Result<(&'v str, &'v Value), Invalid> {
    let mut members = value.as_object().into_iter().flatten();
    match (members.next(), members.next()) {
        (Some((key, value)), None) => Ok((key.as_str(), value)),
        _ => Err(Invalid::new(format!("{at} must have exactly one of its members."), at)),
    }
}

/// Reads the request, or says what the real service would say.
pub(crate) fn read(address: &str, body: &Value) -> Result<Ask, Invalid> {
    let path = address.split('?').next().unwrap_or_default();
    let (model, stream) = super::route(path).ok_or_else(|| Invalid::new("Unknown operation.", "path"))?;
    let object = body.as_object().ok_or_else(|| Invalid::new("Unable to parse the request body.", "body"))?;
    only(object, TOP, "request")?;
    let mut ask = Ask { model: decoded(model), stream, n: 1, ..Ask::default() };
    let maker = Maker::of(&ask.model);
    // In the order in which the service caches: tools, system, messages.
    read_tools(object, maker, &mut ask)?;
    if let Some(system) = object.get("system") {
        content::system(system, maker, &mut ask)?;
    }
    messages::read(object, maker, &mut ask)?;
    settings::read(object, maker, &mut ask)?;
    Ok(ask)
}

/// Percent signs of the path resolved.
pub(super) fn decoded(segment: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let digits = [bytes.clone().next(), bytes.clone().nth(1)]
            .map(|digit| digit.and_then(|digit| char::from(digit).to_digit(16)));
        match (byte, digits) {
            (b'%', [Some(high), Some(low)]) => {
                out.push((high * 16 + low) as u8);
                bytes.nth(1);
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn read_tools(object: &Map<String, Value>, maker: Maker, ask: &mut Ask) -> Result<(), Invalid> {
    let Some(config) = object.get("toolConfig") else { return Ok(()) };
    let at = "toolConfig";
    let config = config.as_object().ok_or_else(|| Invalid::new("toolConfig must be an object.", at))?;
    only(config, &["tools", "toolChoice"], at)?;
    let tools = config.get("tools").and_then(Value::as_array).filter(|tools| !tools.is_empty());
    let tools = tools.ok_or_else(|| {
        let message = "1 validation error detected: Value '[]' at 'toolConfig.tools' failed to satisfy constraint: \
                       Member must have length greater than or equal to 1";
        Invalid::new(message, at)
    })?;
    for (index, tool) in tools.iter().enumerate() {
        let at = format!("toolConfig.tools.{index}.member");
        match single(tool, &at)? {
            ("toolSpec", spec) => {
                let tool = read_spec(spec, &at, ask)?;
                if ask.tools.iter().any(|known| known.name == tool.name) {
                    return Err(Invalid::new(format!("The tool {} is already defined.", tool.name), at));
                }
                ask.tools.push(tool);
            }
            ("cachePoint", point) => content::cache_point(point, maker, &at, ask)?,
            ("systemTool", tool) if maker == Maker::Amazon => {
                if tool.get("name").and_then(Value::as_str) != Some("nova_grounding") {
                    return Err(Invalid::new(format!("{at}.systemTool.name: unknown system tool."), at));
                }
                ask.searches = crate::search::EACH;
            }
            (other, _) => return Err(Invalid::new(format!("{at}.{other} is not simulated."), at)),
        }
    }
    read_choice(config, ask)
}

fn read_spec(spec: &Value, at: &str, ask: &mut Ask) -> Result<Tool, Invalid> {
    let members = spec.as_object().ok_or_else(|| Invalid::new(format!("{at} must be an object."), at))?;
    only(members, &["name", "description", "inputSchema", "strict"], at)?;
    let name = text(members.get("name"), &format!("{at}.name"))?.to_owned();
    if !is_tool_name(&name, 64) {
        let message = format!(
            "Value '{name}' at '{at}.toolSpec.name' failed to satisfy constraint: Member must satisfy regular \
             expression pattern: [a-zA-Z0-9_-]+ and have length less than or equal to 64"
        );
        return Err(Invalid::new(message, at));
    }
    let described = members.get("description").map(|text| text.as_str().unwrap_or_default());
    if described == Some("") {
        return Err(Invalid::new(format!("{at}.toolSpec.description must not be empty."), at));
    }
    let schema = spec.pointer("/inputSchema/json").filter(|schema| schema.is_object()).cloned();
    let schema = schema.ok_or_else(|| Invalid::new(format!("{at}.toolSpec.inputSchema is required."), at))?;
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        let message = "The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: object.";
        return Err(Invalid::new(message, at));
    }
    ask.input.push(format!("{name}{}{schema}", described.unwrap_or_default()));
    Ok(Tool { name, schema })
}

fn read_choice(config: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    let Some(choice) = config.get("toolChoice") else { return Ok(()) };
    let at = "toolConfig.toolChoice";
    ask.choice = match single(choice, at)? {
        ("auto", _) => Choice::Auto,
        ("any", _) => Choice::Required,
        ("tool", tool) => {
            let name = text(tool.get("name"), at)?.to_owned();
            if !ask.tools.iter().any(|tool| tool.name == name) {
                return Err(Invalid::new(
                    format!("The tool {name} of toolChoice is not defined in tools."),
                    at,
                ));
            }
            Choice::Named(name)
        }
        (other, _) => return Err(Invalid::new(format!("{at}: {other} is not one of auto, any, tool."), at)),
    };
    Ok(())
}
