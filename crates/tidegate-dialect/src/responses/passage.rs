//! A stream to a client of the same dialect: the same bytes, watched. It always carries usage.

use super::watch::Watch;
use crate::AnswerFault;
use crate::codec::Passage;
use crate::json::Value;
use crate::sse::Ready;
use crate::stream::{Facts, Out, UNREADABLE};

/// State of such a stream.
#[derive(Default)]
pub(super) struct Passthrough {
    watch: Watch,
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
        if data.is_empty() || data == b"[DONE]" {
            return true;
        }
        let Ok(root) = Value::parse(data) else {
            // It counts as output, so that it is paid for.
            facts.visible_bytes += data.len() as u64;
            facts.fault = Some(UNREADABLE);
            return false;
        };
        let seen = self.watch.glance(&root);
        facts.started |= seen.output;
        facts.visible_bytes += seen.visible_bytes;
        facts.finished |= seen.finished;
        facts.ended |= seen.finished;
        facts.usage = seen.usage.or(facts.usage);
        if seen.error.is_some() {
            (facts.reported, facts.fault) = (seen.error, Some(AnswerFault::Reported));
        }
        true
    }
}
