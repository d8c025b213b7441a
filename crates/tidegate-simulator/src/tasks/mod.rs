//! Everything but language models: embeddings, rerankings, images, speech, transcripts,
//! videos.
//!
//! As strict as the real services, with units of its own on the bill. Sources: their API references.

mod audio;
mod compact;
mod embed;
mod form;
mod google;
mod image;
mod rank;
pub(crate) mod video;

use serde_json::{Map, Value};

use crate::ask::Invalid;
use crate::complete::Counts;

/// Whose service it is: how a key comes and an error goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum House {
    Openai,
    Cohere,
    Gemini,
    Bedrock,
}

impl House {
    pub(crate) const fn provider(self) -> &'static str {
        match self {
            Self::Openai => "sim-openai",
            Self::Cohere => "sim-cohere",
            Self::Gemini => "sim-gemini",
            Self::Bedrock => "sim-bedrock",
        }
    }

    /// The body of an error.
    pub(crate) fn error_body(self, invalid: &Invalid) -> Vec<u8> {
        match self {
            Self::Openai => crate::openai::error_body(invalid),
            Self::Bedrock => crate::bedrock::error_body(invalid),
            Self::Cohere => serde_json::json!({"message": invalid.message}).to_string().into_bytes(),
            Self::Gemini => serde_json::json!({"error": {
                "code": invalid.status, "message": invalid.message, "status": "INVALID_ARGUMENT"}})
            .to_string()
            .into_bytes(),
        }
    }
}

/// What came.
pub(crate) struct Received<'a> {
    pub(crate) path: &'a str,
    pub(crate) content_type: &'a str,
    pub(crate) body: &'a [u8],
    /// No other call has it.
    pub(crate) number: u64,
}

/// An answer, and what it costs.
pub(crate) struct Made {
    pub(crate) model: String,
    pub(crate) last_text: String,
    pub(crate) body: Vec<u8>,
    pub(crate) content_type: &'static str,
    pub(crate) counts: Counts,
    /// Begun with this answer.
    pub(crate) job: Option<video::Job>,
}

impl Made {
    fn json(model: &str, last_text: &str, body: &Value, counts: Counts) -> Self {
        Self {
            model: model.to_owned(),
            last_text: last_text.to_owned(),
            body: body.to_string().into_bytes(),
            content_type: "application/json",
            counts,
            job: None,
        }
    }
}

type Answered = Result<Made, Invalid>;

type Service = fn(&Received<'_>) -> Answered;

/// The service at a path, and how it answers.
pub(crate) fn find(path: &str) -> Option<(House, Service)> {
    Some(match path {
        "/openai/v1/embeddings" => (House::Openai, embed::openai),
        "/openai/v1/images/generations" => (House::Openai, image::openai),
        "/openai/v1/images/edits" => (House::Openai, image::edit),
        "/openai/v1/responses/compact" => (House::Openai, compact::openai),
        "/openai/v1/videos" => (House::Openai, video::openai),
        "/openai/v1/videos/generations" => (House::Openai, video::xai),
        "/openai/v1/audio/speech" => (House::Openai, audio::speech),
        "/openai/v1/audio/transcriptions" => (House::Openai, audio::transcription),
        "/openai/v1/rerank" => (House::Openai, rank::jina),
        "/cohere/v2/embed" => (House::Cohere, embed::cohere),
        "/cohere/v2/rerank" => (House::Cohere, rank::cohere),
        _ if crate::bedrock::invoked(path).is_some() => (House::Bedrock, embed::bedrock),
        _ if path.starts_with("/gemini/v1beta/models/") && path.ends_with(":batchEmbedContents") => {
            (House::Gemini, embed::gemini)
        }
        _ if path.starts_with("/gemini/") && path.ends_with(":predict") => (House::Gemini, google::predict),
        _ if path.starts_with("/gemini/") && path.ends_with("-image:generateContent") => {
            (House::Gemini, google::picture)
        }
        _ if video::google_model(path, ":predictLongRunning").is_some() => (House::Gemini, video::google),
        _ => return None,
    })
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Invalid> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(Invalid::new("We could not parse the JSON body of your request.", "body")),
    }
}

/// A member that, when present, is one of these words.
fn word<'a>(value: Option<&'a Value>, words: &[&str], at: &str) -> Result<Option<&'a str>, Invalid> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_str() {
            Some(text) if words.contains(&text) => Ok(Some(text)),
            _ => Err(Invalid::new(format!("'{at}' must be one of {}.", words.join(", ")), at)),
        },
    }
}
