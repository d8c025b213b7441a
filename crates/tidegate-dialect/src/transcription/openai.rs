//! OpenAI's transcripts and its followers': a form with a file. Source: its API reference, read November 2026.

use tidegate_types::usage::Usage;

use super::{Format, Segment, TranscriptionAnswer, TranscriptionCall, seconds, size_up, subtitles};
use crate::answer::AnswerFacts;
use crate::json::{Kind, Value, Writer};
use crate::outbound::Edits;
use crate::read::{CallBody, Finding, FindingKind, named};
use crate::task::{Blob, Client, Form, Incoming, Payload, Provider, Received, Source};
use crate::{AnswerFault, Content, RequestError};

/// Parts that are known.
const KNOWN: [&str; 12] = [
    "chunking_strategy",
    "file",
    "include[]",
    "known_speaker_names[]",
    "known_speaker_references[]",
    "language",
    "model",
    "prompt",
    "response_format",
    "stream",
    "temperature",
    "timestamp_granularities[]",
];

pub(super) const CLIENT: Client<TranscriptionCall, TranscriptionAnswer> =
    Client { source: Source::Form { decode }, encode: encode_answer, finish: Some(finish) };

pub(super) const PROVIDER: Provider<TranscriptionCall, TranscriptionAnswer> = Provider {
    encode,
    pass: |_, call, edits| encode(call, edits),
    weigh: |received| decode_answer(received.payload, received.call.seconds).map(|answer| answer.usage),
    decode: |received: &Received<'_, TranscriptionCall>| {
        decode_answer(received.payload, received.call.seconds)
    },
};

fn decode(incoming: &Incoming<'_>, call: &mut CallBody) -> Result<TranscriptionCall, RequestError> {
    let form = Form::read(incoming.content_type, &incoming.body)?;
    let missing = |path: &str| RequestError::Missing { path: path.to_owned() };
    let file = form.only("file")?.filter(|part| part.file_name.is_some()).ok_or_else(|| missing("file"))?;
    call.model = match incoming.outside.model {
        Some(model) => named(model)?,
        None => named(form.text("model")?.ok_or_else(|| missing("model"))?)?,
    };
    if form.text("stream")?.is_some_and(|stream| stream != "false") {
        return Err(wrong("stream", "false: transcripts are answered whole"));
    }
    let format = match form.text("response_format")? {
        None => Format::Json,
        Some(text) => {
            let found = Format::ALL.iter().find(|(name, _)| *name == text);
            let expected = "json, text, srt, verbose_json, vtt or diarized_json";
            found.ok_or_else(|| wrong("response_format", expected))?.1
        }
    };
    for part in form.parts.iter().filter(|part| !KNOWN.contains(&part.name.as_str())).take(64) {
        let path = part.name.chars().take(64).collect();
        call.findings.push(Finding { path, kind: FindingKind::Unregistered });
    }
    let prompt = form.text("prompt")?.map_or(0, str::len) as u64;
    let asked = TranscriptionCall {
        audio: Blob(file.body.clone()),
        seconds: seconds(&file.body),
        format,
        form: Some(form),
        ..TranscriptionCall::default()
    };
    size_up(&asked, prompt, call);
    Ok(asked)
}

fn wrong(path: &str, expected: &'static str) -> RequestError {
    RequestError::Wrong { path: path.to_owned(), expected }
}

/// Models that give no pieces with times.
fn gives_text_only(model: &str) -> bool {
    model.starts_with("gpt-4o")
}

fn encode(call: &TranscriptionCall, edits: &Edits<'_>) -> Result<Payload, RequestError> {
    if let Some(form) = &call.form {
        let mut form = form.clone();
        form.set("model", edits.model);
        form.set("response_format", call.format.asked());
        return Ok(form.write());
    }
    let mut form = Form::around(&call.audio.0);
    let ending = match call.media_type.as_str() {
        "audio/mpeg" | "audio/mp3" => "mp3",
        "audio/mp4" | "audio/m4a" | "audio/x-m4a" => "m4a",
        "audio/ogg" | "audio/opus" => "ogg",
        "audio/webm" | "video/webm" => "webm",
        "audio/flac" | "audio/x-flac" => "flac",
        "audio/wav" | "audio/x-wav" | "audio/wave" => "wav",
        _ => {
            let why = "OpenAI reads flac, m4a, mp3, ogg, wav and webm";
            return Err(RequestError::Untranslatable { field: "mediaType".to_owned(), why });
        }
    };
    form.file("file", &format!("audio.{ending}"), &call.media_type, call.audio.0.clone());
    form.set("model", edits.model);
    let pieces = !gives_text_only(edits.model);
    form.set("response_format", if pieces { "verbose_json" } else { "json" });
    call.wishes.fill(
        &mut form,
        &["openai", edits.provider],
        &[("language", "language"), ("prompt", "prompt"), ("temperature", "temperature")],
    )?;
    Ok(form.write())
}

