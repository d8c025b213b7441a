//! Whose dialect a language model is called in: its reader, its errors.

use http::header;
use serde_json::Value;

use crate::ask::{Ask, Invalid};
use crate::reply::{Answer, plain_answer};
use crate::{anthropic, bedrock, cohere, gemini, openai, responses};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Openai,
    Responses,
    Anthropic,
    Gemini,
    Bedrock,
    Cohere,
}

impl Dialect {
    pub(crate) const fn provider(self) -> &'static str {
        match self {
            Self::Openai | Self::Responses => "sim-openai",
            Self::Anthropic => "sim-anthropic",
            Self::Gemini => "sim-gemini",
            Self::Bedrock => "sim-bedrock",
            Self::Cohere => "sim-cohere",
        }
    }

    pub(crate) fn read(self, address: &str, body: &Value) -> Result<Ask, Invalid> {
        match self {
            Self::Openai => openai::read(body),
            Self::Responses => responses::read(body),
            Self::Anthropic if anthropic::counts(address) => anthropic::read_to_count(body),
            Self::Anthropic => anthropic::read(body),
            Self::Gemini => gemini::read(address, body),
            Self::Bedrock => bedrock::read(address, body),
            Self::Cohere => cohere::read(body),
        }
    }

    pub(crate) fn error_body(self, invalid: &Invalid) -> Vec<u8> {
        match self {
            Self::Openai | Self::Responses => openai::error_body(invalid),
            Self::Anthropic => anthropic::error_body(invalid),
            Self::Gemini => gemini::error_body(invalid),
            Self::Bedrock => bedrock::error_body(invalid),
            Self::Cohere => cohere::error_body(invalid),
        }
    }

    pub(crate) fn error_event(self) -> Vec<u8> {
        match self {
            Self::Openai => openai::error_event(),
            Self::Responses => responses::error_event(),
            Self::Anthropic => anthropic::error_event(),
            Self::Gemini => gemini::error_event(),
            Self::Bedrock => bedrock::error_event(),
            Self::Cohere => cohere::error_event(),
        }
    }
}

impl Dialect {
    /// The answer to a request that is not taken.
    pub(crate) fn refusal(self, invalid: &Invalid) -> Answer {
        let mut answer = plain_answer(invalid.status, self.error_body(invalid));
        if self == Self::Bedrock {
            let kind = header::HeaderValue::from_static(bedrock::error_type(invalid));
            answer.headers_mut().insert("x-amzn-errortype", kind);
        }
        answer
    }
}
