//! Embeddings: texts or tokens in, vectors out.

mod ai_sdk;
mod bedrock;
mod cohere;
mod gemini;
mod openai;
mod vector;

use tidegate_types::usage::Usage;

use crate::task::{Client, Kind, Provider, Task, Wishes};
use crate::{AnswerFault, Content, Dialect};
pub(crate) use vector::Vector;

/// A request for vectors.
#[derive(Debug)]
pub(crate) struct EmbeddingCall {
    pub(crate) inputs: Inputs,
    pub(crate) dimensions: Option<u64>,
    pub(crate) user: Option<Content>,
    /// The client wants vectors packed and in base64.
    pub(crate) base64: bool,
    pub(crate) wishes: Wishes,
}

/// What is turned into vectors.
#[derive(Debug)]
pub(crate) enum Inputs {
    Texts(Vec<Content>),
    /// Arrays of token ids, as they were written.
    Tokens(Vec<Content>),
}

/// Vectors in the order of the inputs.
#[derive(Debug, Default)]
pub(crate) struct EmbeddingAnswer {
    pub(crate) model: Option<String>,
    pub(crate) vectors: Vec<Vector>,
    pub(crate) usage: Option<Usage>,
}

impl EmbeddingAnswer {
    /// The answer, if it has a vector for each input.
    fn complete(self, call: &EmbeddingCall) -> Result<Self, AnswerFault> {
        let (Inputs::Texts(asked) | Inputs::Tokens(asked)) = &call.inputs;
        if self.vectors.len() == asked.len() {
            return Ok(self);
        }
        Err(AnswerFault::Malformed("not as many vectors as inputs"))
    }
}

/// The operation.
pub(crate) struct Embedding;

impl Kind for Embedding {
    type Call = EmbeddingCall;
    type Answer = EmbeddingAnswer;

    fn wrap(call: EmbeddingCall) -> Task {
        Task::Embedding(call)
    }

    fn client(dialect: Dialect) -> Option<&'static Client<EmbeddingCall, EmbeddingAnswer>> {
        match dialect {
            Dialect::OpenaiChat => Some(&openai::CLIENT),
            Dialect::AiSdk => Some(&ai_sdk::CLIENT),
            _ => None,
        }
    }

    fn provider(dialect: Dialect) -> Option<&'static Provider<EmbeddingCall, EmbeddingAnswer>> {
        match dialect {
            Dialect::OpenaiChat | Dialect::OpenaiResponses => Some(&openai::PROVIDER),
            Dialect::Gemini => Some(&gemini::PROVIDER),
            Dialect::CohereChat => Some(&cohere::PROVIDER),
            Dialect::BedrockConverse => Some(&bedrock::PROVIDER),
            _ => None,
        }
    }

    fn usage(answer: &EmbeddingAnswer) -> Option<Usage> {
        answer.usage
    }
}

/// Usage of `input_tokens`.
pub(crate) fn of_input(input_tokens: u64) -> Usage {
    Usage { input_tokens, requests: 1, ..Usage::default() }
}
