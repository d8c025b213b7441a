//! A stream of Converse to a client of Converse: the same frames, watched.

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
            if note(event.name(), &event.data(), facts) {
                out.pass(&ready.bytes, event.span);
            }
            if facts.fault.is_some() {
                break;
            }
        }
    }
}

/// Whether a client could read the frame.
fn note(name: &[u8], data: &[u8], facts: &mut Facts) -> bool {
    if data.is_empty() && !super::watch::is_error(name) {
        return true;
    }
    let Ok(root) = Value::parse(if data.is_empty() { b"{}" } else { data }) else {
        // It counts as output, so that it is paid for.
        facts.visible_bytes += data.len() as u64;
        facts.fault = Some(UNREADABLE);
        return false;
    };
    let seen = glance(name, &root);
    facts.started |= seen.output;
    facts.visible_bytes += seen.visible_bytes;
    facts.finished |= seen.finished;
    facts.ended |= seen.ended;
    facts.usage = seen.usage.or(facts.usage);
    if seen.error.is_some() {
        (facts.reported, facts.fault) = (seen.error, Some(AnswerFault::Reported));
    }
    true
}
