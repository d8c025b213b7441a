//! Images: a prompt in, pictures out.

mod ai_sdk;
mod edit;
mod gemini;
mod imagen;
mod openai;

use tidegate_types::usage::Usage;

pub(crate) use edit::{Edit, EditCall};

use crate::read::CallBody;
use crate::task::{Client, Kind, Provider, Task, Wishes};
use crate::{Content, Dialect};

/// A request for pictures.
#[derive(Debug, Default)]
pub(crate) struct ImageCall {
    prompt: Content,
    n: Option<u64>,
    /// `1024x1024`, `auto` …
    size: Option<String>,
    /// `16:9` …
    aspect_ratio: Option<String>,
    seed: Option<u64>,
    user: Option<Content>,
    /// The client wants the pictures themselves.
    base64: bool,
    /// OpenAI's further fields, each value as it was written.
    further: Vec<(&'static str, Content)>,
    wishes: Wishes,
}

/// A picture: itself, or where it is.
#[derive(Debug)]
pub(crate) struct Picture {
    base64: Option<Content>,
    url: Option<Content>,
    revised_prompt: Option<Content>,
}

/// Pictures.
#[derive(Debug)]
pub(crate) struct ImageAnswer {
    pictures: Vec<Picture>,
    usage: Usage,
    /// Tokens were told.
    tokens: bool,
}

/// The operation.
pub(crate) struct Image;

impl Kind for Image {
    type Call = ImageCall;
    type Answer = ImageAnswer;

    fn wrap(call: ImageCall) -> Task {
        Task::Image(call)
    }

    fn client(dialect: Dialect) -> Option<&'static Client<ImageCall, ImageAnswer>> {
        match dialect {
            Dialect::OpenaiChat => Some(&openai::CLIENT),
            Dialect::AiSdk => Some(&ai_sdk::CLIENT),
            _ => None,
        }
    }

    fn provider(dialect: Dialect) -> Option<&'static Provider<ImageCall, ImageAnswer>> {
        match dialect {
            Dialect::OpenaiChat | Dialect::OpenaiResponses => Some(&openai::PROVIDER),
            Dialect::Gemini => Some(&imagen::PROVIDER),
            _ => None,
        }
    }

    fn usage(answer: &ImageAnswer) -> Option<Usage> {
        Some(answer.usage)
    }
}

/// Notes what a request costs at most: each picture, and its tokens where it is billed by them.
fn size_up(asked: &ImageCall, call: &mut CallBody) {
    let n = asked.n.unwrap_or(1).max(1);
    call.answers = n;
    call.input.text_bytes = asked.prompt.expose().len() as u64;
    call.input.messages = 1;
    call.input.most.images = n;
    call.input.most.image_output_tokens = u64::MAX;
}
