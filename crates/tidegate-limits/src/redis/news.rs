//! What the nodes of a pool tell one another: short notes in streams of bounded length, one trip for
//! telling and hearing; and what one of them may have at a time. Knows nothing of what is told. Whoever is away hears later, or never.

use std::time::Duration;

use redis::{Pipeline, Value};

use super::RedisStore;
use crate::error::LimitError;

/// What one tells of.
#[derive(Debug)]
pub(crate) struct Board {
    key: &'static str,
    /// About so many notes are kept.
    kept: usize,
    /// How far back somebody hears who begins to listen.
    back_micros: i64,
}

/// What is soon out of date.
pub(crate) const NEWS: Board = Board { key: "tg:{fleet}:news", kept: 2_000, back_micros: 300 * 1_000_000 };
/// What whoever cannot hear the control plane has to know, for as long as nodes serve without it.
pub(crate) const REVOCATIONS: Board =
    Board { key: "tg:{fleet}:revoked", kept: 20_000, back_micros: i64::MAX };

/// Most notes heard in one trip.
const HEARD: usize = 500;
/// Longest time for one trip.
const TRIP: Duration = Duration::from_secs(1);

/// How far somebody has heard.
#[derive(Debug, Clone, Default)]
pub struct Heard(Option<String>);

/// Before the name of what one caller may have at a time.
const CLAIM: &str = "tg:{fleet}:probe:";

impl RedisStore {
    pub(crate) async fn claim(&self, what: &str, span: Duration) -> Result<bool, LimitError> {
        let shard = self.route.fleet();
        let link = shard.breaker.back().ok_or(LimitError::Away)?;
        let mut claim = redis::cmd("SET");
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        claim.arg(format!("{CLAIM}{what}")).arg(1).arg("NX").arg("PX").arg(millis);
        // On the request's path; the breaker is for decisions about money.
        match shard.breaker.ask_back(&link, &claim, shard.breaker.decision()).await {
            Ok(Value::Nil) => Ok(false),
            Ok(Value::ServerError(_)) | Err(_) => Err(LimitError::Away),
            Ok(_) => Ok(true),
        }
    }

    pub(crate) async fn tell(
        &self,
        board: &Board,
        notes: &[&[u8]],
        heard: &mut Heard,
    ) -> Result<Vec<Vec<u8>>, LimitError> {
        let shard = self.route.fleet();
        let link = shard.breaker.back().ok_or(LimitError::Away)?;
        let mut trip = Pipeline::with_capacity(notes.len() + 1);
        for note in notes {
            trip.cmd("XADD")
                .arg(board.key)
                .arg("MAXLEN")
                .arg("~")
                .arg(board.kept)
                .arg("*")
                .arg("n")
                .arg(note);
        }
        let begin = || {
            let back = self.now().as_micros().saturating_sub(board.back_micros).max(0) / 1_000;
            format!("{back}-0")
        };
        let after = heard.0.get_or_insert_with(begin);
        trip.cmd("XRANGE").arg(board.key).arg(format!("({after}")).arg("+").arg("COUNT").arg(HEARD);
        // Not worth opening the breaker for: budgets do not wait for it.
        let replies = link.ask_many(&trip, TRIP).await.map_err(|_| LimitError::Away)?;
        if replies.iter().any(|reply| matches!(reply, Value::ServerError(_))) {
            shard.breaker.heard(&replies);
            return Err(LimitError::Away);
        }
        let Some(Value::Array(entries)) = replies.last() else { return Ok(Vec::new()) };
        let mut notes = Vec::with_capacity(entries.len());
        for entry in entries {
            let Value::Array(parts) = entry else { continue };
            let [Value::BulkString(id), Value::Array(fields)] = parts.as_slice() else { continue };
            if let Ok(id) = std::str::from_utf8(id) {
                heard.0 = Some(id.to_owned());
            }
            if let [_, Value::BulkString(note)] = fields.as_slice() {
                notes.push(note.clone());
            }
        }
        Ok(notes)
    }
}
