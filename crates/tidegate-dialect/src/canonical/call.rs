//! A request.

use std::fmt;

use crate::json::Value;
use crate::{Content, RequestError};

/// JSON text that is carried without being looked into. Debug shows its length only.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Json(Vec<u8>);

impl Json {
    /// Caller vouches that these bytes are one JSON value.
    pub(crate) fn of_valid(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl From<&Value<'_>> for Json {
    fn from(value: &Value<'_>) -> Self {
        Self(value.raw().to_vec())
    }
}

impl AsRef<[u8]> for Json {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes of JSON]", self.0.len())
    }
}

/// What the source dialect calls things that some target refuses.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Names {
    pub(crate) stop: &'static str,
    pub(crate) format: &'static str,
    /// Its own spellings of what encoders name in the one form's words.
    pub(crate) own: &'static [(&'static str, &'static str)],
}

impl Names {
    /// A refusal with the field's name as the client wrote it.
    pub(crate) fn spell(&self, error: RequestError) -> RequestError {
        let RequestError::Untranslatable { field, why } = error else { return error };
        let own = self.own.iter().find(|(name, _)| *name == field);
        RequestError::Untranslatable { field: own.map_or(field, |(_, own)| (*own).to_owned()), why }
    }
}

/// A request in the one form. Decoders end with `..Call::default()`, so that a new field breaks none of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    pub(crate) names: Names,
    /// What the source dialect calls its list of turns; empty: `messages`.
    pub(crate) list: &'static str,
    pub(crate) turns: Vec<Turn>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) tool_choice: Option<ToolChoice>,
    pub(crate) parallel_tools: Option<bool>,
    pub(crate) output_limit: Option<u64>,
    pub(crate) stop: Vec<Content>,
    /// Numbers stay as they were written.
    pub(crate) temperature: Option<Json>,
    pub(crate) top_p: Option<Json>,
    pub(crate) top_k: Option<Json>,
    pub(crate) frequency_penalty: Option<Json>,
    pub(crate) presence_penalty: Option<Json>,
    pub(crate) seed: Option<Json>,
    /// Log probabilities of the output's tokens are wanted, each with so many other likely tokens.
    pub(crate) logprobs: Option<u64>,
    /// How much is said: OpenAI's `low` or `high`.
    pub(crate) verbosity: Option<Content>,
    pub(crate) reasoning: Reasoning,
    pub(crate) format: Option<OutputFormat>,
    pub(crate) user: Option<Content>,
    pub(crate) stream: bool,
    /// Options that the client gave for single providers.
    pub(crate) options: Vec<ProviderOptions>,
}

impl Call {
    /// Where a turn came from, for error messages.
    pub(crate) fn place(&self, turn: &Turn) -> String {
        format!("{}[{}]", if self.list.is_empty() { "messages" } else { self.list }, turn.at)
    }
}

/// A client's options for one provider; they count only where that one is asked.
#[derive(Debug, Clone)]
pub(crate) struct ProviderOptions {
    /// As the client calls it, for example `openai`.
    pub(crate) provider: String,
    /// Where they stand in the client's body.
    pub(crate) path: String,
    /// A JSON object.
    pub(crate) options: Json,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    System,
    User,
    Assistant,
}

/// One speaker's turn.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    pub(crate) role: Role,
    pub(crate) parts: Vec<Part>,
    /// Index of the source's message, for error messages.
    pub(crate) at: usize,
}

/// A piece of a turn or an answer. `cache` is the marker of Anthropic's prompt cache.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Text {
        text: Content,
        cache: Option<Json>,
    },
    Image {
        image: Image,
        cache: Option<Json>,
    },
    /// A file, base64.
    File {
        media_type: String,
        data: Content,
        name: Option<Content>,
        cache: Option<Json>,
    },
    /// A file that lies elsewhere, to be fetched by the provider.
    FileUrl {
        /// As far as the client tells.
        media_type: Option<String>,
        url: Content,
        name: Option<Content>,
        cache: Option<Json>,
    },
    /// A call of a tool; `input` is a JSON object.
    ToolUse {
        id: String,
        name: String,
        input: Json,
        cache: Option<Json>,
    },
    ToolResult {
        id: String,
        parts: Vec<Part>,
        is_error: bool,
        cache: Option<Json>,
    },
    /// Reasoning; signed by its provider or not.
    Thinking {
        text: Content,
        signature: Option<Content>,
    },
    /// Reasoning that only its provider can read.
    RedactedThinking {
        data: Content,
    },
}

#[derive(Debug, Clone)]
pub(crate) enum Image {
    Base64 { media_type: String, data: Content },
    Url(Content),
}

/// A function that the client runs.
#[derive(Debug, Clone)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) description: Option<Content>,
    /// JSON schema of its input.
    pub(crate) schema: Option<Json>,
    pub(crate) strict: Option<bool>,
    pub(crate) cache: Option<Json>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    Auto,
    None,
    Any,
    Named(String),
}

/// How much reasoning is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reasoning {
    pub(crate) mode: ReasoningMode,
    pub(crate) effort: Option<Effort>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ReasoningMode {
    /// Nothing was said.
    #[default]
    Unsaid,
    Off,
    /// As much as the model finds right.
    Adaptive,
    /// At most so many tokens.
    Budget(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    Low,
    Medium,
    High,
    ExtraHigh,
    Max,
}

/// What the output must look like.
#[derive(Debug, Clone)]
pub(crate) enum OutputFormat {
    Schema {
        name: Option<String>,
        schema: Json,
        strict: Option<bool>,
    },
    /// Any JSON object.
    JsonObject,
}
