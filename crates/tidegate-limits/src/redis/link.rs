//! One connection to Redis: handshake, and asking with a hard stop.
//!
//! The handshake reads who the server is. A connection never changes its server, so what was
//! read holds as long as the connection lives.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, Pipeline, ServerError, ServerErrorKind, Value};
use tidegate_types::{Clock, Timestamp};
use tokio::time::{Instant, timeout, timeout_at};

use super::script::Scripts;
use crate::error::{LimitError, Unfit};

/// Longest time for connecting and the handshake.
const HANDSHAKE: Duration = Duration::from_secs(1);
/// A hard stop is waited for in so many slices, to see in which of them this process ran at all.
const SLICES: u32 = 5;
/// Silence is more than so many times the longest of the last round trips: a busy machine is no
/// outage.
const PATIENCE: u32 = 4;
/// What the first round trips of a connection are thought to take, until they are known.
const UNKNOWN: Duration = Duration::from_millis(25);
/// Further patience for each question that waits beside this one: a crowd makes the machine slow.
const IN_A_CROWD: Duration = Duration::from_millis(4);
/// Longest time for one question, in hard stops.
const LONGEST: u32 = 20;

/// A connection whose server may be used.
pub(super) struct Link {
    connection: MultiplexedConnection,
    run_id: String,
    spoiled: AtomicBool,
    began: Instant,
    /// When the last answer came, microseconds after `began`.
    answered: AtomicU64,
    /// Longest of the last round trips, microseconds.
    longest: AtomicU64,
    /// Questions without an answer.
    waiting: AtomicU32,
}

/// Why a question was not answered. The server may have acted on it all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// No answer in time, or the connection broke.
    Silent,
    /// The server answers, but not this script: it forgot it.
    Forgot,
    /// The server has become a replica.
    ReadOnly,
    /// The keys lie on another server of the cluster. Nothing was done.
    Moved,
    /// The keys are on their way to another server of the cluster. Nothing was done.
    Moving,
    /// The server answers, and its cluster refuses. Nothing was done.
    Down,
    /// The server answers with another error (out of memory, loading, not permitted).
    Server,
}

/// The server's clock against the local one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offset {
    /// Server minus local, microseconds.
    pub(super) micros: i64,
    /// How far it may be off: half the round trip, microseconds.
    pub(super) error: u64,
}

/// One of the questions that wait at a connection.
struct Crowd<'a>(&'a AtomicU32);

impl<'a> Crowd<'a> {
    fn join(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }

    fn others(&self) -> u32 {
        self.0.load(Ordering::Relaxed).saturating_sub(1)
    }
}

impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long a server has been silent while this process was there to hear it.
struct Silence {
    hard_stop: Duration,
    asked: Instant,
    /// How much silence is too much, without a crowd.
    enough: Duration,
    /// Present slice: its length and its end.
    slice: Duration,
    until: Instant,
    heard_for: Duration,
}

impl Silence {
    /// `longest`: of the last round trips.
    fn new(hard_stop: Duration, longest: Duration) -> Self {
        let (asked, slice) = (Instant::now(), hard_stop / SLICES);
        let enough = hard_stop.max(longest * PATIENCE);
        Self { hard_stop, asked, enough, slice, until: asked + slice, heard_for: Duration::ZERO }
    }

    /// Whether to wait for one more slice. One that ends much too late does not count: this process
    /// had no processor, and the answer may lie unread.
    fn goes_on(&mut self, last_answer: Instant, others: u32) -> bool {
        let now = Instant::now();
        let late = now.duration_since(self.until);
        if now.duration_since(last_answer) < self.slice {
            self.heard_for = Duration::ZERO;
        } else if late < self.hard_stop / SLICES {
            self.heard_for += self.slice + late;
        }
        let left = (self.enough + IN_A_CROWD * others).saturating_sub(self.heard_for);
        self.slice = left.min(self.hard_stop / SLICES);
        self.until = now + self.slice;
        left > Duration::ZERO && now.duration_since(self.asked) < self.hard_stop * LONGEST
    }
}

