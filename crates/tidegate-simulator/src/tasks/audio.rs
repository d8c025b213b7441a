//! Speech and transcripts: silence of a fitting length, and words that tell how long it was.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::form::{Part, parts};
use super::{Answered, Made, Received, object, word};
use crate::ask::{Invalid, only_known, ranged, text};
use crate::complete::{Counts, Units};
use crate::count::tokens;

const RATE: u32 = 8_000;
const LONGEST_TEXT: usize = 4_096;

pub(super) fn speech(received: &Received<'_>) -> Answered {
    let body = object(received.body)?;
    let known = ["model", "input", "voice", "response_format", "speed", "instructions", "stream_format"];
    only_known(&body, &known, "")?;
    let model = text(body.get("model"), "model")?;
    let input = text(body.get("input"), "input")?;
    let characters = input.chars().count();
    if characters == 0 || characters > LONGEST_TEXT {
        return Err(Invalid::new("'input' must have 1 to 4096 characters.", "input"));
    }
    let voices =
        ["alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse"];
    if word(body.get("voice"), &voices, "voice")?.is_none() {
        return Err(Invalid::new("Missing required parameter: 'voice'.", "voice"));
    }
    ranged(body.get("speed"), 0.25, 4.0, "speed")?;
    let format = word(body.get("response_format"), &["mp3", "wav", "pcm"], "response_format")?;
    // A tenth of a second for each character.
    let samples = characters * RATE as usize / 10;
    let (audio, content_type) = match format {
        Some("wav") => (wav(samples), "audio/wav"),
        Some("pcm") => (vec![0; samples * 2], "audio/pcm"),
        _ => (silent_frames(characters), "audio/mpeg"),
    };
    let in_tokens = model.starts_with("gpt-");
    let events = word(body.get("stream_format"), &["sse", "audio"], "stream_format")? == Some("sse");
    if events && !in_tokens {
        return Err(Invalid::new("stream_format 'sse' is not supported by this model.", "stream_format"));
    }
    let mut counts = Counts::default();
    if in_tokens {
        (counts.input, counts.output) = (tokens(input), characters as u64 * 2);
    } else {
        counts.units = Units { characters: characters as u64, ..Units::default() };
    }
    let (body, content_type) =
        if events { (as_events(&audio, counts), "text/event-stream") } else { (audio, content_type) };
    Ok(Made { model: model.to_owned(), last_text: input.to_owned(), body, content_type, counts, job: None })
}

/// Audio in two pieces, then its tokens.
fn as_events(audio: &[u8], counts: Counts) -> Vec<u8> {
    let (first, rest) = audio.split_at(audio.len() / 2);
    let mut out = String::new();
    for piece in [first, rest] {
        let event = json!({"type": "speech.audio.delta", "audio": STANDARD.encode(piece)});
        out.push_str(&format!("data: {event}\n\n"));
    }
    let usage = json!({"input_tokens": counts.input, "output_tokens": counts.output,
        "total_tokens": counts.input + counts.output});
    let event = json!({"type": "speech.audio.done", "usage": usage});
    out.push_str(&format!("data: {event}\n\n"));
    out.into_bytes()
}

/// Silence: 16 bits, one channel.
fn wav(samples: usize) -> Vec<u8> {
    let data = samples as u32 * 2;
    let mut out = Vec::with_capacity(44 + data as usize);
    out.extend_from_slice(b"RIFF");
    out.extend_from_slice(&(36 + data).to_le_bytes());
    out.extend_from_slice(b"WAVEfmt ");
    out.extend_from_slice(&16u32.to_le_bytes());
    for half in [1u16, 1] {
        out.extend_from_slice(&half.to_le_bytes());
    }
    out.extend_from_slice(&RATE.to_le_bytes());
    out.extend_from_slice(&(RATE * 2).to_le_bytes());
    for half in [2u16, 16] {
        out.extend_from_slice(&half.to_le_bytes());
    }
    out.extend_from_slice(b"data");
    out.extend_from_slice(&data.to_le_bytes());
    out.resize(44 + data as usize, 0);
    out
}

