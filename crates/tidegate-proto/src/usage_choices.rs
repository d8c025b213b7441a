//! Enums of usage messages as numbers; a number that says nothing is an error of the caller.

use tidegate_types::BudgetId;
use tidegate_types::resource::ZdrTier;
use tidegate_types::usage::{
    CallOutcome, CredentialType, EventKind, MeterMethod, Outcome, RefusalCause, Surface,
};

use crate::error::{ConvertError, Problem};
use crate::fields::Fields;
use crate::usage as wire;

/// Reads an enum's number.
pub(crate) fn choice<W: TryFrom<i32>, T>(
    at: Fields,
    field: &'static str,
    number: i32,
    choose: impl FnOnce(W) -> Option<T>,
) -> Result<T, ConvertError> {
    match W::try_from(number).ok().and_then(choose) {
        Some(value) => Ok(value),
        None => at.wrong(field, Problem::UnknownName),
    }
}

pub(crate) fn event_kind(value: EventKind) -> wire::EventKind {
    match value {
        EventKind::Intent => wire::EventKind::Intent,
        EventKind::Final => wire::EventKind::Final,
        EventKind::Correction => wire::EventKind::Correction,
    }
}

pub(crate) fn read_event_kind(value: wire::EventKind) -> Option<EventKind> {
    Some(match value {
        wire::EventKind::Unspecified => return None,
        wire::EventKind::Intent => EventKind::Intent,
        wire::EventKind::Final => EventKind::Final,
        wire::EventKind::Correction => EventKind::Correction,
    })
}

pub(crate) fn outcome(value: Outcome) -> wire::Outcome {
    match value {
        Outcome::Open => wire::Outcome::Open,
        Outcome::Completed => wire::Outcome::Completed,
        Outcome::Refused => wire::Outcome::Refused,
        Outcome::NotSent => wire::Outcome::NotSent,
        Outcome::Interrupted => wire::Outcome::Interrupted,
        Outcome::Unresolved => wire::Outcome::Unresolved,
    }
}

pub(crate) fn read_outcome(value: wire::Outcome) -> Option<Outcome> {
    Some(match value {
        wire::Outcome::Unspecified => return None,
        wire::Outcome::Open => Outcome::Open,
        wire::Outcome::Completed => Outcome::Completed,
        wire::Outcome::Refused => Outcome::Refused,
        wire::Outcome::NotSent => Outcome::NotSent,
        wire::Outcome::Interrupted => Outcome::Interrupted,
        wire::Outcome::Unresolved => Outcome::Unresolved,
    })
}

pub(crate) fn method(value: MeterMethod) -> wire::MeterMethod {
    match value {
        MeterMethod::Reported => wire::MeterMethod::Reported,
        MeterMethod::Counted => wire::MeterMethod::Counted,
        MeterMethod::Held => wire::MeterMethod::Held,
        MeterMethod::Nothing => wire::MeterMethod::Nothing,
    }
}

pub(crate) fn read_method(value: wire::MeterMethod) -> Option<MeterMethod> {
    Some(match value {
        wire::MeterMethod::Unspecified => return None,
        wire::MeterMethod::Reported => MeterMethod::Reported,
        wire::MeterMethod::Counted => MeterMethod::Counted,
        wire::MeterMethod::Held => MeterMethod::Held,
        wire::MeterMethod::Nothing => MeterMethod::Nothing,
    })
}

pub(crate) fn credential_type(value: CredentialType) -> wire::CredentialType {
    match value {
        CredentialType::System => wire::CredentialType::System,
        CredentialType::Byok => wire::CredentialType::Byok,
        CredentialType::Client => wire::CredentialType::Client,
    }
}

pub(crate) fn read_credential_type(value: wire::CredentialType) -> Option<CredentialType> {
    Some(match value {
        wire::CredentialType::Unspecified => return None,
        wire::CredentialType::System => CredentialType::System,
        wire::CredentialType::Byok => CredentialType::Byok,
        wire::CredentialType::Client => CredentialType::Client,
    })
}

