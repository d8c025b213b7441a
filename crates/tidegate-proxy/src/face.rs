//! How a call came in: its surface, whose manners its client expects, and what the path and the
//! headers say in place of the body.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;
use tidegate_dialect::answer::NotePlace;
use tidegate_dialect::read::{Outside, Way};
use tidegate_types::usage::{RefusalCause, Surface};

use crate::refusal::{Refusal, Refused};

/// Whose client it is: where it looks for errors and costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// The vendors' own SDKs, LiteLLM, and Vercel's REST surface.
    Plain,
    /// The AI SDK's gateway provider.
    AiSdk,
    /// pydantic-ai's gateway provider.
    Pydantic,
    /// MLflow's AI Gateway: errors are `{"detail": …}`.
    Mlflow,
}

/// How a call came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Face<'a> {
    pub(crate) surface: Surface,
    pub(crate) manner: Manner,
    /// The model in the path, still percent-encoded.
    pub(crate) model: Option<&'a str>,
    /// Whether the path asks for a stream.
    pub(crate) stream: Option<bool>,
    /// The provider or route in the path (pydantic-ai).
    pub(crate) route: Option<&'a str>,
    /// One of MLflow's unified paths, where any provider answers in the same words and is named.
    pub(crate) unified: bool,
    /// A path of Groq's own client.
    pub(crate) groq: bool,
    /// Version of the AI SDK's specification by the path.
    pub(crate) specification: u8,
    /// Which of the surface's operations it is.
    pub(crate) way: Way,
    /// The answer is a job's outcome, not its beginning.
    pub(crate) waits: bool,
}

const AI_MODEL: HeaderName = HeaderName::from_static("ai-model-id");
const AI_LANGUAGE_MODEL: HeaderName = HeaderName::from_static("ai-language-model-id");
const AI_STREAMING: HeaderName = HeaderName::from_static("ai-language-model-streaming");

impl<'a> Face<'a> {
    /// A surface whose body says everything.
    pub(crate) const fn of(surface: Surface) -> Self {
        Self {
            surface,
            manner: Manner::Plain,
            model: None,
            stream: None,
            route: None,
            unified: false,
            groq: false,
            specification: 4,
            way: Way::Usual,
            waits: false,
        }
    }

    /// A surface whose path names the model.
    pub(crate) fn named(surface: Surface, model: &'a str) -> Option<Self> {
        (!model.is_empty()).then_some(Self { model: Some(model), ..Self::of(surface) })
    }

    /// A surface whose path names the model and says whether a stream is wanted.
    pub(crate) fn at_model(surface: Surface, model: &'a str, stream: bool) -> Option<Self> {
        Some(Self { stream: Some(stream), ..Self::named(surface, model)? })
    }

    /// An endpoint of the AI SDK.
    pub(crate) fn ai_sdk(specification: u8, kind: &str) -> Option<Self> {
        let surface = match kind {
            "language-model" => Surface::AiSdkLanguage,
            "embedding-model" => Surface::AiSdkEmbedding,
            "image-model" => Surface::AiSdkImage,
            "reranking-model" => Surface::AiSdkReranking,
            "speech-model" => Surface::AiSdkSpeech,
            "transcription-model" => Surface::AiSdkTranscription,
            "video-model" | "video-model/start" => Surface::AiSdkVideo,
            _ => return None,
        };
        let waits = kind == "video-model";
        Some(Self { manner: Manner::AiSdk, specification, waits, ..Self::of(surface) })
    }

    /// Where clients of this face look for what a call costs.
    pub(crate) const fn note_place(&self) -> NotePlace {
        match self.manner {
            Manner::Mlflow if self.unified => NotePlace::Mlflow,
            Manner::Plain | Manner::Mlflow => NotePlace::ProviderMetadata,
            Manner::AiSdk => NotePlace::AiSdk,
            Manner::Pydantic if self.groq => NotePlace::Groq,
            Manner::Pydantic => NotePlace::Logfire,
        }
    }

    /// Whether bodies of answers have no place for the cost, so that a header tells it.
    pub(crate) const fn cost_in_header(&self) -> bool {
        matches!(self.manner, Manner::Pydantic)
            && matches!(self.surface, Surface::Gemini | Surface::BedrockConverse)
    }

    /// The model and the stream flag, where they are not in the body.
    pub(crate) fn outside<'h>(&'h self, headers: &'h HeaderMap) -> Result<Said<'h>, Refused> {
        if self.manner != Manner::AiSdk {
            let model = self.model.map(decoded).transpose()?;
            // No other operation of a surface streams.
            let stream = if self.way == Way::Usual { self.stream } else { Some(false) };
            return Ok(Said { model, stream, specification: self.specification, way: self.way });
        }
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let name = if self.surface == Surface::AiSdkLanguage { &AI_LANGUAGE_MODEL } else { &AI_MODEL };
        let model = text(name).or_else(|| text(&AI_MODEL)).filter(|model| !model.is_empty());
        let model = model.ok_or_else(|| {
            let message = format!("the header `{name}` is required: it names the model");
            Refusal::new(RefusalCause::BadRequest, message).param(name.as_str().to_owned())
        })?;
        let stream = match text(&AI_STREAMING) {
            _ if self.surface != Surface::AiSdkLanguage => Some(false),
            None | Some("false") => Some(false),
            Some("true") => Some(true),
            Some(_) => {
                let message = format!("the header `{AI_STREAMING}` must be true or false");
                return Err(
                    Refusal::new(RefusalCause::BadRequest, message).param("ai-language-model-streaming")
                );
            }
        };
        Ok(Said { model: Some(model.into()), stream, specification: self.version(headers)?, way: self.way })
    }

    /// The version of the specification: the header's, else the path's.
    fn version(&self, headers: &HeaderMap) -> Result<u8, Refused> {
        let kind = match self.surface {
            Surface::AiSdkLanguage => "language",
            Surface::AiSdkEmbedding => "embedding",
            Surface::AiSdkImage => "image",
            Surface::AiSdkReranking => "reranking",
            Surface::AiSdkSpeech => "speech",
            Surface::AiSdkTranscription => "transcription",
            _ => "video",
        };
        let name = format!("ai-{kind}-model-specification-version");
        let Some(value) = headers.get(&name) else { return Ok(self.specification) };
        match value.as_bytes() {
            b"2" => Ok(2),
            b"3" => Ok(3),
            b"4" => Ok(4),
            _ => {
                let message = format!("the header `{name}` must be 2, 3 or 4");
                Err(Refusal::new(RefusalCause::BadRequest, message).param(name))
            }
        }
    }
}

/// What the path and the headers say.
pub(crate) struct Said<'a> {
    model: Option<Cow<'a, str>>,
    stream: Option<bool>,
    pub(crate) specification: u8,
    way: Way,
}

impl Said<'_> {
    /// In the words of the dialect crate.
    pub(crate) fn outside(&self) -> Outside<'_> {
        Outside { model: self.model.as_deref(), stream: self.stream, spec: self.specification, way: self.way }
    }
}

fn decoded(model: &str) -> Result<Cow<'_, str>, Refused> {
    percent_decode_str(model).decode_utf8().map_err(|_| {
        Refusal::new(RefusalCause::BadRequest, "the model in the path is not UTF-8").param("model")
    })
}
