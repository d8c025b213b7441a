//! A job that makes videos: how a provider is asked what has become of it, and what it says.

use crate::json::{Value, Writer};
use crate::{AnswerFault, Content, Dialect};

/// How a provider is asked about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// `GET` of this path below the base URL.
    Get(String),
    /// `POST` of this body to the model's path with this ending.
    Post {
        /// `:fetchPredictOperation`
        ending: &'static str,
        /// JSON.
        body: Vec<u8>,
    },
}

/// What has become of a job.
#[derive(Debug)]
pub enum State {
    /// It is still at work.
    Pending,
    /// It made nothing; the provider's words.
    Failed(Content),
    /// It made these.
    Done(Vec<Clip>),
}

/// A video.
#[derive(Debug)]
pub enum Clip {
    /// Itself.
    Here {
        /// `video/mp4` …
        media_type: String,
        /// In base64.
        base64: Content,
    },
    /// Where anybody can fetch it.
    At {
        /// `video/mp4` …
        media_type: String,
        /// Its address.
        url: Content,
    },
    /// Where whoever signs in can fetch it.
    Behind {
        /// `video/mp4` …
        media_type: String,
        /// A path below the base URL, or a URL.
        place: String,
    },
}

/// Longest name of a job.
const LONGEST: usize = 512;

/// Whether a text can be a job's name, and stand in a path.
pub(super) fn is_name(job: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    (1..=LONGEST).contains(&job.len())
        && job.bytes().all(plain)
        && !job.split('/').any(|segment| matches!(segment, "" | "." | ".."))
}

/// How a provider of this family is asked about a job; `None` when its name is none.
#[must_use]
pub fn ask(target: Dialect, vertex: bool, job: &str) -> Option<Ask> {
    let job = Some(job).filter(|job| is_name(job))?;
    match target {
        Dialect::OpenaiChat | Dialect::OpenaiResponses if !job.contains('/') => {
            Some(Ask::Get(format!("/videos/{job}")))
        }
        Dialect::Gemini if vertex => {
            let mut json = Writer::new();
            json.object(|json| json.key("operationName").text(job).done());
            Some(Ask::Post { ending: ":fetchPredictOperation", body: json.into_bytes() })
        }
        Dialect::Gemini => Some(Ask::Get(format!("/{job}"))),
        _ => None,
    }
}

/// Reads what a provider of this family says of a job.
///
/// # Errors
/// [`AnswerFault`] when it is no such answer.
pub fn read(target: Dialect, job: &str, body: &[u8]) -> Result<State, AnswerFault> {
    let root = Value::parse(body).map_err(|_| AnswerFault::Malformed("not JSON"))?;
    match target {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => super::openai::state(&root, job),
        Dialect::Gemini => super::google::state(&root),
        _ => Err(AnswerFault::Untranslatable("no such operation")),
    }
}

/// Videos as the AI SDK reads them, a JSON array; those behind a sign-in must have been fetched.
///
/// # Errors
/// [`AnswerFault`] when one was not.
pub fn videos(clips: &[Clip]) -> Result<Vec<u8>, AnswerFault> {
    let mut json = Writer::new();
    let mut outcome = Ok(());
    json.array(|json| {
        for clip in clips {
            let (kind, key, value, media_type) = match clip {
                Clip::Here { media_type, base64 } => ("base64", "data", base64, media_type),
                Clip::At { media_type, url } => ("url", "url", url, media_type),
                Clip::Behind { .. } => {
                    outcome = Err(AnswerFault::Untranslatable("a video that only the gateway can fetch"));
                    continue;
                }
            };
            json.object(|json| {
                json.key("type").text(kind);
                json.key(key).text(value.expose());
                json.key("mediaType").text(media_type);
            });
        }
    });
    outcome.map(|()| json.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_jobs_stay_within_their_paths() {
        for name in ["video_1", "models/veo-3.1/operations/a-b", "0f8b.1"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "..", "a/../b", "/a", "a//b", "a?b", "a%2e", "a b", &"a".repeat(513)] {
            assert!(!is_name(name), "{name}");
        }
        assert_eq!(ask(Dialect::OpenaiChat, false, "a/b"), None);
        assert_eq!(
            ask(Dialect::Gemini, false, "models/m/operations/o"),
            Some(Ask::Get("/models/m/operations/o".into()))
        );
    }
}