/// Frames of MPEG-1 layer III, 128 kbit/s, 44.1 kHz, that hold nothing.
fn silent_frames(frames: usize) -> Vec<u8> {
    let mut frame = vec![0xff, 0xfb, 0x90, 0x00];
    frame.resize(417, 0);
    frame.repeat(frames)
}

pub(super) fn transcription(received: &Received<'_>) -> Answered {
    let parts = parts(received.content_type, received.body)?;
    let known = [
        "file",
        "model",
        "language",
        "prompt",
        "response_format",
        "temperature",
        "timestamp_granularities[]",
        "include[]",
        "chunking_strategy",
    ];
    if let Some(unknown) = parts.iter().find(|part| !known.contains(&part.name.as_str())) {
        let message = format!("Unrecognized request argument supplied: {}", unknown.name);
        return Err(Invalid::new(message, unknown.name.clone()));
    }
    let file = parts.iter().find(|part| part.name == "file" && part.file_name.is_some());
    let file = file.ok_or_else(|| Invalid::new("'file' is required.", "file"))?;
    let of = |name: &str| parts.iter().find(|part| part.name == name).map(Part::text);
    let model = of("model").filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| Invalid::new("you must provide a model parameter", "model"))?;
    let format = of("response_format").unwrap_or_else(|| "json".to_owned());
    let in_tokens = model.starts_with("gpt-4o");
    let formats: &[&str] =
        if in_tokens { &["json", "text"] } else { &["json", "text", "srt", "verbose_json", "vtt"] };
    if !formats.contains(&format.as_str()) {
        return Err(Invalid::new(format!("response_format '{format}' is not compatible"), "response_format"));
    }
    let seconds = seconds(file.body);
    let said = format!("Silence of {seconds} seconds.");
    let mut counts = Counts::default();
    let usage = if in_tokens {
        (counts.input, counts.output) = (seconds * 10, tokens(&said));
        json!({"type": "tokens", "input_tokens": counts.input, "output_tokens": counts.output,
            "total_tokens": counts.input + counts.output,
            "input_token_details": {"audio_tokens": counts.input, "text_tokens": 0}})
    } else {
        counts.units = Units { audio_seconds: seconds, ..Units::default() };
        json!({"type": "duration", "seconds": seconds})
    };
    let (body, content_type) = written(&format, &said, seconds, &usage);
    Ok(Made { model, last_text: said, body, content_type, counts, job: None })
}

fn written(format: &str, said: &str, seconds: u64, usage: &Value) -> (Vec<u8>, &'static str) {
    let clock =
        |mark: char| format!("{:02}:{:02}:{:02}{mark}000", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let answer = match format {
        "text" => return (format!("{said}\n").into_bytes(), "text/plain; charset=utf-8"),
        "srt" => {
            let text = format!("1\n00:00:00,000 --> {}\n{said}\n\n", clock(','));
            return (text.into_bytes(), "text/plain; charset=utf-8");
        }
        "vtt" => {
            let text = format!("WEBVTT\n\n00:00:00.000 --> {}\n{said}\n\n", clock('.'));
            return (text.into_bytes(), "text/vtt; charset=utf-8");
        }
        "verbose_json" => {
            json!({"task": "transcribe", "language": "english", "duration": seconds, "text": said,
            "segments": [{"id": 0, "seek": 0, "start": 0.0, "end": seconds, "text": said, "tokens": [],
                "temperature": 0.0, "avg_logprob": 0.0, "compression_ratio": 1.0, "no_speech_prob": 1.0}],
            "usage": usage})
        }
        _ => json!({"text": said, "usage": usage}),
    };
    (answer.to_string().into_bytes(), "application/json")
}

/// Begun seconds: exact for WAV, by the common rate of compressed speech for others.
fn seconds(file: &[u8]) -> u64 {
    let rate = (file.get(8..12) == Some(b"WAVE"))
        .then(|| file.get(28..32)?.try_into().ok().map(u32::from_le_bytes))
        .flatten()
        .filter(|rate| *rate > 0);
    let (bytes, rate) = match rate {
        Some(rate) => (file.len().saturating_sub(44) as u64, u64::from(rate)),
        None => (file.len() as u64, 16_000),
    };
    bytes.div_ceil(rate).max(1)
}
