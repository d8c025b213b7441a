//! The same dialect in and out: the client's bytes with a closed table of edits. The table is the first of
//! `docs/dialects.md`, made from `tests/it/edits.rs`, which holds every dialect to it in both directions.

use bytes::Bytes;

use super::Edits;
use crate::codec;
use crate::json::{Span, Splices, Value, write_text};
use crate::read::{CallBody, Spot, Way, removals};
use crate::registry::Effect;

/// The edited body; the very same bytes when there is nothing to edit.
pub(super) fn request(call: &CallBody, edits: &Edits<'_>) -> Bytes {
    let mut body = Body::new(call);
    let codec = codec::of(call.surface);
    if codec.names_model && call.model != edits.model {
        let mut name = Vec::new();
        write_text(&mut name, edits.model);
        body.set("model", name);
    }
    body.take_out();
    // A compaction has neither a limit nor a place where it is kept.
    if call.way != Way::Compact {
        (codec.edit)(&mut body, edits);
    } else if edits.no_store && body.value("prompt_cache_retention").is_some() {
        body.set("prompt_cache_retention", *br#""in_memory""#);
    }
    super::caching::edit(&mut body);
    body.finish()
}

/// A client's body and its edits.
pub(crate) struct Body<'c> {
    pub(crate) call: &'c CallBody,
    splices: Splices,
    /// New members, each with a leading comma.
    added: Vec<u8>,
    /// A member of the client's stays, for the new ones to stand behind.
    stays: bool,
}

impl<'c> Body<'c> {
    /// Nothing edited yet.
    pub(crate) fn new(call: &'c CallBody) -> Self {
        let stays = !call.spots.members.is_empty();
        Self { call, splices: Splices::default(), added: Vec::new(), stays }
    }

    fn spot(&self, name: &str) -> Option<&'c Spot> {
        self.call.spots.members.iter().find(|spot| spot.field.is_some_and(|field| field.name == name))
    }

    /// Whether the member is there, null or not.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.spot(name).is_some()
    }

    /// A top-level member, unless it is absent or null.
    pub(crate) fn value(&self, name: &str) -> Option<Value<'c>> {
        let value = Value::validated(&self.call.bytes, self.spot(name)?.value);
        (!value.is_null()).then_some(value)
    }

    /// Replaces a member's value, or adds the member.
    pub(crate) fn set(&mut self, name: &str, json: impl Into<Vec<u8>>) {
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

    /// Takes out what was meant for the gateway.
    pub(crate) fn take_out(&mut self) {
        let members = &self.call.spots.members;
        if members.iter().any(for_gateway) {
            let marked: Vec<_> =
                members.iter().map(|spot| (for_gateway(spot), spot.start, spot.value.end)).collect();
            removals(&marked).into_iter().for_each(|span| self.splices.remove(span));
            self.stays = marked.iter().any(|(marked, ..)| !marked);
        }
        self.call.spots.echoes.iter().for_each(|span| self.splices.remove(*span));
    }

    /// Sets the output limit under this key, unless the client's own is lower.
    pub(crate) fn limit(&mut self, key: &str, limit: u64) {
        if self.value(key).and_then(|asked| asked.whole()).is_none_or(|asked| asked > limit) {
            self.set(key, limit.to_string());
        }
    }

    /// Replaces a span of the client's bytes.
    pub(crate) fn replace(&mut self, span: Span, text: impl Into<Vec<u8>>) {
        self.splices.replace(span, text);
    }

    /// Gives a member another key and value; where that key is there too (as null), it gets the value.
    pub(crate) fn rename(&mut self, from: &str, to: &str, value: u64) {
        let Some(spot) = self.spot(from) else { return };
        if self.spot(to).is_some() {
            return self.set(to, value.to_string());
        }
        self.splices.replace(Span { start: spot.start, end: spot.value.end }, format!(r#""{to}":{value}"#));
    }

    /// The edited bytes.
    pub(crate) fn finish(mut self) -> Bytes {
        if !self.added.is_empty() {
            // Before the closing brace; in an object of which nothing stays without the comma.
            let end = self.call.spots.root.end.saturating_sub(1);
            if !self.stays {
                self.added.remove(0);
            }
            self.splices.replace(Span::at(end), self.added);
        }
        self.splices.apply(&self.call.bytes)
    }
}

fn for_gateway(spot: &Spot) -> bool {
    spot.field.is_some_and(|field| field.effect == Effect::Gateway)
}
