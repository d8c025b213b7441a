//! Validates the contents: roles, parts, calls and their responses, thought signatures.

use serde_json::Value;

use super::message::Message;
use super::{SIGNATURE, SKIPPED, signs_thoughts};
use crate::ask::{Ask, Invalid};

const PART: &[&str] = &[
    "text",
    "thought",
    "thoughtSignature",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "videoMetadata",
    "mediaResolution",
    "partMetadata",
];
const DATA: &[&str] = &[
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
];

/// What one content holds.
#[derive(Default)]
struct Content {
    model: bool,
    texts: Vec<String>,
    calls: Vec<(String, Option<String>)>,
    responses: Vec<(String, Option<String>, String)>,
}

pub(super) fn read_system(body: &Message<'_>, ask: &mut Ask) -> Result<(), Invalid> {
    let Some(system) = body.get("systemInstruction") else { return Ok(()) };
    let system = Message::read(system, &["role", "parts"], "system_instruction")?;
    for (part, at) in system.each("parts")? {
        let part = Message::read(part, PART, &at)?;
        let text =
            part.text("text")?.ok_or_else(|| Invalid::new("system_instruction takes text only.", &*at))?;
        ask.input.push(text.to_owned());
    }
    Ok(())
}

pub(super) fn read_contents(body: &Message<'_>, ask: &mut Ask) -> Result<(), Invalid> {
    let all = body.each("contents")?;
    if all.is_empty() {
        let message = "* GenerateContentRequest.contents: contents is not specified\n";
        return Err(Invalid::new(message, "contents"));
    }
    let mut before: Option<Content> = None;
    // Signatures are demanded in the current turn: since the user last said something.
    let last_words = all.iter().rposition(|(content, _)| says_something(content)).unwrap_or(0);
    for (index, (content, at)) in all.iter().enumerate() {
        let signed = index > last_words && signs_thoughts(&ask.model);
        let content = read_content(content, at, signed, ask)?;
        // Clients send back the chunks of a stream as a content each.
        if let Some(before) = before.as_mut().filter(|before| before.model && content.model) {
            ask.input.extend(content.texts.iter().cloned());
            before.texts.extend(content.texts);
            before.calls.extend(content.calls);
            continue;
        }
        follows(before.as_ref(), &content, at)?;
        ask.tool_result = content.responses.last().map(|(_, _, text)| text.clone());
        if !content.texts.is_empty() || ask.tool_result.is_some() {
            ask.last_text = content.texts.concat();
        }
        ask.input.extend(content.texts.iter().cloned());
        ask.input.extend(content.responses.iter().map(|(_, _, text)| text.clone()));
        before = Some(content);
    }
    match before {
        Some(last) if !last.calls.is_empty() => Err(Invalid::new(COUNT, "contents")),
        _ => Ok(()),
    }
}

fn says_something(content: &Value) -> bool {
    let user = content.get("role").and_then(Value::as_str) != Some("model");
    user && content
        .get("parts")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .any(|part| part.get("text").is_some())
}

const AFTER: &str = "Please ensure that function response turn comes immediately after a function call turn.";
const CALL: &str = "Please ensure that function call turn comes immediately after a user turn or after a function response turn.";
const COUNT: &str = "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.";

fn follows(before: Option<&Content>, content: &Content, at: &str) -> Result<(), Invalid> {
    let none = Content::default();
    let first = before.is_none();
    let before_model = before.is_some_and(|before| before.model);
    let before = before.unwrap_or(&none);
    if !content.calls.is_empty() && (first || before_model) {
        return Err(Invalid::new(CALL, at));
    }
    if !content.responses.is_empty() && before.calls.is_empty() {
        return Err(Invalid::new(AFTER, at));
    }
    if before.calls.len() != content.responses.len() {
        return Err(Invalid::new(COUNT, at));
    }
    let mut open = before.calls.clone();
    for (name, id, _) in &content.responses {
        let fits = |(called, called_id): &(String, Option<String>)| {
            called == name && (id.is_none() || called_id.is_none() || id == called_id)
        };
        let place = open.iter().position(fits).ok_or_else(|| Invalid::new(AFTER, at))?;
        open.remove(place);
    }
    Ok(())
}

fn read_content(value: &Value, at: &str, signed: bool, ask: &mut Ask) -> Result<Content, Invalid> {
    let message = Message::read(value, &["role", "parts"], at)?;
    let model = match message.text("role")? {
        None | Some("" | "user") => false,
        Some("model") => true,
        Some(_) => return Err(Invalid::new("Please use a valid role: user, model.", at)),
    };
    let mut content = Content { model, ..Content::default() };
    let parts = message.each("parts")?;
    if parts.is_empty() {
        let message = format!("* GenerateContentRequest.{at}.parts: contents.parts must not be empty.\n");
        return Err(Invalid::new(message, at));
    }
    for (part, at) in parts {
        read_part(&Message::read(part, PART, &at)?, &at, signed, &mut content, ask)?;
    }
    Ok(content)
}

