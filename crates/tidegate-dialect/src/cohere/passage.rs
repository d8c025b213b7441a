//! A Cohere stream to a Cohere client: the same bytes, watched.

use super::watch::glance;
use crate::AnswerFault;
use crate::codec::Passage;
use crate::json::Value;
use crate::sse::Ready;
use crate::stream::{Facts, Out, UNREADABLE};

/// Such a stream has no state: its counts come once, at the end.
pub(super) struct Passthrough;

impl Passage for Passthrough {
    fn take(&mut self, ready: &Ready, facts: &mut Facts, out: &mut Out<'_>) {
        for event in ready.events() {
            if note(&event.data(), facts) {
                out.pass(&ready.bytes, event.span);
            }
            if facts.fault.is_some() {
                break;
            }
        }
    }
}

/// Whether a client could read the event.
fn note(data: &[u8], facts: &mut Facts) -> bool {
    if data.is_empty() || data == b"[DONE]" {
        return true;
    }
    let Ok(root) = Value::parse(data) else {
        // It counts as output, so that it is paid for.
        facts.visible_bytes += data.len() as u64;
        facts.fault = Some(UNREADABLE);
        return false;
    };
    let seen = glance(&root);
    facts.started |= seen.output;
    facts.visible_bytes += seen.visible_bytes;
    facts.usage = seen.usage.or(facts.usage);
    if seen.error.is_some() {
        (facts.reported, facts.fault) = (seen.error, Some(AnswerFault::Reported));
    } else if seen.ended {
        (facts.finished, facts.ended) = (true, true);
    }
    true
}
