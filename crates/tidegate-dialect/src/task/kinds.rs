//! The kinds of operations as types: what each asks, answers and uses.

use tidegate_types::usage::Usage;

use super::{Client, Provider};
use crate::Dialect;
use crate::embedding::EmbeddingCall;
use crate::image::{EditCall, ImageCall};
use crate::reranking::RerankingCall;
use crate::speech::SpeechCall;
use crate::transcription::TranscriptionCall;
use crate::video::VideoCall;

/// A request, in its one form.
#[derive(Debug)]
pub(crate) enum Task {
    Embedding(EmbeddingCall),
    Reranking(RerankingCall),
    Image(ImageCall),
    Edit(EditCall),
    Speech(SpeechCall),
    Transcription(TranscriptionCall),
    Video(VideoCall),
}

/// An operation with its codecs.
pub(crate) trait Kind {
    /// What is asked.
    type Call: 'static;
    /// What is answered.
    type Answer: 'static;

    /// As one of all tasks.
    fn wrap(call: Self::Call) -> Task;

    /// How clients of a family ask; `None`: they cannot.
    fn client(dialect: Dialect) -> Option<&'static Client<Self::Call, Self::Answer>>;

    /// How providers of a family are asked; `None`: they cannot.
    fn provider(dialect: Dialect) -> Option<&'static Provider<Self::Call, Self::Answer>>;

    /// What an answer used.
    fn usage(answer: &Self::Answer) -> Option<Usage>;
}
