//! What the nodes of a pool tell one another: short notes in streams of bounded length, one trip for
//! telling and hearing; and what one of them may have at a time. Knows nothing of what is told. Whoever is away hears later, or never.

use std::time::Duration;

use redis::{Pipeline, Value};

use super::RedisStore;
use crate::error::LimitError;

/// What is told of: each has notes of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Board {
    /// Providers: soon out of date. Whoever begins to listen hears the last five minutes.
    News,
    /// Access that was taken from virtual keys: what whoever cannot hear the control plane has to know, for as long as
    /// nodes serve without it. Whoever begins to listen hears all that is kept, some hundred in each trip, until a trip
    /// brings none.
    Revocations,
    /// Published copies of the configuration: the newest of them. Whoever begins to listen hears all that is kept.
    Copies,
}

impl Board {
    fn key(self) -> &'static str {
        match self {
            Self::News => "tg:{fleet}:news",
            Self::Revocations => "tg:{fleet}:revoked",
            Self::Copies => "tg:{fleet}:copies",
        }
    }

    /// About so many notes are kept.
    fn kept(self) -> usize {
        match self {
            Self::News => 2_000,
            Self::Revocations => 20_000,
            Self::Copies => 1_000,
        }
    }

    /// How far back somebody hears who begins to listen.
    fn back_micros(self) -> i64 {
        match self {
            Self::News => 300 * 1_000_000,
            Self::Revocations | Self::Copies => i64::MAX,
        }
    }
}

/// Most notes heard in one trip.
const HEARD: usize = 500;
/// Longest time for one trip.
const TRIP: Duration = Duration::from_secs(1);

/// How far somebody has heard, and of which run of the store.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    after: Option<String>,
    run: Option<String>,
}

impl Heard {
    /// The run of the store that was heard last. Another one may have lost what was told before, or got its own: hear it
    /// from the beginning, and tell again.
    #[must_use]
    pub fn run(&self) -> Option<&str> {
        self.run.as_deref()
    }
}

/// Before the name of what one caller may have at a time.
const CLAIM: &str = "tg:{fleet}:probe:";
/// Before the name of what one owner has, and shows that it is the one.
const OWNED: &str = "tg:{fleet}:owned:";

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

    pub(crate) async fn own(&self, what: &str, owner: &[u8], span: Duration) -> Result<bool, LimitError> {
        let shard = self.route.fleet();
        let link = shard.breaker.back().ok_or(LimitError::Away)?;
        let (key, millis) = (format!("{OWNED}{what}"), u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        let (mut take, mut look) = (redis::cmd("SET"), redis::cmd("GET"));
        take.arg(&key).arg(owner).arg("NX").arg("PX").arg(millis);
        look.arg(&key);
        // What ended between both is free.
        for command in [&take, &look, &take, &look] {
            match shard.breaker.ask_back(&link, command, TRIP).await {
                Ok(Value::ServerError(_)) | Err(_) => return Err(LimitError::Away),
                // Somebody has it.
                Ok(Value::Nil) => {}
                Ok(Value::BulkString(held)) => return Ok(held == owner),
                Ok(_) => return Ok(true),
            }
        }
        Err(LimitError::Away)
    }

    pub(crate) async fn tell(
        &self,
        board: Board,
        notes: &[&[u8]],
        heard: &mut Heard,
    ) -> Result<Vec<Vec<u8>>, LimitError> {
        let shard = self.route.fleet();
        let link = shard.breaker.back().ok_or(LimitError::Away)?;
        let mut trip = Pipeline::with_capacity(notes.len() + 1);
        for note in notes {
            trip.cmd("XADD")
                .arg(board.key())
                .arg("MAXLEN")
                .arg("~")
                .arg(board.kept())
                .arg("*")
                .arg("n")
                .arg(note);
        }
        let begin = || {
            let back = self.now().as_micros().saturating_sub(board.back_micros()).max(0) / 1_000;
            format!("{back}-0")
        };
        if heard.run.as_deref() != Some(link.run_id()) {
            heard.after = None;
        }
        let after = heard.after.get_or_insert_with(begin);
        trip.cmd("XRANGE").arg(board.key()).arg(format!("({after}")).arg("+").arg("COUNT").arg(HEARD);
        // Not worth opening the breaker for: budgets do not wait for it.
        let replies = link.ask_many(&trip, TRIP).await.map_err(|_| LimitError::Away)?;
        if replies.iter().any(|reply| matches!(reply, Value::ServerError(_))) {
            shard.breaker.heard(&replies);
            return Err(LimitError::Away);
        }
        heard.run = Some(link.run_id().to_owned());
        let Some(Value::Array(entries)) = replies.last() else { return Ok(Vec::new()) };
        let mut notes = Vec::with_capacity(entries.len());
        for entry in entries {
            let Value::Array(parts) = entry else { continue };
            let [Value::BulkString(id), Value::Array(fields)] = parts.as_slice() else { continue };
            if let Ok(id) = std::str::from_utf8(id) {
                heard.after = Some(id.to_owned());
            }
            if let [_, Value::BulkString(note)] = fields.as_slice() {
                notes.push(note.clone());
            }
        }
        Ok(notes)
    }
}
