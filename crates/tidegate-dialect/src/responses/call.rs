//! Requests of responses into the one form.

use super::{items, tools};
use crate::canonical::{Call, Effort, Json, Names, OutputFormat, Part, Reasoning, ReasoningMode, Role, Turn};
use crate::decode::{need, need_text, refuse, rest_of, rest_of_body};
use crate::json::{Kind, Value};
use crate::read::{CallBody, Fields, Path, boolean, text, texts, whole, wrong};
use crate::{Content, Dialect, RequestError};

/// Its words for the one form's.
const SPELLINGS: &[(&str, &str)] = &[("verbosity", "text.verbosity"), ("logprobs", "top_logprobs")];

/// What `include` calls log probabilities.
pub(super) const LOGPROBS: &str = "message.output_text.logprobs";

pub(super) const DIALECT: Dialect = Dialect::OpenaiResponses;

/// Decodes a body that has been read.
pub(super) fn decode(body: &CallBody) -> Result<Call, RequestError> {
    let root = Path::Root;
    let mut fields = Fields::read(&Value::validated(&body.bytes, body.spots.root), root)?;
    for known in ["model", "stream", "max_output_tokens"] {
        fields.take(known);
    }
    if let Some(options) = fields.take("stream_options") {
        let path = root.key("stream_options");
        rest_of(DIALECT, "stream_options", path, &Fields::read(&options, path)?)?;
    }
    let logprobs = logprobs(&mut fields)?;
    let (tools, tool_choice) = tools::decode(&mut fields)?;
    let (format, verbosity) = output(&mut fields)?;
    let call = Call {
        names: Names { stop: "stop", format: "text.format", own: SPELLINGS },
        list: "input",
        turns: turns(&mut fields)?,
        tools,
        tool_choice,
        parallel_tools: fields
            .take("parallel_tool_calls")
            .map(|value| boolean(&value, root.key("parallel_tool_calls")))
            .transpose()?,
        output_limit: body.output_limit,
        temperature: number(&mut fields, "temperature")?,
        top_p: number(&mut fields, "top_p")?,
        reasoning: reasoning(&mut fields)?,
        format,
        logprobs,
        verbosity,
        user: user(&mut fields)?,
        stream: body.stream,
        ..Call::default()
    };
    rest_of_body(DIALECT, &fields)?;
    Ok(call)
}

/// Log probabilities, asked for by the name of what is to come along or by the number of likely tokens.
/// What else comes along belongs to tools that the server runs, which are refused, or comes always.
fn logprobs(fields: &mut Fields<'_>) -> Result<Option<u64>, RequestError> {
    let root = Path::Root;
    let named = match fields.take("include") {
        None => false,
        Some(value) => texts(&value, root.key("include"))?.iter().any(|asked| asked == LOGPROBS),
    };
    let top = fields.take("top_logprobs").map(|value| whole(&value, root.key("top_logprobs"))).transpose()?;
    let top = top.unwrap_or(0);
    Ok((named || top > 0).then_some(top))
}

fn turns(fields: &mut Fields<'_>) -> Result<Vec<Turn>, RequestError> {
    let root = Path::Root;
    let mut turns = Vec::new();
    if let Some(value) = fields.take("instructions") {
        let text = Content::new(text(&value, root.key("instructions"))?);
        turns.push(Turn { role: Role::System, parts: vec![Part::Text { text, cache: None }], at: 0 });
    }
    // Where the provider keeps the input, its name is refused with the rest of the body.
    let Some(input) = fields.take("input") else { return Ok(turns) };
    if input.kind() == Kind::Text {
        let text = Content::new(text(&input, root.key("input"))?);
        turns.push(Turn { role: Role::User, parts: vec![Part::Text { text, cache: None }], at: 0 });
    } else {
        items::decode(&input, root.key("input"), &mut turns)?;
    }
    Ok(turns)
}

fn number(fields: &mut Fields<'_>, key: &str) -> Result<Option<Json>, RequestError> {
    match fields.take(key) {
        Some(value) if value.kind() != Kind::Number => Err(wrong(Path::Root.key(key), "a number")),
        value => Ok(value.map(|value| Json::from(&value))),
    }
}

pub(super) fn optional_text(
    fields: &mut Fields<'_>,
    key: &str,
    path: Path<'_>,
) -> Result<Option<Content>, RequestError> {
    fields.take(key).map(|value| text(&value, path.key(key)).map(Content::new)).transpose()
}

/// The end user as the provider may know it; the one in the gateway's own options stays here.
fn user(fields: &mut Fields<'_>) -> Result<Option<Content>, RequestError> {
    let newer = optional_text(fields, "safety_identifier", Path::Root)?;
    let older = optional_text(fields, "user", Path::Root)?;
    Ok(newer.or(older))
}

fn reasoning(fields: &mut Fields<'_>) -> Result<Reasoning, RequestError> {
    let path = Path::Root.key("reasoning");
    let Some(value) = fields.take("reasoning") else { return Ok(Reasoning::default()) };
    let mut reasoning = Fields::read(&value, path)?;
    let effort = reasoning.take("effort");
    rest_of(DIALECT, "reasoning", path, &reasoning)?;
    let Some(effort) = effort else { return Ok(Reasoning::default()) };
    let effort = match &*text(&effort, path.key("effort"))? {
        "none" => return Ok(Reasoning { mode: ReasoningMode::Off, effort: None }),
        "minimal" | "low" => Effort::Low,
        "medium" => Effort::Medium,
        "high" => Effort::High,
        "xhigh" => Effort::ExtraHigh,
        "max" => Effort::Max,
        _ => return Err(wrong(path.key("effort"), "none, minimal, low, medium, high, xhigh or max")),
    };
    Ok(Reasoning { mode: ReasoningMode::Adaptive, effort: Some(effort) })
}

/// Format and length of the output.
fn output(fields: &mut Fields<'_>) -> Result<(Option<OutputFormat>, Option<Content>), RequestError> {
    let path = Path::Root.key("text");
    let Some(value) = fields.take("text") else { return Ok((None, None)) };
    let mut config = Fields::read(&value, path)?;
    let format = config.take("format").map(|value| format(&value, path.key("format"))).transpose()?;
    let verbosity = crate::openai::call::verbosity(&mut config, path)?;
    rest_of(DIALECT, "text", path, &config)?;
    Ok((format.flatten(), verbosity))
}

fn format(value: &Value<'_>, path: Path<'_>) -> Result<Option<OutputFormat>, RequestError> {
    let mut format = Fields::read(value, path)?;
    let found = match need_text(&mut format, "type", path)?.as_str() {
        "text" => None,
        "json_object" => Some(OutputFormat::JsonObject),
        "json_schema" => Some(OutputFormat::Schema {
            name: Some(need_text(&mut format, "name", path)?),
            schema: Json::from(&need(&mut format, "schema", path)?),
            // Not strict unless said so, as the reference has it.
            strict: Some(match format.take("strict") {
                Some(strict) => boolean(&strict, path.key("strict"))?,
                None => false,
            }),
        }),
        _ => return Err(refuse(path.key("type"), "not known to the gateway")),
    };
    rest_of(DIALECT, "text.format", path, &format)?;
    Ok(found)
}
