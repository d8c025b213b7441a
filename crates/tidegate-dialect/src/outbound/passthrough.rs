//! The same dialect in and out: the client's bytes with a closed table of edits.
//!
//! | where | when |
//! |---|---|
//! | `model` | always: the provider's name of it |
//! | fields for the gateway | always taken out |
//! | `messages[].provider_metadata` | always taken out: answers of ours carry it, SDKs send it back |
//! | `stream_options.include_usage` (OpenAI) | streams that did not ask for usage |
//! | output limit | under a hard budget |
//! | `store` (OpenAI) | under ZDR: false |

use bytes::Bytes;

use super::{Edits, LimitKey};
use crate::Dialect;
use crate::json::{Span, Splices, Value, write_text};
use crate::read::{CallBody, Spot, removals};
use crate::registry::Effect;

/// The edited body; the very same bytes when there is nothing to edit.
pub(super) fn request(call: &CallBody, edits: &Edits<'_>) -> Bytes {
    let mut body = Body { call, splices: Splices::default(), added: Vec::new() };
    if call.model != edits.model {
        let mut name = Vec::new();
        write_text(&mut name, edits.model);
        body.set("model", name);
    }
    body.take_out();
    if let Some(limit) = edits.output_limit {
        body.limit(limit, edits.limit_key);
    }
    if call.surface == Dialect::OpenaiChat {
        if call.stream && !call.asked_usage {
            body.ask_usage();
        }
        if edits.no_store && body.value("store").is_none_or(|store| store.bool() != Some(false)) {
            body.set("store", "false");
        }
    }
    body.finish()
}

struct Body<'c> {
    call: &'c CallBody,
    splices: Splices,
    /// New members, each with a leading comma.
    added: Vec<u8>,
}

impl<'c> Body<'c> {
    fn spot(&self, name: &str) -> Option<&'c Spot> {
        self.call.spots.members.iter().find(|spot| spot.field.is_some_and(|field| field.name == name))
    }

    fn value(&self, name: &str) -> Option<Value<'c>> {
        let value = Value::validated(&self.call.bytes, self.spot(name)?.value);
        (!value.is_null()).then_some(value)
    }

    /// Replaces a member's value, or adds the member.
    fn set(&mut self, name: &str, json: impl Into<Vec<u8>>) {
        let json = json.into();
        match self.spot(name) {
            Some(spot) => self.splices.replace(spot.value, json),
            None => {
                self.added.push(b',');
                write_text(&mut self.added, name);
                self.added.push(b':');
                self.added.extend_from_slice(&json);
            }
        }
    }

    fn take_out(&mut self) {
        let members = &self.call.spots.members;
        if members.iter().any(for_gateway) {
            let marked: Vec<_> =
                members.iter().map(|spot| (for_gateway(spot), spot.start, spot.value.end)).collect();
            removals(&marked).into_iter().for_each(|span| self.splices.remove(span));
        }
        self.call.spots.echoes.iter().for_each(|span| self.splices.remove(*span));
    }

    fn limit(&mut self, limit: u64, key: LimitKey) {
        let keys: &[&str] = match self.call.surface {
            Dialect::OpenaiChat => &["max_completion_tokens", "max_tokens"],
            Dialect::AnthropicMessages => &["max_tokens"],
        };
        let given: Vec<_> = keys.iter().filter_map(|key| Some((*key, self.value(key)?))).collect();
        let text = limit.to_string();
        for (key, value) in &given {
            if value.whole().is_none_or(|asked| asked > limit) {
                self.set(key, text.as_str());
            }
        }
        match (given.as_slice(), self.call.surface, key) {
            ([], Dialect::OpenaiChat, LimitKey::MaxCompletionTokens) => {
                self.set("max_completion_tokens", text)
            }
            ([], ..) => self.set("max_tokens", text),
            // A service that knows only the old key would read no limit at all.
            ([("max_completion_tokens", asked)], _, LimitKey::MaxTokens) => {
                let limit = asked.whole().unwrap_or(limit).min(limit);
                self.rename("max_completion_tokens", "max_tokens", limit);
            }
            _ => {}
        }
    }

    /// Gives a member another key and value; where that key is there too (as null), it gets the value.
    fn rename(&mut self, from: &str, to: &str, value: u64) {
        let Some(spot) = self.spot(from) else { return };
        if self.spot(to).is_some() {
            return self.set(to, value.to_string());
        }
        self.splices.replace(Span { start: spot.start, end: spot.value.end }, format!(r#""{to}":{value}"#));
    }

    fn ask_usage(&mut self) {
        let Some(options) = self.value("stream_options") else {
            return self.set("stream_options", r#"{"include_usage":true}"#);
        };
        if let Some(asked) = options.get("include_usage") {
            return self.splices.replace(asked.span(), "true");
        }
        let lead = if options.members().next().is_some() { "," } else { "" };
        let end = options.span().end.saturating_sub(1);
        self.splices.replace(Span::at(end), format!(r#"{lead}"include_usage":true"#));
    }

    fn finish(mut self) -> Bytes {
        if !self.added.is_empty() {
            // Before the closing brace. `model` is always a member, so a comma is always right.
            let end = self.call.spots.root.end.saturating_sub(1);
            self.splices.replace(Span::at(end), self.added);
        }
        self.splices.apply(&self.call.bytes)
    }
}

fn for_gateway(spot: &Spot) -> bool {
    spot.field.is_some_and(|field| field.effect == Effect::Gateway)
}
