//! Scripted behaviour: latency, chunking, errors at any byte, missing usage.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which calls a rule applies to: those that match every field that is set.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Matcher {
    /// `sim-openai`, `sim-anthropic`, `sim-bedrock` …
    pub provider: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The last message contains this text.
    pub contains: Option<String>,
    /// Streams only, or plain calls only.
    pub stream: Option<bool>,
    /// The secret that it is signed in with, where that is sent as it is.
    pub key: Option<String>,
}

/// How an answer ends before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The connection is closed in order.
    Close,
    /// The connection is reset.
    Reset,
    /// Nothing more comes; the connection stays open.
    Stall,
    /// An error event of the dialect, then an orderly end.
    ErrorEvent,
    /// Bytes that are no event, then an orderly end.
    Garbage,
}

/// What is different about a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Answer with this status and an error body of the dialect.
    pub status: Option<u16>,
    /// Further answer headers, for example `retry-after`.
    pub headers: BTreeMap<String, String>,
    /// Wait before the head of the answer, in milliseconds.
    pub latency_ms: u64,
    /// Wait between the chunks of a stream, in milliseconds.
    pub chunk_delay_ms: u64,
    /// Tokens in a chunk of a stream.
    pub tokens_per_chunk: usize,
    /// Cut the body of the answer into writes of so many bytes.
    pub write_bytes: Option<usize>,
    /// Break off after so many bytes of the body (0: before the head of the answer).
    pub cut_after_bytes: Option<usize>,
    /// How to break off.
    pub ending: Ending,
    /// Leave usage out.
    pub omit_usage: bool,
    /// Tell a stream's usage (OpenAI chat) in `x_groq` of its last chunk with a choice, and nowhere else.
    pub usage_in_x_groq: bool,
    /// Bill hidden reasoning, up to the output limit.
    pub hidden_reasoning: bool,
    /// Bill the whole answer even when the caller leaves early.
    pub bill_after_abort: bool,
    /// Answer with this text.
    pub text: Option<String>,
    /// Answer with so many tokens (before the limit).
    pub output_tokens: Option<u64>,
    /// Answer, and bill, beyond the limit that the caller set.
    pub ignores_limit: bool,
}

impl Default for Faults {
    /// The worst provider: hidden reasoning, tokens after abort.
    fn default() -> Self {
        Self {
            status: None,
            headers: BTreeMap::new(),
            latency_ms: 0,
            chunk_delay_ms: 0,
            tokens_per_chunk: 1,
            write_bytes: None,
            cut_after_bytes: None,
            ending: Ending::Close,
            omit_usage: false,
            usage_in_x_groq: false,
            hidden_reasoning: true,
            bill_after_abort: true,
            text: None,
            output_tokens: None,
            ignores_limit: false,
        }
    }
}

/// A rule: the first one that matches and is not used up decides.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// Which calls.
    pub when: Matcher,
    /// How often; `None`: always.
    pub times: Option<u64>,
    /// What happens.
    pub then: Faults,
}

/// The whole script; replaces the one before.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Rules in order.
    pub rules: Vec<Rule>,
}

/// What a rule is matched against.
pub(crate) struct Call<'a> {
    pub(crate) provider: &'a str,
    pub(crate) model: &'a str,
    pub(crate) last_text: &'a str,
    pub(crate) stream: bool,
    /// The secret that was presented.
    pub(crate) key: &'a str,
}

impl Script {
    /// What happens to this call; uses up one time of the rule that decides.
    pub(crate) fn decide(&mut self, call: &Call<'_>) -> Faults {
        let rule = self.rules.iter_mut().find(|rule| rule.times != Some(0) && rule.when.matches(call));
        let Some(rule) = rule else { return Faults::default() };
        if let Some(times) = &mut rule.times {
            *times -= 1;
        }
        rule.then.clone()
    }
}

impl Matcher {
    fn matches(&self, call: &Call<'_>) -> bool {
        self.provider.as_deref().is_none_or(|provider| provider == call.provider)
            && self.model.as_deref().is_none_or(|model| model == call.model)
            && self.contains.as_deref().is_none_or(|text| call.last_text.contains(text))
            && self.stream.is_none_or(|stream| stream == call.stream)
            && self.key.as_deref().is_none_or(|key| key == call.key)
    }
}
