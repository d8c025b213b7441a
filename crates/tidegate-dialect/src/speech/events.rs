//! OpenAI's speech as an event stream: the only form in which models that bill tokens tell how many.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidegate_types::usage::Usage;

use crate::AnswerFault;
use crate::json::Value;
use crate::sse::Reader;
use crate::task::Payload;

/// Models that bill tokens, and so are asked for events. The older ones bill characters and have none.
pub(super) fn tell_usage(model: &str) -> bool {
    model.starts_with("gpt-")
}

/// Whether an answer is an event stream.
pub(super) fn are_in(payload: &Payload) -> bool {
    payload.content_type.starts_with("text/event-stream")
}

/// Hands each event's JSON to `each`.
fn walk(payload: &Payload, mut each: impl FnMut(&Value<'_>)) {
    let ready = Reader::default().feed(&payload.bytes);
    for event in ready.events() {
        if let Ok(root) = Value::parse(&event.data()) {
            each(&root);
        }
    }
}

/// Takes the tokens that the last event tells.
pub(super) fn usage(payload: &Payload, usage: &mut Usage) {
    walk(payload, |event| {
        let Some(told) = event.get("usage") else { return };
        let count = |key| told.get(key).and_then(|count| count.whole()).unwrap_or(0);
        usage.input_tokens = count("input_tokens");
        usage.output_tokens = count("output_tokens");
        usage.audio_output_tokens = usage.output_tokens;
    });
}

/// The audio in one piece.
pub(super) fn gather(payload: &Payload, format: Option<&str>) -> Result<Payload, AnswerFault> {
    let (mut audio, mut sound, mut done) = (Vec::new(), true, false);
    walk(payload, |event| {
        let kind = event.get("type").and_then(|kind| kind.text());
        match kind.as_deref() {
            Some("speech.audio.delta") => {
                let piece = event.get("audio").and_then(|piece| piece.text());
                let piece = piece.and_then(|piece| STANDARD.decode(piece.as_bytes()).ok());
                sound &= piece.is_some();
                audio.extend(piece.unwrap_or_default());
            }
            Some("speech.audio.done") => done = true,
            _ => {}
        }
    });
    if !sound || !done {
        return Err(AnswerFault::Malformed("audio that is cut off or no base64"));
    }
    let content_type = match format {
        None | Some("mp3") => "audio/mpeg",
        Some("opus") => "audio/opus",
        Some("aac") => "audio/aac",
        Some("flac") => "audio/flac",
        Some("wav") => "audio/wav",
        Some(_) => "audio/pcm",
    };
    Ok(Payload { bytes: audio.into(), content_type: content_type.into() })
}