impl Link {
    /// Connects, loads the scripts and reads who the server is. `cluster`: it is to be a node of one.
    pub(super) async fn connect(
        client: &Client,
        scripts: &Scripts,
        cluster: bool,
    ) -> Result<Self, LimitError> {
        let shaken = timeout(HANDSHAKE, Self::shake_hands(client, scripts, cluster)).await;
        shaken.unwrap_or(Err(LimitError::Away))
    }

    async fn shake_hands(client: &Client, scripts: &Scripts, cluster: bool) -> Result<Self, LimitError> {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(None)
            .set_pipeline_buffer_size(1024);
        let connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|_| LimitError::Away)?;
        let mut link = Self {
            connection,
            run_id: String::new(),
            spoiled: AtomicBool::new(false),
            began: Instant::now(),
            answered: AtomicU64::new(0),
            longest: AtomicU64::new(UNKNOWN.as_micros() as u64),
            waiting: AtomicU32::new(0),
        };
        let mut pipeline = Pipeline::new();
        for section in ["server", "memory", "replication"] {
            pipeline.cmd("INFO").arg(section);
        }
        scripts.load(&mut pipeline);
        let replies = link.ask_many(&pipeline, HANDSHAKE).await.map_err(|_| LimitError::Away)?;
        let mode = replies.first().and_then(|reply| info(reply, "redis_mode:"));
        match mode {
            Some("cluster") if cluster => {}
            Some(mode @ ("cluster" | "sentinel")) => {
                return Err(LimitError::Unfit(Unfit::Mode(mode.to_owned())));
            }
            Some(_) if cluster => return Err(LimitError::Unfit(Unfit::NoCluster)),
            _ => {}
        }
        if replies.iter().skip(3).any(|reply| matches!(reply, Value::ServerError(_))) {
            return Err(LimitError::Unfit(Unfit::Command("SCRIPT LOAD")));
        }
        let run_id = replies.first().and_then(|reply| info(reply, "run_id:"));
        let policy = replies.get(1).and_then(|reply| info(reply, "maxmemory_policy:"));
        let (Some(run_id), Some(policy)) = (run_id, policy) else {
            return Err(LimitError::Unfit(Unfit::Command("INFO")));
        };
        // A replica will be promoted, or the address will lead elsewhere: worth waiting for.
        if replies.get(2).and_then(|reply| info(reply, "role:")) != Some("master") {
            return Err(LimitError::Away);
        }
        if policy != "noeviction" {
            return Err(LimitError::Unfit(Unfit::Eviction(policy.to_owned())));
        }
        link.run_id = run_id.to_owned();
        Ok(link)
    }

    /// Not to be used again: the server is no longer the one that counts.
    pub(super) fn spoil(&self) {
        self.spoiled.store(true, Ordering::Relaxed);
    }

    /// Identity of the server's process.
    pub(super) fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Asks one thing. The hard stop is for the server's silence: answers come in order, so while
    /// others come, this one is on its way.
    pub(super) async fn ask(&self, command: &Cmd, stop: Duration) -> Result<Value, Failure> {
        let mut connection = self.connection.clone();
        let (answer, asked) = self.heard(connection.send_packed_command(command), stop).await?;
        if answer.is_ok() {
            self.note_answer(asked);
        }
        match answer {
            Ok(Value::ServerError(error)) => match error.kind() {
                Some(ServerErrorKind::NoScript) => Err(Failure::Forgot),
                Some(ServerErrorKind::ReadOnly) => Err(Failure::ReadOnly),
                Some(ServerErrorKind::ClusterDown) if elsewhere(&error).is_none() => Err(Failure::Down),
                _ => Err(elsewhere(&error).unwrap_or(Failure::Server)),
            },
            Ok(value) => Ok(value),
            Err(_) => Err(Failure::Silent),
        }
    }

    /// The answer, unless the server is silent for too long; and when it was asked.
    async fn heard<T>(
        &self,
        question: impl Future<Output = T>,
        stop: Duration,
    ) -> Result<(T, Instant), Failure> {
        tokio::pin!(question);
        let crowd = Crowd::join(&self.waiting);
        let mut silence = Silence::new(stop, Duration::from_micros(self.longest.load(Ordering::Relaxed)));
        loop {
            match timeout_at(silence.until, &mut question).await {
                Ok(answer) => return Ok((answer, silence.asked)),
                Err(_) if silence.goes_on(self.last_answer(), crowd.others()) => {}
                Err(_) => return Err(Failure::Silent),
            }
        }
    }

    fn last_answer(&self) -> Instant {
        self.began + Duration::from_micros(self.answered.load(Ordering::Relaxed))
    }

    fn note_answer(&self, asked: Instant) {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.answered.store(micros(self.began.elapsed()), Ordering::Relaxed);
        // Forgotten over the next hundred answers or so.
        let before = self.longest.load(Ordering::Relaxed);
        self.longest.store(micros(asked.elapsed()).max(before - before.div_ceil(64)), Ordering::Relaxed);
    }

    /// Asks many things in one trip; the answers may be errors. The stop is for silence here too.
    pub(super) async fn ask_many(&self, pipeline: &Pipeline, stop: Duration) -> Result<Vec<Value>, Failure> {
        let mut connection = self.connection.clone();
        let asked = connection.send_packed_commands(pipeline, 0, pipeline.len());
        match self.heard(asked, stop).await? {
            (Ok(values), _) if values.len() == pipeline.len() => Ok(values),
            _ => Err(Failure::Silent),
        }
    }

    /// Teaches the server the scripts again.
    pub(super) async fn teach(&self, scripts: &Scripts, stop: Duration) -> Result<(), Failure> {
        let mut pipeline = Pipeline::new();
        scripts.load(&mut pipeline);
        self.ask_many(&pipeline, stop).await.map(|_| ())
    }

    /// Whether the server answers, and what its clock says.
    pub(super) async fn probe(&self, clock: &dyn Clock, stop: Duration) -> Result<Offset, Failure> {
        if self.spoiled.load(Ordering::Relaxed) {
            return Err(Failure::ReadOnly);
        }
        let (before, began) = (clock.now(), Instant::now());
        let reply = self.ask(&redis::cmd("TIME"), stop).await?;
        let trip = began.elapsed();
        let server = server_time(&reply).ok_or(Failure::Server)?;
        let half = i64::try_from(trip.as_micros() / 2).unwrap_or(i64::MAX);
        let micros = server.as_micros() - before.as_micros().saturating_add(half);
        Ok(Offset { micros, error: half.unsigned_abs() })
    }
}

