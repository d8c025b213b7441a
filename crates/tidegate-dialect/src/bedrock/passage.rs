//! A stream of Converse to a client of Converse: the same frames, watched.

use tidegate_types::usage::Usage;

use super::watch::glance;
use crate::AnswerFault;
use crate::codec::Passage;
use crate::json::Value;
use crate::sse::Ready;
use crate::stream::{Facts, Out, UNREADABLE};

/// Counts come once, at the end, without the searches before it.
#[derive(Default)]
pub(super) struct Passthrough {
    searches: u64,
}

impl Passage for Passthrough {
    fn take(&mut self, ready: &Ready, facts: &mut Facts, out: &mut Out<'_>) {
        for event in ready.events() {
            if note(event.name(), &event.data(), facts, &mut self.searches) {
                out.pass(&ready.bytes, event.span);
            }
            if facts.fault.is_some() {
                break;
            }
        }
    }
}

/// Whether a client could read the frame.
fn note(name: &[u8], data: &[u8], facts: &mut Facts, searches: &mut u64) -> bool {
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
    *searches += u64::from(seen.searches);
    facts.usage = seen.usage.map(|usage| Usage { searches: *searches, ..usage }).or(facts.usage);
    if seen.error.is_some() {
        (facts.reported, facts.fault) = (seen.error, Some(AnswerFault::Reported));
    }
    true
}
