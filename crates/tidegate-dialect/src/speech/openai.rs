//! OpenAI's speech and its followers'. Source: its API reference, read November 2026.

use tidegate_types::usage::Usage;

use super::{SpeechAnswer, SpeechCall, characters, events, size_up};
use crate::answer::AnswerFacts;
use crate::json::{Kind, Value, Writer};
use crate::outbound::Edits;
use crate::read::{CallBody, Fields, Path, text, wrong};
use crate::registry::Carriage::{Carried, Dropped};
use crate::registry::Effect::{Gateway, Plain};
use crate::registry::{Field, field};
use crate::task::{Blob, Client, Payload, Provider, Received, Source, pass_json};
use crate::{AnswerFault, Content, RequestError};

const FIELDS: &[Field] = &[
    field("caching", Gateway, Dropped("read by the gateway")),
    field("input", Plain, Carried("text")),
    field("instructions", Plain, Carried("how it is said")),
    field("model", Plain, Carried("the upstream's name of the model")),
    field("models", Gateway, Dropped("read by the gateway")),
    field("provider", Gateway, Dropped("read by the gateway")),
    field("providerOptions", Gateway, Dropped("read by the gateway")),
    field("response_format", Plain, Carried("format")),
    field("speed", Plain, Carried("speed")),
    field("stream_format", Plain, Carried("events are passed on, whole")),
    field("voice", Plain, Carried("voice")),
];

pub(super) const CLIENT: Client<SpeechCall, SpeechAnswer> =
    Client { source: Source::Json { fields: FIELDS, decode }, encode: encode_answer, finish: Some(finish) };

pub(super) const PROVIDER: Provider<SpeechCall, SpeechAnswer> = Provider {
    encode,
    pass: |call, asked, edits| {
        let mut body = pass_json(call, edits);
        if !asked.events && events::tell_usage(edits.model) {
            body.set("stream_format", "\"sse\"");
        }
        Ok(Payload::json(body.finish()))
    },
    weigh: |received| weigh(received).map(Some),
    decode: |received| {
        let Payload { bytes, content_type } = finish(received.call, received.payload)?;
        Ok(SpeechAnswer {
            usage: weigh(received)?,
            audio: Blob(bytes),
            content_type: content_type.into_owned(),
        })
    },
};

fn decode(fields: &mut Fields<'_>, call: &mut CallBody) -> Result<SpeechCall, RequestError> {
    let root = Path::Root;
    let input = fields.take("input").ok_or_else(|| RequestError::Missing { path: "input".to_owned() })?;
    let voice = fields.take("voice").ok_or_else(|| RequestError::Missing { path: "voice".to_owned() })?;
    if !matches!(voice.kind(), Kind::Text | Kind::Object) {
        return Err(wrong(root.key("voice"), "a name, or an object with an id"));
    }
    let speed = fields.take("speed").map(|speed| number(&speed, root.key("speed"))).transpose()?;
    let events = match fields.take("stream_format") {
        None => false,
        Some(format) => match text(&format, root.key("stream_format"))?.as_ref() {
            "sse" => true,
            "audio" => false,
            _ => return Err(wrong(root.key("stream_format"), "sse or audio")),
        },
    };
    let mut words = |key: &str| {
        let value = fields.take(key);
        value.map(|value| Ok::<_, RequestError>(text(&value, root.key(key))?.into_owned())).transpose()
    };
    let (format, instructions) = (words("response_format")?, words("instructions")?);
    let asked = SpeechCall {
        text: Content::new(text(&input, root.key("input"))?.into_owned()),
        voice: Some(Content::new(String::from_utf8_lossy(voice.raw()).into_owned())),
        format,
        speed,
        instructions: instructions.map(Content::new),
        events,
        ..SpeechCall::default()
    };
    size_up(&asked, call);
    Ok(asked)
}

/// A number, as it was written.
pub(super) fn number(value: &Value<'_>, path: Path<'_>) -> Result<String, RequestError> {
    if value.kind() != Kind::Number {
        return Err(wrong(path, "a number"));
    }
    Ok(String::from_utf8_lossy(value.raw()).into_owned())
}

/// The voice that is taken where the client named none, as the AI SDK's own provider does it.
const VOICE: &str = "\"alloy\"";

fn encode(call: &SpeechCall, edits: &Edits<'_>) -> Result<Payload, RequestError> {
    if call.language.is_some() {
        let why = "OpenAI's speech finds the language by itself";
        return Err(RequestError::Untranslatable { field: "language".to_owned(), why });
    }
    let mut json = Writer::new();
    let mut outcome = Ok(());
    json.object(|json| {
        json.key("model").text(edits.model);
        json.key("input").text(call.text.expose());
        json.key("voice").raw(call.voice.as_ref().map_or(VOICE, Content::expose));
        if let Some(format) = &call.format {
            json.key("response_format").text(format);
        }
        let named = ["openai", edits.provider];
        let options = [("instructions", "instructions"), ("speed", "speed")];
        let own = |member| !call.wishes.sets(&named, &options, member);
        if let Some(speed) = call.speed.as_ref().filter(|_| own("speed")) {
            json.key("speed").raw(speed);
        }
        if let Some(instructions) = call.instructions.as_ref().filter(|_| own("instructions")) {
            json.key("instructions").text(instructions.expose());
        }
        if events::tell_usage(edits.model) {
            json.key("stream_format").text("sse");
        }
        outcome = call.wishes.write(json, &named, &options);
    });
    outcome?;
    Ok(Payload::json(json.into_bytes()))
}

/// Characters are what was sent; models that bill tokens tell them only at the end of an event stream.
fn weigh(received: &Received<'_, SpeechCall>) -> Result<Usage, AnswerFault> {
    let payload = received.payload;
    if payload.content_type.starts_with("application/json") || payload.bytes.is_empty() {
        return Err(AnswerFault::Malformed("no audio"));
    }
    let mut usage = Usage { characters: characters(received.call), requests: 1, ..Usage::default() };
    if events::are_in(payload) {
        events::usage(payload, &mut usage);
    }
    Ok(usage)
}

/// The audio itself, where events were asked for in its place.
fn finish(call: &SpeechCall, payload: &Payload) -> Result<Payload, AnswerFault> {
    if call.events || !events::are_in(payload) {
        return Ok(payload.clone());
    }
    events::gather(payload, call.format.as_deref())
}

fn encode_answer(
    answer: &SpeechAnswer,
    _call: &SpeechCall,
    _facts: &AnswerFacts,
) -> Result<Payload, AnswerFault> {
    Ok(Payload { bytes: answer.audio.0.clone(), content_type: answer.content_type.clone().into() })
}
