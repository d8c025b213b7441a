//! Veo's long-running predictions, at AI Studio and Vertex AI. Sources: the API references of both,
//! read November 2026.

use super::job::{Clip, State};
use super::{DEFAULT_SECONDS, Picture, VideoAnswer, VideoCall, accepted};
use crate::json::{Value, Writer};
use crate::outbound::Edits;
use crate::task::{Payload, Provider, Received};
use crate::{AnswerFault, Content, RequestError};

pub(super) const PROVIDER: Provider<VideoCall, VideoAnswer> = Provider {
    encode,
    pass: |_, call, edits| encode(call, edits),
    weigh: |received| decode(received).map(|answer| Some(answer.usage)),
    decode,
};

/// Most videos of one request.
const MOST: u64 = 4;

fn encode(call: &VideoCall, edits: &Edits<'_>) -> Result<Payload, RequestError> {
    let refuse = |field: &str, why| Err(RequestError::Untranslatable { field: field.to_owned(), why });
    if call.n > MOST {
        return refuse("n", "Veo makes at most four videos for a request");
    }
    if call.audio.is_some() && !edits.vertex {
        return refuse("generateAudio", "Veo at AI Studio decides itself; at Vertex AI it can be told");
    }
    let pictures = [("image", call.first.as_ref()), ("frameImages", call.last.as_ref())];
    let references = call.references.iter().map(|reference| ("inputReferences", Some(reference)));
    for (field, picture) in pictures.into_iter().chain(references) {
        if matches!(picture, Some(Picture::At(_))) {
            return refuse(field, "Veo takes pictures themselves, not where they are");
        }
    }
    let mut json = Writer::new();
    let mut outcome = Ok(());
    json.object(|json| {
        json.key("instances").array(|json| {
            json.object(|json| instance(json, call));
        });
        json.key("parameters").object(|json| {
            json.key("sampleCount").whole(call.n);
            json.key("durationSeconds").whole(call.duration.unwrap_or(DEFAULT_SECONDS));
            if let Some(ratio) = &call.aspect_ratio {
                json.key("aspectRatio").text(ratio);
            }
            if let Some(resolution) = &call.resolution {
                json.key("resolution").text(resolution_name(resolution));
            }
            if let Some(seed) = call.seed {
                json.key("seed").whole(seed);
            }
            if let Some(audio) = call.audio {
                json.key("generateAudio").bool(audio);
            }
            let options = [
                ("negativePrompt", "negativePrompt"),
                ("personGeneration", "personGeneration"),
                ("enhancePrompt", "enhancePrompt"),
            ];
            let named = ["google", "vertex", "googleVertex", edits.provider];
            // How often and how long somebody would ask: that is the caller's own matter here.
            let elsewhere = ["pollIntervalMs", "pollTimeoutMs"];
            outcome = call.wishes.write_but(json, &named, &options, &elsewhere);
        });
    });
    outcome?;
    Ok(Payload::json(json.into_bytes()))
}

fn instance(json: &mut Writer, call: &VideoCall) {
    if !call.prompt.is_empty() {
        json.key("prompt").text(call.prompt.expose());
    }
    for (key, picture) in [("image", &call.first), ("lastFrame", &call.last)] {
        if let Some(picture) = picture {
            image(json.key(key), picture);
        }
    }
    if !call.references.is_empty() {
        json.key("referenceImages").array(|json| {
            for reference in &call.references {
                json.object(|json| {
                    image(json.key("image"), reference);
                    json.key("referenceType").text("asset");
                });
            }
        });
    }
}

fn image(json: &mut Writer, picture: &Picture) {
    let Picture::Here { media_type, base64 } = picture else { return };
    json.object(|json| {
        json.key("bytesBase64Encoded").text(base64.expose());
        json.key("mimeType").text(media_type);
    });
}

fn resolution_name(resolution: &str) -> &str {
    match resolution {
        "1280x720" | "720x1280" => "720p",
        "1920x1080" | "1080x1920" => "1080p",
        "3840x2160" | "2160x3840" => "4k",
        other => other,
    }
}

fn decode(received: &Received<'_, VideoCall>) -> Result<VideoAnswer, AnswerFault> {
    let root = Value::parse(&received.payload.bytes).map_err(|_| AnswerFault::Malformed("not JSON"))?;
    let name = root.get("name").and_then(|name| name.text()).ok_or(AnswerFault::Malformed("no name"))?;
    let call = received.call;
    accepted(&name, call.n.saturating_mul(call.duration.unwrap_or(DEFAULT_SECONDS)))
}

/// What an operation has become.
pub(super) fn state(root: &Value<'_>) -> Result<State, AnswerFault> {
    if root.get("done").and_then(|done| done.bool()) != Some(true) {
        return Ok(State::Pending);
    }
    if let Some(error) = root.get("error") {
        let said = error.get("message").and_then(|message| message.text());
        return Ok(State::Failed(Content::new(said.unwrap_or_default().into_owned())));
    }
    let response = root.get("response").ok_or(AnswerFault::Malformed("no response"))?;
    // AI Studio tells where the videos are, Vertex AI gives them.
    let (inner, list) = match response.get("generateVideoResponse") {
        Some(inner) => (inner, inner.get("generatedSamples")),
        None => (response, response.get("videos")),
    };
    let mut clips = Vec::new();
    for item in list.into_iter().flat_map(|list| list.elements()) {
        let video = item.get("video").unwrap_or(item);
        let text = |key| Some(Content::new(video.get(key)?.text()?.into_owned()));
        let media_type = video.get("mimeType").and_then(|kind| kind.text().map(|kind| kind.into_owned()));
        let media_type = media_type.unwrap_or_else(|| "video/mp4".to_owned());
        match (text("bytesBase64Encoded"), text("uri")) {
            (Some(base64), _) => clips.push(Clip::Here { media_type, base64 }),
            (None, Some(url)) => clips.push(Clip::Behind { media_type, place: url.expose().to_owned() }),
            (None, None) => return Err(AnswerFault::Untranslatable("a video in the caller's own store")),
        }
    }
    if clips.is_empty() {
        let reasons = inner.get("raiMediaFilteredReasons");
        let said = reasons.and_then(|list| list.elements().next()?.text().map(|said| said.into_owned()));
        return Ok(State::Failed(Content::new(said.unwrap_or_else(|| "no video was made".to_owned()))));
    }
    Ok(State::Done(clips))
}
