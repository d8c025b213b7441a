//! The AI SDK's transcription models (specifications v2, v3, v4). Source: `@ai-sdk/gateway` and requests
//! that it sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{TranscriptionAnswer, TranscriptionCall, seconds, size_up};
use crate::answer::AnswerFacts;
use crate::json::Writer;
use crate::read::{CallBody, Fields, Path, text, wrong};
use crate::registry::Carriage::{Carried, Dropped};
use crate::registry::Effect::{Gateway, Plain};
use crate::registry::{Field, field};
use crate::task::{Blob, Client, Payload, Source, Wishes, ai_sdk};
use crate::{AnswerFault, RequestError};

const FIELDS: &[Field] = &[
    field("audio", Plain, Carried("file")),
    field("headers", Gateway, Dropped("the caller's headers again; never sent on")),
    field("mediaType", Plain, Carried("the file's kind")),
    field("providerOptions", Plain, Carried("those of the provider asked")),
];

pub(super) const CLIENT: Client<TranscriptionCall, TranscriptionAnswer> =
    Client { source: Source::Json { fields: FIELDS, decode }, encode, finish: None };

fn decode(fields: &mut Fields<'_>, call: &mut CallBody) -> Result<TranscriptionCall, RequestError> {
    let root = Path::Root;
    let mut words = |key: &str| {
        let value = fields.take(key).ok_or_else(|| RequestError::Missing { path: key.to_owned() })?;
        Ok::<_, RequestError>(text(&value, root.key(key))?.into_owned())
    };
    let (audio, media_type) = (words("audio")?, words("mediaType")?);
    let audio = STANDARD.decode(audio.as_bytes()).map_err(|_| wrong(root.key("audio"), "base64"))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/.+-".contains(&byte);
    if !media_type.bytes().all(plain) {
        return Err(wrong(root.key("mediaType"), "a media type"));
    }
    let wishes = Wishes::read(fields)?;
    let prompt = wishes.get(&["openai"], "prompt").map_or(0, str::len) as u64;
    let asked = TranscriptionCall {
        seconds: seconds(&audio),
        audio: Blob(audio.into()),
        media_type,
        wishes,
        ..TranscriptionCall::default()
    };
    size_up(&asked, prompt, call);
    Ok(asked)
}

/// Names of languages, as OpenAI writes them, and their codes, as the AI SDK hands them out.
const LANGUAGES: [(&str, &str); 24] = [
    ("arabic", "ar"),
    ("chinese", "zh"),
    ("czech", "cs"),
    ("danish", "da"),
    ("dutch", "nl"),
    ("english", "en"),
    ("finnish", "fi"),
    ("french", "fr"),
    ("german", "de"),
    ("greek", "el"),
    ("hebrew", "he"),
    ("hindi", "hi"),
    ("hungarian", "hu"),
    ("indonesian", "id"),
    ("italian", "it"),
    ("japanese", "ja"),
    ("korean", "ko"),
    ("norwegian", "no"),
    ("polish", "pl"),
    ("portuguese", "pt"),
    ("russian", "ru"),
    ("spanish", "es"),
    ("swedish", "sv"),
    ("turkish", "tr"),
];

fn encode(
    answer: &TranscriptionAnswer,
    _call: &TranscriptionCall,
    facts: &AnswerFacts,
) -> Result<Payload, AnswerFault> {
    let mut json = Writer::new();
    json.object(|json| {
        json.key("text").text(answer.text.expose());
        json.key("segments").array(|json| {
            for segment in &answer.segments {
                json.object(|json| {
                    json.key("text").text(segment.text.expose());
                    json.key("startSecond").raw(&segment.start);
                    json.key("endSecond").raw(&segment.end);
                });
            }
        });
        if let Some(language) = &answer.language {
            let code = LANGUAGES.iter().find(|(name, _)| name == language).map(|(_, code)| *code);
            json.key("language").text(code.unwrap_or(language));
        }
        if let Some(duration) = &answer.duration {
            json.key("durationInSeconds").raw(duration);
        }
        ai_sdk::close(json, facts, answer.usage.as_ref());
    });
    Ok(Payload::json(json.into_bytes()))
}