/// Whether a node of a cluster says by this that the keys are not here, or not all of them.
pub(super) fn elsewhere(error: &ServerError) -> Option<Failure> {
    match error.kind()? {
        ServerErrorKind::Moved => Some(Failure::Moved),
        ServerErrorKind::Ask | ServerErrorKind::TryAgain => Some(Failure::Moving),
        // The slot is nobody's; the others are served.
        ServerErrorKind::ClusterDown if error.details()?.contains("not served") => Some(Failure::Moved),
        _ => None,
    }
}

/// The value of one line of INFO.
pub(super) fn info<'a>(reply: &'a Value, field: &str) -> Option<&'a str> {
    let bytes = match reply {
        Value::BulkString(bytes) => bytes.as_slice(),
        Value::VerbatimString { text, .. } => text.as_bytes(),
        _ => return None,
    };
    std::str::from_utf8(bytes).ok()?.lines().find_map(|line| line.strip_prefix(field)).map(str::trim)
}

pub(super) fn server_time(reply: &Value) -> Option<Timestamp> {
    let Value::Array(parts) = reply else { return None };
    let [Value::BulkString(seconds), Value::BulkString(micros)] = parts.as_slice() else { return None };
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<i64>().ok();
    Some(Timestamp::from_micros(number(seconds)? * 1_000_000 + number(micros)?))
}