/// Whole seconds of a number of seconds, begun ones included.
fn begun(seconds: f64) -> Option<u64> {
    (0.0..1e9).contains(&seconds).then(|| seconds.ceil() as u64)
}

fn decode_answer(payload: &Payload, known: Option<u64>) -> Result<TranscriptionAnswer, AnswerFault> {
    let root = Value::parse(&payload.bytes).map_err(|_| AnswerFault::Malformed("not JSON"))?;
    let text = root.get("text").and_then(|text| text.text()).ok_or(AnswerFault::Malformed("no text"))?;
    let raw = |value: Value<'_>| String::from_utf8_lossy(value.raw()).into_owned();
    let mut segments = Vec::new();
    for item in root.get("segments").into_iter().flat_map(|list| list.elements()) {
        let (start, end) = (number(&item, "start"), number(&item, "end"));
        let text = item.get("text").and_then(|text| text.text().map(|text| text.into_owned()));
        let (Some(start), Some(end), Some(text)) = (start, end, text) else {
            return Err(AnswerFault::Malformed("a segment without text or time"));
        };
        segments.push(Segment { text: Content::new(text), start: raw(start), end: raw(end) });
    }
    let duration = number(&root, "duration");
    let told = root.get("usage").filter(|usage| usage.kind() == Kind::Object);
    Ok(TranscriptionAnswer {
        usage: usage(told, duration.and_then(|duration| duration.number()), known),
        text: Content::new(text.into_owned()),
        segments,
        language: root.get("language").and_then(|text| text.text()).map(|text| text.into_owned()),
        duration: duration.map(raw),
    })
}

fn number<'a>(value: &Value<'a>, key: &str) -> Option<Value<'a>> {
    value.get(key).filter(|value| value.kind() == Kind::Number)
}

/// Tokens or seconds as the provider tells them, else the seconds of the transcript, else of the file.
fn usage(told: Option<Value<'_>>, duration: Option<f64>, known: Option<u64>) -> Option<Usage> {
    let mut usage = Usage { requests: 1, ..Usage::default() };
    if let Some(told) = told {
        let count = |value: &Value<'_>, key| value.get(key).and_then(|count| count.whole());
        if let (Some(input), Some(output)) = (count(&told, "input_tokens"), count(&told, "output_tokens")) {
            let details = told.get("input_token_details");
            let audio = details.and_then(|details| count(&details, "audio_tokens")).unwrap_or(0);
            (usage.input_tokens, usage.output_tokens) = (input, output);
            usage.audio_input_tokens = audio.min(input);
            return Some(usage);
        }
        if let Some(seconds) = told.get("seconds").and_then(|seconds| begun(seconds.number()?)) {
            return Some(Usage { audio_seconds: seconds, ..usage });
        }
    }
    let seconds = duration.and_then(begun).or(known)?;
    Some(Usage { audio_seconds: seconds, ..usage })
}

/// What the client asked for, of the JSON that the provider was asked for in its place.
fn finish(call: &TranscriptionCall, payload: &Payload) -> Result<Payload, AnswerFault> {
    match call.format {
        Format::Json | Format::VerboseJson | Format::DiarizedJson => Ok(payload.clone()),
        Format::Text | Format::Srt | Format::Vtt => {
            let answer = decode_answer(payload, None)?;
            plain(&answer, call.format)
        }
    }
}

fn plain(answer: &TranscriptionAnswer, format: Format) -> Result<Payload, AnswerFault> {
    let timed = matches!(format, Format::Srt | Format::Vtt);
    if timed && answer.segments.is_empty() && !answer.text.expose().trim().is_empty() {
        return Err(AnswerFault::Untranslatable("a transcript without times makes no subtitles"));
    }
    let (text, content_type) = match format {
        Format::Srt => (subtitles::srt(answer), "text/plain; charset=utf-8"),
        Format::Vtt => (subtitles::vtt(answer), "text/vtt; charset=utf-8"),
        _ => ([answer.text.expose(), "\n"].concat(), "text/plain; charset=utf-8"),
    };
    Ok(Payload { bytes: text.into(), content_type: content_type.into() })
}

fn encode_answer(
    answer: &TranscriptionAnswer,
    call: &TranscriptionCall,
    _facts: &AnswerFacts,
) -> Result<Payload, AnswerFault> {
    if matches!(call.format, Format::Text | Format::Srt | Format::Vtt) {
        return plain(answer, call.format);
    }
    let mut json = Writer::new();
    json.object(|json| json.key("text").text(answer.text.expose()).done());
    Ok(Payload::json(json.into_bytes()))
}