pub(crate) fn surface(value: Surface) -> wire::Surface {
    match value {
        Surface::OpenaiChat => wire::Surface::OpenaiChat,
        Surface::AnthropicMessages => wire::Surface::AnthropicMessages,
        Surface::OpenaiResponses => wire::Surface::OpenaiResponses,
        Surface::OpenaiEmbeddings => wire::Surface::OpenaiEmbeddings,
        Surface::OpenaiImages => wire::Surface::OpenaiImages,
        Surface::OpenaiSpeech => wire::Surface::OpenaiSpeech,
        Surface::OpenaiTranscriptions => wire::Surface::OpenaiTranscriptions,
        Surface::AnthropicCountTokens => wire::Surface::AnthropicCountTokens,
        Surface::CohereRerank => wire::Surface::CohereRerank,
        Surface::Gemini => wire::Surface::Gemini,
        Surface::BedrockConverse => wire::Surface::BedrockConverse,
        Surface::AiSdkLanguage => wire::Surface::AiSdkLanguage,
        Surface::AiSdkEmbedding => wire::Surface::AiSdkEmbedding,
        Surface::AiSdkImage => wire::Surface::AiSdkImage,
        Surface::AiSdkReranking => wire::Surface::AiSdkReranking,
        Surface::AiSdkSpeech => wire::Surface::AiSdkSpeech,
        Surface::AiSdkTranscription => wire::Surface::AiSdkTranscription,
        Surface::AiSdkVideo => wire::Surface::AiSdkVideo,
    }
}

pub(crate) fn read_surface(value: wire::Surface) -> Option<Surface> {
    Some(match value {
        wire::Surface::Unspecified => return None,
        wire::Surface::OpenaiChat => Surface::OpenaiChat,
        wire::Surface::AnthropicMessages => Surface::AnthropicMessages,
        wire::Surface::OpenaiResponses => Surface::OpenaiResponses,
        wire::Surface::OpenaiEmbeddings => Surface::OpenaiEmbeddings,
        wire::Surface::OpenaiImages => Surface::OpenaiImages,
        wire::Surface::OpenaiSpeech => Surface::OpenaiSpeech,
        wire::Surface::OpenaiTranscriptions => Surface::OpenaiTranscriptions,
        wire::Surface::AnthropicCountTokens => Surface::AnthropicCountTokens,
        wire::Surface::CohereRerank => Surface::CohereRerank,
        wire::Surface::Gemini => Surface::Gemini,
        wire::Surface::BedrockConverse => Surface::BedrockConverse,
        wire::Surface::AiSdkLanguage => Surface::AiSdkLanguage,
        wire::Surface::AiSdkEmbedding => Surface::AiSdkEmbedding,
        wire::Surface::AiSdkImage => Surface::AiSdkImage,
        wire::Surface::AiSdkReranking => Surface::AiSdkReranking,
        wire::Surface::AiSdkSpeech => Surface::AiSdkSpeech,
        wire::Surface::AiSdkTranscription => Surface::AiSdkTranscription,
        wire::Surface::AiSdkVideo => Surface::AiSdkVideo,
    })
}

pub(crate) fn refusal_cause(value: RefusalCause) -> wire::RefusalCause {
    match value {
        RefusalCause::Unauthenticated => wire::RefusalCause::Unauthenticated,
        RefusalCause::NotAllowed => wire::RefusalCause::NotAllowed,
        RefusalCause::UnknownModel => wire::RefusalCause::UnknownModel,
        RefusalCause::NotPriced => wire::RefusalCause::NotPriced,
        RefusalCause::BadRequest => wire::RefusalCause::BadRequest,
        RefusalCause::NoProvider => wire::RefusalCause::NoProvider,
        RefusalCause::Budget => wire::RefusalCause::Budget,
        RefusalCause::RateLimit => wire::RefusalCause::RateLimit,
        RefusalCause::TooLarge => wire::RefusalCause::TooLarge,
        RefusalCause::Unavailable => wire::RefusalCause::Unavailable,
        RefusalCause::Timeout => wire::RefusalCause::Timeout,
        RefusalCause::UpstreamFailed => wire::RefusalCause::UpstreamFailed,
    }
}

