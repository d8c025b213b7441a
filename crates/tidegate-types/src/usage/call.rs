//! Call records: one per call, refusals included.

use serde::{Deserialize, Serialize};

use super::event::{CredentialType, Outcome};
use super::metered::Usage;
use super::planned::PlanRecord;
use crate::clock::Timestamp;
use crate::id::{
    BudgetId, CallId, CredentialId, KeyId, ModelId, OfferingId, OrganizationId, ProviderId, RouteId, TeamId,
};
use crate::label::LabelHash;
use crate::money::NanoUsd;
use crate::resource::{Areas, DialectName, Operation, ZdrTier};
use crate::revision::Revision;
use crate::trace::TraceParent;

/// Which of the node's surfaces was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Surface {
    /// `/v1/chat/completions`.
    OpenaiChat,
    /// `/v1/messages`.
    AnthropicMessages,
    /// `/v1/responses`.
    OpenaiResponses,
    /// `/v1/embeddings`.
    OpenaiEmbeddings,
    /// `/v1/images/generations`.
    OpenaiImages,
    /// `/v1/audio/speech`.
    OpenaiSpeech,
    /// `/v1/audio/transcriptions`.
    OpenaiTranscriptions,
    /// `/v1/messages/count_tokens`.
    AnthropicCountTokens,
    /// `/v1/rerank`, as Cohere writes it.
    CohereRerank,
    /// `…:generateContent` and `…:streamGenerateContent`.
    Gemini,
    /// `/model/{id}/converse` and `converse-stream`.
    BedrockConverse,
    /// AI SDK `…/language-model`.
    AiSdkLanguage,
    /// AI SDK `…/embedding-model`.
    AiSdkEmbedding,
    /// AI SDK `…/image-model`.
    AiSdkImage,
    /// AI SDK `…/reranking-model`.
    AiSdkReranking,
    /// AI SDK `…/speech-model`.
    AiSdkSpeech,
    /// AI SDK `…/transcription-model`.
    AiSdkTranscription,
    /// AI SDK `…/video-model`.
    AiSdkVideo,
}

impl Surface {
    /// The dialect in which it is asked.
    #[must_use]
    pub const fn dialect(self) -> DialectName {
        match self {
            Self::OpenaiChat
            | Self::OpenaiEmbeddings
            | Self::OpenaiImages
            | Self::OpenaiSpeech
            | Self::OpenaiTranscriptions => DialectName::OpenaiChat,
            Self::OpenaiResponses => DialectName::OpenaiResponses,
            Self::AnthropicMessages | Self::AnthropicCountTokens => DialectName::AnthropicMessages,
            Self::CohereRerank => DialectName::CohereChat,
            Self::Gemini => DialectName::Gemini,
            Self::BedrockConverse => DialectName::BedrockConverse,
            Self::AiSdkLanguage
            | Self::AiSdkEmbedding
            | Self::AiSdkImage
            | Self::AiSdkReranking
            | Self::AiSdkSpeech
            | Self::AiSdkTranscription
            | Self::AiSdkVideo => DialectName::AiSdk,
        }
    }

    /// What is asked for.
    #[must_use]
    pub const fn operation(self) -> Operation {
        match self {
            Self::OpenaiChat
            | Self::OpenaiResponses
            | Self::AnthropicMessages
            | Self::Gemini
            | Self::BedrockConverse
            | Self::AiSdkLanguage => Operation::Language,
            Self::AnthropicCountTokens => Operation::CountTokens,
            Self::OpenaiEmbeddings | Self::AiSdkEmbedding => Operation::Embedding,
            Self::OpenaiImages | Self::AiSdkImage => Operation::Image,
            Self::OpenaiSpeech | Self::AiSdkSpeech => Operation::Speech,
            Self::OpenaiTranscriptions | Self::AiSdkTranscription => Operation::Transcription,
            Self::CohereRerank | Self::AiSdkReranking => Operation::Reranking,
            Self::AiSdkVideo => Operation::Video,
        }
    }

    /// Its name, the same as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai_chat",
            Self::AnthropicMessages => "anthropic_messages",
            Self::OpenaiResponses => "openai_responses",
            Self::OpenaiEmbeddings => "openai_embeddings",
            Self::OpenaiImages => "openai_images",
            Self::OpenaiSpeech => "openai_speech",
            Self::OpenaiTranscriptions => "openai_transcriptions",
            Self::AnthropicCountTokens => "anthropic_count_tokens",
            Self::CohereRerank => "cohere_rerank",
            Self::Gemini => "gemini",
            Self::BedrockConverse => "bedrock_converse",
            Self::AiSdkLanguage => "ai_sdk_language",
            Self::AiSdkEmbedding => "ai_sdk_embedding",
            Self::AiSdkImage => "ai_sdk_image",
            Self::AiSdkReranking => "ai_sdk_reranking",
            Self::AiSdkSpeech => "ai_sdk_speech",
            Self::AiSdkTranscription => "ai_sdk_transcription",
            Self::AiSdkVideo => "ai_sdk_video",
        }
    }

    /// Every surface.
    pub const ALL: [Self; 18] = [
        Self::OpenaiChat,
        Self::AnthropicMessages,
        Self::OpenaiResponses,
        Self::OpenaiEmbeddings,
        Self::OpenaiImages,
        Self::OpenaiSpeech,
        Self::OpenaiTranscriptions,
        Self::AnthropicCountTokens,
        Self::CohereRerank,
        Self::Gemini,
        Self::BedrockConverse,
        Self::AiSdkLanguage,
        Self::AiSdkEmbedding,
        Self::AiSdkImage,
        Self::AiSdkReranking,
        Self::AiSdkSpeech,
        Self::AiSdkTranscription,
        Self::AiSdkVideo,
    ];
}

