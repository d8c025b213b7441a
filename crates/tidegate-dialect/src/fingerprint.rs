//! What an answer depends on of a request's body, as a sequence of bytes for a keyed hash.
//!
//! Two bodies with the same sequence ask for the same: blanks, the order of the outermost members, how text
//! is escaped and labels make no difference, everything else does. Below the outermost members order counts,
//! for models see it (schemas). Knows no hash and no key.

use crate::Dialect;
use crate::json::{Document, Kind, Member, Span, Value};
use crate::read::CallBody;

/// Feeds `sink`. False: what is asked for has to be asked each time: the provider is to keep it under a name,
/// or the body is no JSON.
#[must_use]
pub fn feed(call: &CallBody, sink: &mut dyn FnMut(&[u8])) -> bool {
    let bytes = call.bytes();
    let Ok(document) = Document::parse(bytes) else { return false };
    let root = document.root();
    let mut members: Vec<Member<'_>> =
        root.members().filter(|member| !is_label(call.surface, &member.key)).collect();
    if members.iter().any(is_kept_by_provider) {
        return false;
    }
    members.sort_by(|one, other| one.key.cmp(&other.key));
    let mut feeder = Feeder { echoes: &call.spots.echoes, sink };
    for member in &members {
        feeder.text(&member.key);
        if member.key == "providerOptions" {
            feeder.options(&member.value);
        } else {
            feeder.value(&member.value);
        }
    }
    true
}

/// Outermost members that name who asks, or that are told elsewhere: the model and whether to stream stand
/// in the path for some. Where answers repeat them (OpenAI's responses) labels make a difference.
fn is_label(surface: Dialect, key: &str) -> bool {
    match key {
        "model" | "stream" => true,
        "user" | "safety_identifier" => surface == Dialect::OpenaiChat,
        "metadata" => matches!(surface, Dialect::OpenaiChat | Dialect::AnthropicMessages),
        _ => false,
    }
}

fn is_kept_by_provider(member: &Member<'_>) -> bool {
    match &*member.key {
        "store" | "background" => member.value.bool() == Some(true),
        "previous_response_id" | "conversation" => !member.value.is_null(),
        _ => false,
    }
}

struct Feeder<'f> {
    /// What our own answers put into messages, and no provider sees.
    echoes: &'f [Span],
    sink: &'f mut dyn FnMut(&[u8]),
}

impl Feeder<'_> {
    /// The gateway's options without labels; those for single providers as they are.
    fn options(&mut self, options: &Value<'_>) {
        if options.kind() != Kind::Object {
            return self.value(options);
        }
        (self.sink)(b"{");
        for member in options.members() {
            self.text(&member.key);
            if member.key != "gateway" || member.value.kind() != Kind::Object {
                self.value(&member.value);
                continue;
            }
            (self.sink)(b"{");
            for option in member.value.members().filter(|option| !matches!(&*option.key, "user" | "tags")) {
                self.text(&option.key);
                self.value(&option.value);
            }
            (self.sink)(b"}");
        }
        (self.sink)(b"}");
    }

    fn value(&mut self, value: &Value<'_>) {
        match value.kind() {
            Kind::Object => {
                (self.sink)(b"{");
                for member in value.members().filter(|member| !is_in(self.echoes, member.start)) {
                    self.text(&member.key);
                    self.value(&member.value);
                }
                (self.sink)(b"}");
            }
            Kind::Array => {
                (self.sink)(b"[");
                for element in value.elements() {
                    self.value(&element);
                }
                (self.sink)(b"]");
            }
            Kind::Text => match value.text() {
                Some(read) => self.text(&read),
                // Half a pair of surrogates: as it is written.
                None => self.piece(b'r', value.raw()),
            },
            // As written: 1.0 and 1 may be read differently, and no number is too long for this.
            Kind::Null | Kind::Bool | Kind::Number => self.piece(b'n', value.raw()),
        }
    }

    fn text(&mut self, text: &str) {
        self.piece(b's', text.as_bytes());
    }

    /// With its length, so that no two sequences of pieces are the same bytes.
    fn piece(&mut self, kind: u8, bytes: &[u8]) {
        (self.sink)(&[kind]);
        (self.sink)(&(bytes.len() as u64).to_be_bytes());
        (self.sink)(bytes);
    }
}

fn is_in(spans: &[Span], place: usize) -> bool {
    spans.iter().any(|span| (span.start..span.end).contains(&place))
}
