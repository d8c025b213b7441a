//! Videos: a prompt (and pictures) in, a job out; its videos are asked for later (see [`job`]).
//!
//! Providers make them for minutes. What is asked and answered here is the start of such a job.

mod ai_sdk;
mod google;
pub mod job;
mod openai;

use tidegate_types::usage::Usage;

use crate::read::CallBody;
use crate::task::{Client, Kind, Provider, Task, Wishes};
use crate::{AnswerFault, Content, Dialect};

/// A request for videos.
#[derive(Debug, Default)]
pub(crate) struct VideoCall {
    prompt: Content,
    n: u64,
    /// Seconds of each.
    duration: Option<u64>,
    /// `16:9` …
    aspect_ratio: Option<String>,
    /// `1280x720` …
    resolution: Option<String>,
    seed: Option<u64>,
    audio: Option<bool>,
    /// The first frame.
    first: Option<Picture>,
    /// The last frame.
    last: Option<Picture>,
    /// What should be seen in it.
    references: Vec<Picture>,
    wishes: Wishes,
}

/// A picture that a video begins or ends with, or shows.
#[derive(Debug, Clone)]
pub(crate) enum Picture {
    /// Itself.
    Here {
        /// `image/png` …
        media_type: String,
        /// In base64.
        base64: Content,
    },
    /// Where it is.
    At(Content),
}

impl Picture {
    /// As a URL, which may be a `data:` one.
    fn url(&self) -> String {
        match self {
            Self::Here { media_type, base64 } => format!("data:{media_type};base64,{}", base64.expose()),
            Self::At(url) => url.expose().to_owned(),
        }
    }
}

/// A job that was taken on.
#[derive(Debug)]
pub(crate) struct VideoAnswer {
    /// What the provider calls it.
    job: String,
    usage: Usage,
}

/// Seconds of a video whose request does not say, at the providers that are told so then.
const DEFAULT_SECONDS: u64 = 8;
/// Longest video, in seconds.
const LONGEST: u64 = 600;

/// The operation.
pub(crate) struct Video;

impl Kind for Video {
    type Call = VideoCall;
    type Answer = VideoAnswer;

    fn wrap(call: VideoCall) -> Task {
        Task::Video(call)
    }

    fn client(dialect: Dialect) -> Option<&'static Client<VideoCall, VideoAnswer>> {
        (dialect == Dialect::AiSdk).then_some(&ai_sdk::CLIENT)
    }

    fn provider(dialect: Dialect) -> Option<&'static Provider<VideoCall, VideoAnswer>> {
        match dialect {
            Dialect::OpenaiChat | Dialect::OpenaiResponses => Some(&openai::PROVIDER),
            Dialect::Gemini => Some(&google::PROVIDER),
            _ => None,
        }
    }

    fn usage(answer: &VideoAnswer) -> Option<Usage> {
        Some(answer.usage)
    }
}

/// Notes what a request costs at most: the seconds of all its videos.
fn size_up(asked: &VideoCall, call: &mut CallBody) {
    call.answers = asked.n;
    call.input.text_bytes = asked.prompt.expose().len() as u64;
    call.input.messages = 1;
    call.input.most.video_seconds = asked.n.saturating_mul(asked.duration.unwrap_or(DEFAULT_SECONDS));
}

/// A job that was taken on, under a name that can be asked for.
fn accepted(job: &str, seconds: u64) -> Result<VideoAnswer, AnswerFault> {
    if !job::is_name(job) {
        return Err(AnswerFault::Malformed("no name of a job"));
    }
    let usage = Usage { video_seconds: seconds, requests: 1, ..Usage::default() };
    Ok(VideoAnswer { job: job.to_owned(), usage })
}