fn read_part(
    part: &Message<'_>,
    at: &str,
    signed: bool,
    content: &mut Content,
    ask: &mut Ask,
) -> Result<(), Invalid> {
    let signature = part.text("thoughtSignature")?;
    if let Some(signature) = signature {
        check_signature(signature, at, ask)?;
    }
    part.flag("thought")?;
    let kinds: Vec<&&str> = DATA.iter().filter(|name| part.has(name)).collect();
    match kinds.as_slice() {
        [] if signature.is_some() => return Ok(()),
        [_] => {}
        _ => {
            let message = format!(
                "* GenerateContentRequest.{at}.data: required oneof field 'data' must have one initialized field\n"
            );
            return Err(Invalid::new(message, at));
        }
    }
    if let Some(text) = part.text("text")? {
        // Models end their streams with an empty text, and their clients send it back.
        if text.is_empty() && signature.is_none() && !content.model {
            let message = "Unable to submit request because it must have a text parameter.";
            return Err(Invalid::new(message, at));
        }
        content.texts.push(text.to_owned());
    }
    if let Some(blob) = part.get("inlineData") {
        read_blob(blob, at, ask)?;
    }
    if let Some(file) = part.get("fileData") {
        let file = Message::read(file, &["mimeType", "fileUri", "displayName"], at)?;
        if file.text("fileUri")?.is_none_or(str::is_empty) {
            return Err(Invalid::new("fileUri is required.", at));
        }
        ask.images += 1;
    }
    if let Some(call) = part.get("functionCall") {
        read_call(call, at, signed && signature.is_none(), content, ask)?;
    }
    if let Some(response) = part.get("functionResponse") {
        let known = &["id", "name", "response", "parts", "willContinue", "scheduling"];
        let response = Message::read(response, known, at)?;
        let name = response.text("name")?.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Invalid::new("function_response.name: Name cannot be empty.", at))?;
        let body = response.get("response").filter(|body| body.is_object());
        let body = body.ok_or_else(|| Invalid::new("function_response.response: must be an object.", at))?;
        content.responses.push((name.to_owned(), response.text("id")?.map(str::to_owned), shown(body)));
    }
    Ok(())
}

/// The text of a response: what is under `output`, or all of it.
fn shown(body: &Value) -> String {
    body.get("output").and_then(Value::as_str).map_or_else(|| body.to_string(), str::to_owned)
}

fn check_signature(signature: &str, at: &str, ask: &Ask) -> Result<(), Invalid> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte);
    if !signature.bytes().all(plain) {
        let message =
            format!("Invalid value at '{at}.thought_signature' (TYPE_BYTES), Base64 decoding failed");
        return Err(Invalid::new(message, at));
    }
    if signs_thoughts(&ask.model) && signature != SIGNATURE && !SKIPPED.contains(&signature) {
        return Err(Invalid::new("Corrupted thought signature.", at));
    }
    Ok(())
}

/// The first call of every step carries the signature.
fn read_call(
    call: &Value,
    at: &str,
    unsigned: bool,
    content: &mut Content,
    ask: &mut Ask,
) -> Result<(), Invalid> {
    let call = Message::read(call, &["id", "name", "args", "partialArgs", "willContinue"], at)?;
    let name = call.text("name")?.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Invalid::new("function_call.name: Name cannot be empty.", at))?;
    if !content.model {
        return Err(Invalid::new("Function calls are only allowed in the model's turns.", at));
    }
    if unsigned && content.calls.is_empty() {
        let message = format!(
            "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, and missing thought_signature may lead to degraded model performance. Additional data, function call `default_api:{name}`."
        );
        return Err(Invalid::new(message, at));
    }
    let args = call.get("args");
    if args.is_some_and(|args| !args.is_object()) {
        return Err(Invalid::new(format!("Invalid value at '{at}.function_call.args' (Struct)"), at));
    }
    ask.input.push(format!("{name}{}", args.map(Value::to_string).unwrap_or_default()));
    content.calls.push((name.to_owned(), call.text("id")?.map(str::to_owned)));
    Ok(())
}

fn read_blob(blob: &Value, at: &str, ask: &mut Ask) -> Result<(), Invalid> {
    let blob = Message::read(blob, &["mimeType", "data", "displayName"], at)?;
    let kind = blob.text("mimeType")?.unwrap_or_default();
    let families = ["image/", "audio/", "video/", "text/", "application/pdf"];
    if !families.iter().any(|family| kind.starts_with(family)) {
        return Err(Invalid::new(format!("Unsupported MIME type: {kind}"), at));
    }
    let data = blob.text("data")?.unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte);
    if data.is_empty() || !data.bytes().all(plain) {
        let message =
            format!("Invalid value at '{at}.inline_data.data' (TYPE_BYTES), Base64 decoding failed");
        return Err(Invalid::new(message, at));
    }
    ask.images += 1;
    Ok(())
}
