//! Whole answers (not streams): passed through or translated, with their facts.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_types::NanoUsd;
use tidegate_types::usage::Usage;

use crate::codec::{self, Weight};
use crate::json::Document;
use crate::{AnswerFault, Asked, Dialect, note};

/// What the gateway puts into answers that it writes itself.
#[derive(Debug, Clone)]
pub struct AnswerFacts {
    /// The call's id, the answer's id in translated answers.
    pub call_id: Arc<str>,
    /// Model's name for translated answers whose provider gave none.
    pub model: String,
    /// Unix seconds.
    pub created: i64,
    /// The client asked for usage in its stream.
    pub asked_usage: bool,
    /// What the gateway adds about itself, if the caller's surface has a place for it.
    pub note: Option<Note>,
    /// Version of the AI SDK's specification that the call was made in (see [`crate::read::CallBody`]).
    pub spec: u8,
    /// What of the request had no effect: `warnings` of the AI SDK.
    pub warnings: Vec<String>,
    /// What of the request the answer repeats.
    pub asked: Asked,
    /// Names a provider's job for the client, where one is started.
    pub seal: Option<Seal>,
}

/// Makes of a provider's name for a job one that the client can ask with.
#[derive(Clone)]
pub struct Seal(Arc<dyn Fn(&str) -> String + Send + Sync>);

impl Seal {
    /// From a function.
    #[must_use]
    pub fn new(seal: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(seal))
    }

    /// The name for the client.
    #[must_use]
    pub fn seal(&self, job: &str) -> String {
        (self.0)(job)
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

/// What the gateway adds to answers about itself.
#[derive(Debug, Clone)]
pub struct Note {
    /// `gen_…`: by it the call can be asked for afterwards.
    pub generation_id: Arc<str>,
    /// What usage costs.
    pub costing: Costing,
    /// Where the caller's client looks for it.
    pub place: NotePlace,
    /// Slug of the provider that answers, for [`NotePlace::Mlflow`] alone.
    pub provider: String,
    /// JSON object of `gateway.routing`: the plan and the attempts so far.
    pub routing: Option<Bytes>,
}

/// Where clients look for the gateway's note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotePlace {
    /// `usage.cost` and `provider_metadata.gateway` (OpenAI and Anthropic surfaces).
    ProviderMetadata,
    /// The same, and `provider` (MLflow's unified answers).
    Mlflow,
    /// `usage.logfire_ai_gateway.cost` (pydantic-ai); bodies of Gemini and Bedrock are strict, there a header tells.
    Logfire,
    /// The same, and the usage of streams as `x_groq.usage` beside it: Groq's own client looks nowhere else.
    Groq,
    /// `providerMetadata.gateway` (AI SDK).
    AiSdk,
}

/// The price of the attempt that answers, as a function of its usage.
#[derive(Clone)]
pub struct Costing(Arc<dyn Fn(&Usage) -> NanoUsd + Send + Sync>);

impl Costing {
    /// From a function.
    #[must_use]
    pub fn new(cost: impl Fn(&Usage) -> NanoUsd + Send + Sync + 'static) -> Self {
        Self(Arc::new(cost))
    }

    /// What this usage costs.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> NanoUsd {
        (self.0)(usage)
    }
}

impl fmt::Debug for Costing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Costing")
    }
}

/// A whole answer for the client.
#[derive(Debug, Clone)]
pub struct Complete {
    /// The body.
    pub bytes: Bytes,
    /// The provider's usage, when it gave a sensible one.
    pub usage: Option<Usage>,
    /// UTF-8 bytes of visible output: an upper bound of its tokens.
    pub visible_bytes: u64,
}

/// Reads a provider's whole answer and gives it in the client's dialect. Same dialect: the same bytes.
///
/// # Errors
/// [`AnswerFault`] when it is not an answer, or has a part that the client's dialect cannot carry.
pub fn complete(
    surface: Dialect,
    target: Dialect,
    body: &Bytes,
    facts: &AnswerFacts,
) -> Result<Complete, AnswerFault> {
    let document = Document::parse(body).map_err(|_| AnswerFault::Malformed("not JSON"))?;
    let root = document.root();
    let Weight { usage, visible_bytes, places } = (codec::of(target).weigh)(&root)?;
    let noted = facts.note.as_ref().zip(usage.as_ref());
    let bytes = if surface == target {
        // Read once: the note goes where this reading found its place.
        noted.map_or_else(
            || body.clone(),
            |(note, usage)| note::on_read(surface, &root, places, body, (note, usage)),
        )
    } else {
        let answer = (codec::of(target).decode_answer)(&root)?;
        let bytes = Bytes::from((codec::of(surface).encode_answer)(&answer, facts));
        match noted {
            Some((note, usage)) => note::on_answer(surface, bytes, note, usage),
            None => bytes,
        }
    };
    Ok(Complete { bytes, usage, visible_bytes })
}
