//! Speech: a text in, audio out.

mod ai_sdk;
mod events;
mod openai;

use tidegate_types::usage::Usage;

use crate::read::CallBody;
use crate::task::{Blob, Client, Kind, Provider, Task, Wishes};
use crate::{Content, Dialect};

/// A text to be spoken.
#[derive(Debug, Default)]
pub(crate) struct SpeechCall {
    text: Content,
    /// A name, or an object with an id, as it was written.
    voice: Option<Content>,
    format: Option<String>,
    /// A number, as it was written.
    speed: Option<String>,
    instructions: Option<Content>,
    language: Option<String>,
    /// The client itself wants an event stream.
    events: bool,
    wishes: Wishes,
}

/// Audio.
#[derive(Debug)]
pub(crate) struct SpeechAnswer {
    audio: Blob,
    content_type: String,
    usage: Usage,
}

/// The operation.
pub(crate) struct Speech;

impl Kind for Speech {
    type Call = SpeechCall;
    type Answer = SpeechAnswer;

    fn wrap(call: SpeechCall) -> Task {
        Task::Speech(call)
    }

    fn client(dialect: Dialect) -> Option<&'static Client<SpeechCall, SpeechAnswer>> {
        match dialect {
            Dialect::OpenaiChat => Some(&openai::CLIENT),
            Dialect::AiSdk => Some(&ai_sdk::CLIENT),
            _ => None,
        }
    }

    fn provider(dialect: Dialect) -> Option<&'static Provider<SpeechCall, SpeechAnswer>> {
        match dialect {
            Dialect::OpenaiChat | Dialect::OpenaiResponses => Some(&openai::PROVIDER),
            _ => None,
        }
    }

    fn usage(answer: &SpeechAnswer) -> Option<Usage> {
        Some(answer.usage)
    }
}

fn characters(call: &SpeechCall) -> u64 {
    call.text.expose().chars().count() as u64
}

/// Notes what a request costs at most.
fn size_up(asked: &SpeechCall, call: &mut CallBody) {
    let instructions = asked.instructions.as_ref().map_or(0, |text| text.expose().len());
    call.input.text_bytes = (asked.text.expose().len() + instructions) as u64;
    call.input.messages = 1;
    call.input.most.characters = characters(asked);
    call.input.most.audio_output_tokens = u64::MAX;
}
