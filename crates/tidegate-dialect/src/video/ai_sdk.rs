//! The AI SDK's video models (specifications v3, v4). Source: `@ai-sdk/gateway` and requests that it sent.

use super::{LONGEST, Picture, VideoAnswer, VideoCall, size_up};
use crate::answer::AnswerFacts;
use crate::json::{Value, Writer};
use crate::read::{CallBody, Fields, Path, array, boolean, text, whole, wrong};
use crate::registry::Carriage::{Carried, Dropped, Refused};
use crate::registry::Effect::{Gateway, Plain};
use crate::registry::{Field, field};
use crate::task::{Client, Payload, Source, Wishes, ai_sdk};
use crate::{AnswerFault, Content, RequestError};

const FIELDS: &[Field] = &[
    field("aspectRatio", Plain, Carried("Veo and xAI; OpenAI's have a size")),
    field("callbackUrl", Plain, Refused("nobody is called back; ask for the status")),
    field("duration", Plain, Carried("seconds of each video")),
    field("fps", Plain, Refused("no provider of videos here takes a frame rate")),
    field("frameImages", Plain, Carried("the first frame; the last one at Veo only")),
    field("generateAudio", Plain, Carried("Vertex AI only")),
    field("headers", Gateway, Dropped("the caller's headers again; never sent on")),
    field("image", Plain, Carried("the first frame")),
    field("inputReferences", Plain, Carried("Veo and xAI")),
    field("n", Plain, Carried("more than one at Veo only")),
    field("prompt", Plain, Carried("prompt")),
    field("providerOptions", Plain, Carried("those of the provider asked")),
    field("resolution", Plain, Carried("in the words of the provider asked")),
    field("seed", Plain, Carried("Veo only")),
];

pub(super) const CLIENT: Client<VideoCall, VideoAnswer> =
    Client { source: Source::Json { fields: FIELDS, decode }, encode, finish: None };

fn decode(fields: &mut Fields<'_>, call: &mut CallBody) -> Result<VideoCall, RequestError> {
    let root = Path::Root;
    let mut words = |key: &str| {
        let value = fields.take(key);
        value.map(|value| Ok::<_, RequestError>(text(&value, root.key(key))?.into_owned())).transpose()
    };
    let (prompt, aspect_ratio, resolution) = (words("prompt")?, words("aspectRatio")?, words("resolution")?);
    let mut count = |key: &str| fields.take(key).map(|value| whole(&value, root.key(key))).transpose();
    let (n, duration, seed) = (count("n")?.unwrap_or(1), count("duration")?, count("seed")?);
    if !(1..=16).contains(&n) {
        return Err(wrong(root.key("n"), "from 1 to 16"));
    }
    if duration.is_some_and(|seconds| !(1..=LONGEST).contains(&seconds)) {
        return Err(wrong(root.key("duration"), "from 1 to 600 seconds"));
    }
    let audio = fields.take("generateAudio").map(|value| boolean(&value, root.key("generateAudio")));
    let mut asked = VideoCall {
        prompt: prompt.unwrap_or_default().into(),
        n,
        duration,
        aspect_ratio,
        resolution,
        seed,
        audio: audio.transpose()?,
        ..VideoCall::default()
    };
    if let Some(image) = fields.take("image") {
        asked.first = Some(picture(&image, root.key("image"))?);
    }
    if let Some(frames) = fields.take("frameImages") {
        array(&frames, root.key("frameImages"), |frame, path| read_frame(&mut asked, &frame, path))?;
    }
    if let Some(references) = fields.take("inputReferences") {
        array(&references, root.key("inputReferences"), |reference, path| {
            asked.references.push(picture(&reference, path)?);
            Ok(())
        })?;
    }
    if asked.prompt.is_empty() && asked.first.is_none() && asked.references.is_empty() {
        return Err(RequestError::Missing { path: "prompt".to_owned() });
    }
    asked.wishes = Wishes::read(fields)?;
    size_up(&asked, call);
    Ok(asked)
}

fn read_frame(asked: &mut VideoCall, frame: &Value<'_>, path: Path<'_>) -> Result<(), RequestError> {
    let mut members = Fields::read(frame, path)?;
    let kind = members.take("frameType").and_then(|kind| kind.text());
    let missing = || RequestError::Missing { path: path.key("image").to_string() };
    let found = picture(&members.take("image").ok_or_else(missing)?, path.key("image"))?;
    match kind.as_deref() {
        Some("first_frame") => asked.first = Some(found),
        Some("last_frame") => asked.last = Some(found),
        _ => return Err(wrong(path.key("frameType"), "first_frame or last_frame")),
    }
    Ok(())
}

/// `{type: file, mediaType, data}` or `{type: url, url}`.
fn picture(value: &Value<'_>, path: Path<'_>) -> Result<Picture, RequestError> {
    let mut members = Fields::read(value, path)?;
    let mut words = |key: &str| {
        let value =
            members.take(key).ok_or_else(|| RequestError::Missing { path: path.key(key).to_string() });
        Ok::<_, RequestError>(text(&value?, path.key(key))?.into_owned())
    };
    match words("type")?.as_str() {
        "url" => Ok(Picture::At(Content::new(words("url")?))),
        "file" => {
            let (media_type, base64) = (words("mediaType")?, Content::new(words("data")?));
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/+.-".contains(&byte);
            if media_type.len() > 64 || !media_type.bytes().all(plain) {
                return Err(wrong(path.key("mediaType"), "a media type such as image/png"));
            }
            Ok(Picture::Here { media_type, base64 })
        }
        _ => Err(wrong(path.key("type"), "file or url")),
    }
}

/// `{operation}`: the job under a name that only the gateway can have given.
fn encode(answer: &VideoAnswer, _: &VideoCall, facts: &AnswerFacts) -> Result<Payload, AnswerFault> {
    let seal = facts.seal.as_ref().ok_or(AnswerFault::Untranslatable("a job that cannot be named"))?;
    let mut json = Writer::new();
    json.object(|json| {
        json.key("operation").text(&seal.seal(&answer.job));
        ai_sdk::close(json, facts, Some(&answer.usage));
    });
    Ok(Payload::json(json.into_bytes()))
}
