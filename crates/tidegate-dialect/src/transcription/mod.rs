//! Transcripts: audio in, text out.

mod ai_sdk;
mod mpeg;
mod openai;
mod subtitles;
mod wav;

use tidegate_types::usage::Usage;

use crate::read::CallBody;
use crate::task::{Blob, Client, Form, Kind, Provider, Task, Wishes};
use crate::{Content, Dialect};

/// Audio to be written down.
#[derive(Debug, Default)]
pub(crate) struct TranscriptionCall {
    audio: Blob,
    media_type: String,
    /// What the client wants to get.
    format: Format,
    /// The client's own form, where it sent one.
    form: Option<Form>,
    /// Seconds, where the file tells them.
    seconds: Option<u64>,
    wishes: Wishes,
}

/// What a transcript is given as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Format {
    #[default]
    Json,
    VerboseJson,
    DiarizedJson,
    Text,
    Srt,
    Vtt,
}

impl Format {
    const ALL: [(&'static str, Self); 6] = [
        ("json", Self::Json),
        ("verbose_json", Self::VerboseJson),
        ("diarized_json", Self::DiarizedJson),
        ("text", Self::Text),
        ("srt", Self::Srt),
        ("vtt", Self::Vtt),
    ];

    /// What the provider is asked for: only JSON tells what is billed, so the rest is made of it.
    const fn asked(self) -> &'static str {
        match self {
            Self::Json | Self::Text => "json",
            Self::VerboseJson | Self::Srt | Self::Vtt => "verbose_json",
            Self::DiarizedJson => "diarized_json",
        }
    }
}

/// A transcript.
#[derive(Debug)]
pub(crate) struct TranscriptionAnswer {
    text: Content,
    segments: Vec<Segment>,
    language: Option<String>,
    /// Seconds, as they were written.
    duration: Option<String>,
    usage: Option<Usage>,
}

/// A piece of it, with its begin and end in seconds as they were written.
#[derive(Debug)]
struct Segment {
    text: Content,
    start: String,
    end: String,
}

/// The operation.
pub(crate) struct Transcription;

impl Kind for Transcription {
    type Call = TranscriptionCall;
    type Answer = TranscriptionAnswer;

    fn wrap(call: TranscriptionCall) -> Task {
        Task::Transcription(call)
    }

    fn client(dialect: Dialect) -> Option<&'static Client<TranscriptionCall, TranscriptionAnswer>> {
        match dialect {
            Dialect::OpenaiChat => Some(&openai::CLIENT),
            Dialect::AiSdk => Some(&ai_sdk::CLIENT),
            _ => None,
        }
    }

    fn provider(dialect: Dialect) -> Option<&'static Provider<TranscriptionCall, TranscriptionAnswer>> {
        match dialect {
            Dialect::OpenaiChat | Dialect::OpenaiResponses => Some(&openai::PROVIDER),
            _ => None,
        }
    }

    fn usage(answer: &TranscriptionAnswer) -> Option<Usage> {
        answer.usage
    }
}

/// No published rate of tokens for audio is above this.
const TOKENS_PER_SECOND: u64 = 50;

/// Seconds of a file whose kind tells them for certain.
fn seconds(file: &[u8]) -> Option<u64> {
    wav::seconds(file).or_else(|| mpeg::seconds(file))
}

/// Notes what a request costs at most. Of audio only WAV and MP3 tell their length for certain.
fn size_up(asked: &TranscriptionCall, prompt_bytes: u64, call: &mut CallBody) {
    call.input.text_bytes = prompt_bytes;
    call.input.messages = 1;
    call.input.most.audio_input_tokens = u64::MAX;
    match asked.seconds {
        Some(seconds) => {
            call.input.text_bytes += seconds.saturating_mul(TOKENS_PER_SECOND);
            call.input.most.audio_seconds = seconds;
        }
        None => call.input.unboundable = Some("file".to_owned()),
    }
}
