//! Videos as OpenAI's `/videos` has them, which many compatible services speak, and as xAI's
//! `/videos/generations`. Sources: their API references, read November 2026.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::job::{Clip, State};
use super::{DEFAULT_SECONDS, Picture, VideoAnswer, VideoCall, accepted};
use crate::json::{Value, Writer};
use crate::outbound::Edits;
use crate::task::{Form, Payload, Provider, Received};
use crate::{AnswerFault, Content, RequestError};

pub(super) const PROVIDER: Provider<VideoCall, VideoAnswer> = Provider {
    encode,
    pass: |_, call, edits| encode(call, edits),
    weigh: |received| decode(received).map(|answer| Some(answer.usage)),
    decode,
};

/// Seconds of OpenAI's videos whose request does not say.
const OPENAI_SECONDS: u64 = 4;

fn refuse<T>(field: &str, why: &'static str) -> Result<T, RequestError> {
    Err(RequestError::Untranslatable { field: field.to_owned(), why })
}

fn encode(call: &VideoCall, edits: &Edits<'_>) -> Result<Payload, RequestError> {
    let why = "this provider's videos have no counterpart";
    let unknown = [
        ("seed", call.seed.is_some()),
        ("generateAudio", call.audio.is_some()),
        ("frameImages", call.last.is_some()),
    ];
    if let Some((field, _)) = unknown.iter().find(|(_, there)| *there) {
        return refuse(field, why);
    }
    if call.n != 1 {
        return refuse("n", "this provider makes one video for a request");
    }
    if edits.provider == "xai" { xai(call, edits) } else { openai(call, edits) }
}

/// A form: some services take nothing else.
fn openai(call: &VideoCall, edits: &Edits<'_>) -> Result<Payload, RequestError> {
    if call.aspect_ratio.is_some() {
        return refuse("aspectRatio", "OpenAI's videos have a resolution");
    }
    if !call.references.is_empty() {
        return refuse("inputReferences", "OpenAI's videos take one picture, as `image`");
    }
    let file = match &call.first {
        None => None,
        Some(Picture::At(_)) => return refuse("image", "OpenAI takes the picture itself"),
        Some(Picture::Here { media_type, base64 }) => {
            let Ok(bytes) = STANDARD.decode(base64.expose()) else {
                return Err(RequestError::Wrong { path: "image.data".to_owned(), expected: "base64" });
            };
            Some((media_type, bytes::Bytes::from(bytes)))
        }
    };
    let mut form = Form::around(file.as_ref().map_or(&[], |(_, bytes)| bytes));
    form.set("model", edits.model);
    form.set("prompt", call.prompt.expose());
    form.set("seconds", &call.duration.unwrap_or(OPENAI_SECONDS).to_string());
    if let Some(size) = &call.resolution {
        form.set("size", size);
    }
    if let Some((media_type, bytes)) = file {
        let ending = media_type.rsplit('/').next().unwrap_or("png");
        form.file("input_reference", &format!("image.{ending}"), media_type, bytes);
    }
    call.wishes.fill(&mut form, &["openai", edits.provider], &[("size", "size")])?;
    Ok(form.write())
}

fn xai(call: &VideoCall, edits: &Edits<'_>) -> Result<Payload, RequestError> {
    let mut json = Writer::new();
    let mut outcome = Ok(());
    let names = [("resolution", "resolution"), ("user", "user")];
    let resolution = match call.resolution.as_deref() {
        None => None,
        Some("1280x720" | "720x1280") => Some("720p"),
        Some("854x480" | "480x854" | "640x480") => Some("480p"),
        Some(_) => return refuse("resolution", "xAI knows 1280x720 and 854x480"),
    };
    let named = ["xai", edits.provider];
    json.object(|json| {
        json.key("model").text(edits.model);
        json.key("prompt").text(call.prompt.expose());
        json.key("duration").whole(call.duration.unwrap_or(DEFAULT_SECONDS));
        if let Some(ratio) = &call.aspect_ratio {
            json.key("aspect_ratio").text(ratio);
        }
        if let Some(resolution) = resolution.filter(|_| !call.wishes.sets(&named, &names, "resolution")) {
            json.key("resolution").text(resolution);
        }
        if let Some(picture) = &call.first {
            json.key("image").object(|json| json.key("url").text(&picture.url()).done());
        }
        if !call.references.is_empty() {
            json.key("reference_images").array(|json| {
                for reference in &call.references {
                    json.object(|json| json.key("url").text(&reference.url()).done());
                }
            });
        }
        let elsewhere = ["pollIntervalMs", "pollTimeoutMs"];
        outcome = call.wishes.write_but(json, &named, &names, &elsewhere);
    });
    outcome?;
    Ok(Payload::json(json.into_bytes()))
}

/// xAI gives a `request_id`, OpenAI a video with its `id`.
fn decode(received: &Received<'_, VideoCall>) -> Result<VideoAnswer, AnswerFault> {
    let root = Value::parse(&received.payload.bytes).map_err(|_| AnswerFault::Malformed("not JSON"))?;
    let text = |key| root.get(key).and_then(|value| value.text());
    let asked = received.call.duration;
    if let Some(id) = text("request_id") {
        return accepted(&id, asked.unwrap_or(DEFAULT_SECONDS));
    }
    let id = text("id").ok_or(AnswerFault::Malformed("no id"))?;
    let told = root.get("seconds");
    let told = told.and_then(|value| value.whole().or_else(|| value.text()?.parse().ok()));
    accepted(&id, told.or(asked).unwrap_or(OPENAI_SECONDS))
}

/// What a job has become.
pub(super) fn state(root: &Value<'_>, job: &str) -> Result<State, AnswerFault> {
    let status = root.get("status").and_then(|status| status.text());
    let video = root.get("video");
    let url = video.and_then(|video| video.get("url")?.text());
    let said = || {
        let message = root.get("error").and_then(|error| error.get("message")?.text());
        Content::new(message.map_or_else(|| "no video was made".to_owned(), std::borrow::Cow::into_owned))
    };
    let media_type = "video/mp4".to_owned();
    match status.as_deref() {
        Some("failed" | "expired" | "cancelled") => Ok(State::Failed(said())),
        Some("completed" | "done") | None => {
            let kept_back = video.and_then(|video| video.get("respect_moderation")?.bool()) == Some(false);
            match url {
                _ if kept_back => Ok(State::Failed("the provider's own rules kept the video back".into())),
                Some(url) => {
                    let url = Content::new(url.into_owned());
                    Ok(State::Done(vec![Clip::At { media_type, url }]))
                }
                None if status.as_deref() == Some("completed") => {
                    let place = format!("/videos/{job}/content");
                    Ok(State::Done(vec![Clip::Behind { media_type, place }]))
                }
                None => Err(AnswerFault::Malformed("no video")),
            }
        }
        Some(_) => Ok(State::Pending),
    }
}
