//! The AI SDK's speech models (specifications v2, v3, v4). Source: `@ai-sdk/gateway` and requests that it sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{SpeechAnswer, SpeechCall, openai, size_up};
use crate::answer::AnswerFacts;
use crate::json::Writer;
use crate::read::{CallBody, Fields, Path, text};
use crate::registry::Carriage::{Carried, Dropped};
use crate::registry::Effect::{Gateway, Plain};
use crate::registry::{Field, field};
use crate::task::{Client, Payload, Source, Wishes, ai_sdk};
use crate::{AnswerFault, Content, RequestError};

const FIELDS: &[Field] = &[
    field("headers", Gateway, Dropped("the caller's headers again; never sent on")),
    field("instructions", Plain, Carried("how it is said")),
    field("language", Plain, Carried("refused by OpenAI's family")),
    field("outputFormat", Plain, Carried("format")),
    field("providerOptions", Plain, Carried("those of the provider asked")),
    field("speed", Plain, Carried("speed")),
    field("text", Plain, Carried("text")),
    field("voice", Plain, Carried("voice; alloy where none is named")),
];

pub(super) const CLIENT: Client<SpeechCall, SpeechAnswer> =
    Client { source: Source::Json { fields: FIELDS, decode }, encode, finish: None };

fn decode(fields: &mut Fields<'_>, call: &mut CallBody) -> Result<SpeechCall, RequestError> {
    let root = Path::Root;
    let spoken = fields.take("text").ok_or_else(|| RequestError::Missing { path: "text".to_owned() })?;
    let speed = fields.take("speed").map(|speed| openai::number(&speed, root.key("speed"))).transpose()?;
    let voice = fields.take("voice");
    let voice = voice.map(|voice| {
        text(&voice, root.key("voice"))?;
        Ok::<_, RequestError>(Content::new(String::from_utf8_lossy(voice.raw()).into_owned()))
    });
    let mut words = |key: &str| {
        let value = fields.take(key);
        value.map(|value| Ok::<_, RequestError>(text(&value, root.key(key))?.into_owned())).transpose()
    };
    let (format, instructions, language) =
        (words("outputFormat")?, words("instructions")?, words("language")?);
    let asked = SpeechCall {
        text: Content::new(text(&spoken, root.key("text"))?.into_owned()),
        voice: voice.transpose()?,
        format,
        speed,
        instructions: instructions.map(Content::new),
        language,
        events: false,
        wishes: Wishes::read(fields)?,
    };
    size_up(&asked, call);
    Ok(asked)
}

fn encode(answer: &SpeechAnswer, _call: &SpeechCall, facts: &AnswerFacts) -> Result<Payload, AnswerFault> {
    let mut json = Writer::new();
    json.object(|json| {
        json.key("audio").text(&STANDARD.encode(&answer.audio.0));
        ai_sdk::close(json, facts, Some(&answer.usage));
    });
    Ok(Payload::json(json.into_bytes()))
}