/// Why a call was refused by the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCause {
    /// No, unknown, revoked or expired key.
    Unauthenticated,
    /// The key may not do this.
    NotAllowed,
    /// No such model.
    UnknownModel,
    /// The model has no price.
    NotPriced,
    /// The request is malformed or has a field that cannot be had.
    BadRequest,
    /// Nobody satisfies the policy.
    NoProvider,
    /// A budget does not allow it.
    Budget,
    /// A rate or concurrency limit.
    RateLimit,
    /// The body is too large.
    TooLarge,
    /// The budget authority is away, or the journal is full.
    Unavailable,
    /// Out of time.
    Timeout,
    /// Every attempt failed.
    UpstreamFailed,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum CallOutcome {
    /// Answered completely.
    Answered,
    /// The client left before the end.
    Disconnected,
    /// The answer broke off after its first event.
    Broken,
    /// The provider's own error was passed on.
    UpstreamError,
    /// Refused by the gateway.
    Refused {
        /// Why.
        cause: RefusalCause,
        /// The budget that refused.
        budget_id: Option<BudgetId>,
    },
}

/// One attempt, as the call record keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// The provider.
    pub provider_id: ProviderId,
    /// The offering.
    pub offering_id: OfferingId,
    /// The credential.
    pub credential_id: Option<CredentialId>,
    /// Who pays.
    pub credential_type: CredentialType,
    /// HTTP status, 0 when none came.
    pub status: u16,
    /// Milliseconds from the call's start to the attempt's start.
    pub started_ms: u32,
    /// Milliseconds from the attempt's start to its end.
    pub duration_ms: u32,
    /// How it ended; absent in records of before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// By what the attempt was allowed under the call's data-handling tier; empty where none was demanded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

/// What is known of how a provider handles data or where it processes them, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The feature of the provider that it speaks of; `None`: the call itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<String>,
    /// The strictest tier whose demands are met; `none` where it speaks of places.
    pub tier: ZdrTier,
    /// All areas in which the call is processed; empty where it speaks of data handling.
    #[serde(default, skip_serializing_if = "Areas::is_empty")]
    pub areas: Areas,
    /// Where this was read, or who attested it.
    pub source: String,
    /// When it was read or attested.
    pub read_at: Timestamp,
    /// Counts as unknown from this time on.
    pub expires_at: Timestamp,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The call.
    pub call_id: CallId,
    /// When it began (node's clock).
    pub at: Timestamp,
    /// Whose call.
    pub organization_id: OrganizationId,
    /// Whose key.
    pub team_id: TeamId,
    /// The key.
    pub key_id: KeyId,
    /// Which surface.
    pub surface: Surface,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The model that answered, or was asked for.
    pub model_id: Option<ModelId>,
    /// The route that was asked for.
    pub route_id: Option<RouteId>,
    /// HTTP status that the client got.
    pub status: u16,
    /// How it ended.
    pub outcome: CallOutcome,
    /// Attempts in order.
    pub attempts: Vec<AttemptRecord>,
    /// Counts of all attempts together.
    pub usage: Usage,
    /// Charge of all attempts together.
    pub cost: NanoUsd,
    /// Milliseconds to the first event; `None` when there was none.
    pub ttft_ms: Option<u32>,
    /// Milliseconds to the end.
    pub duration_ms: u32,
    /// Milliseconds of it spent in the gateway before the first attempt, times 1000.
    pub overhead_us: u32,
    /// Keyed hash of the end user.
    pub end_user: Option<LabelHash>,
    /// Keyed hash of the session.
    pub session: Option<LabelHash>,
    /// Keyed hash of the application's name.
    pub app: Option<LabelHash>,
    /// Keyed hashes of the tags.
    pub tags: Vec<LabelHash>,
    /// Revision of the organization's configuration that decided.
    pub revision: Revision,
    /// The data-handling tier that policies and the request demanded together.
    #[serde(default)]
    pub zdr: ZdrTier,
    /// The areas in which policies and the request together allowed it to be processed; `None`: anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inference_regions: Option<Areas>,
    /// The plan, where it says more than the attempts: others could have answered, or were taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Box<PlanRecord>>,
    /// The trace that the request belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceParent>,
    /// The call whose answer this one got from the response cache: nothing was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_from: Option<CallId>,
}