pub(crate) fn read_refusal_cause(value: wire::RefusalCause) -> Option<RefusalCause> {
    Some(match value {
        wire::RefusalCause::Unspecified => return None,
        wire::RefusalCause::Unauthenticated => RefusalCause::Unauthenticated,
        wire::RefusalCause::NotAllowed => RefusalCause::NotAllowed,
        wire::RefusalCause::UnknownModel => RefusalCause::UnknownModel,
        wire::RefusalCause::NotPriced => RefusalCause::NotPriced,
        wire::RefusalCause::BadRequest => RefusalCause::BadRequest,
        wire::RefusalCause::NoProvider => RefusalCause::NoProvider,
        wire::RefusalCause::Budget => RefusalCause::Budget,
        wire::RefusalCause::RateLimit => RefusalCause::RateLimit,
        wire::RefusalCause::TooLarge => RefusalCause::TooLarge,
        wire::RefusalCause::Unavailable => RefusalCause::Unavailable,
        wire::RefusalCause::Timeout => RefusalCause::Timeout,
        wire::RefusalCause::UpstreamFailed => RefusalCause::UpstreamFailed,
    })
}

type WireCallOutcome = (wire::CallOutcome, wire::RefusalCause, Option<BudgetId>);

pub(crate) fn call_outcome(value: &CallOutcome) -> WireCallOutcome {
    let plain = |outcome| (outcome, wire::RefusalCause::Unspecified, None);
    match *value {
        CallOutcome::Answered => plain(wire::CallOutcome::Answered),
        CallOutcome::Disconnected => plain(wire::CallOutcome::Disconnected),
        CallOutcome::Broken => plain(wire::CallOutcome::Broken),
        CallOutcome::UpstreamError => plain(wire::CallOutcome::UpstreamError),
        CallOutcome::Refused { cause, budget_id } => {
            (wire::CallOutcome::Refused, refusal_cause(cause), budget_id)
        }
    }
}

pub(crate) fn read_call_outcome(at: Fields, m: &wire::CallRecord) -> Result<CallOutcome, ConvertError> {
    let outcome = choice(at, "outcome", m.outcome, |outcome| match outcome {
        wire::CallOutcome::Unspecified => None,
        stated => Some(stated),
    })?;
    let plain = match outcome {
        wire::CallOutcome::Unspecified | wire::CallOutcome::Refused => None,
        wire::CallOutcome::Answered => Some(CallOutcome::Answered),
        wire::CallOutcome::Disconnected => Some(CallOutcome::Disconnected),
        wire::CallOutcome::Broken => Some(CallOutcome::Broken),
        wire::CallOutcome::UpstreamError => Some(CallOutcome::UpstreamError),
    };
    let Some(plain) = plain else {
        let budget_id: Option<BudgetId> =
            at.raw_id_opt("refusal_budget_id", m.refusal_budget_id.as_deref())?;
        let cause = choice(at, "refusal_cause", m.refusal_cause, read_refusal_cause)?;
        return Ok(CallOutcome::Refused { cause, budget_id });
    };
    if m.refusal_cause != 0 || m.refusal_budget_id.is_some() {
        return at.wrong("refusal_cause", Problem::Contradiction);
    }
    Ok(plain)
}

/// A data-handling tier's number; the gaps leave room.
pub(crate) const fn zdr_tier(value: ZdrTier) -> u32 {
    match value {
        ZdrTier::None => 0,
        ZdrTier::NoTraining => 10,
        ZdrTier::ZdrWithSafetyRetention => 20,
        ZdrTier::Zdr => 30,
    }
}

pub(crate) fn read_zdr_tier(at: Fields, field: &'static str, number: u32) -> Result<ZdrTier, ConvertError> {
    match number {
        0 => Ok(ZdrTier::None),
        10 => Ok(ZdrTier::NoTraining),
        20 => Ok(ZdrTier::ZdrWithSafetyRetention),
        30 => Ok(ZdrTier::Zdr),
        _ => at.wrong(field, Problem::UnknownName),
    }
}
