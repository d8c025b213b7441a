//! A Gemini stream to a Gemini client: the same bytes, watched.

use super::watch::glance;
use crate::AnswerFault;
use crate::codec::Passage;
use crate::json::Value;
use crate::sse::Ready;
use crate::stream::{Facts, Out, UNREADABLE};

/// State of such a stream.
#[derive(Default)]
pub(super) struct Passthrough {
    seen: u128,
    finished: u128,
    /// Most searches that an event told of: later ones repeat earlier ones.
    searches: u64,
}

impl Passage for Passthrough {
    fn take(&mut self, ready: &Ready, facts: &mut Facts, out: &mut Out<'_>) {
        for event in ready.events() {
            if self.note(&event.data(), facts) {
                out.pass(&ready.bytes, event.span);
            }
            if facts.fault.is_some() {
                break;
            }
        }
    }
}

impl Passthrough {
    /// Whether a client could read the event.
    fn note(&mut self, data: &[u8], facts: &mut Facts) -> bool {
        if data.is_empty() {
            return true;
        }
        let Ok(root) = Value::parse(data) else {
            // It counts as output, so that it is paid for.
            facts.visible_bytes += data.len() as u64;
            facts.fault = Some(UNREADABLE);
            return false;
        };
        let seen = glance(&root);
        if seen.error.is_some() {
            (facts.reported, facts.fault) = (seen.error, Some(AnswerFault::Reported));
            return true;
        }
        self.seen |= seen.seen;
        self.finished |= seen.finished;
        facts.visible_bytes += seen.visible_bytes;
        facts.started |= seen.visible_bytes > 0 || seen.finished != 0;
        let finished = self.seen != 0 && self.seen == self.finished;
        // Counts grow with the stream: those before the finish are not the whole.
        facts.usage = if finished && !facts.finished { seen.usage } else { seen.usage.or(facts.usage) };
        facts.finished = finished;
        self.searches = self.searches.max(seen.searches);
        if let Some(usage) = &mut facts.usage {
            usage.searches = self.searches;
        }
        true
    }
}
