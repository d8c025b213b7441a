//! What a simulator remembers: script, bill, journal.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;

use crate::bill::{Bill, BilledCall, BilledUsage, ModelPrice, Tariff};
use crate::complete::Counts;
use crate::script::{Call, Faults, Script};
use crate::tasks::video::Job;

/// How a simulator is set up.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Prices by model; other models cost $0.50 / $2.00 a million tokens.
    pub prices: BTreeMap<String, ModelPrice>,
    /// Accepted keys; empty: every key that is not empty.
    pub keys: Vec<String>,
    /// Requests that the journal remembers, the newest win.
    pub journal_size: usize,
}

/// One request, as it arrived.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Received {
    pub(crate) call_id: String,
    pub(crate) provider: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

/// Shared by all connections.
#[derive(Debug)]
pub(crate) struct State {
    tariff: Mutex<Tariff>,
    keys: Vec<String>,
    script: Mutex<Script>,
    bill: Mutex<Bill>,
    journal: Mutex<VecDeque<Received>>,
    journal_size: usize,
    calls: AtomicU64,
    /// Hashes of cached prefixes.
    cache: Mutex<HashSet<u64>>,
    /// Jobs that make videos, by their names.
    jobs: Mutex<BTreeMap<String, Job>>,
}

impl State {
    pub(crate) fn new(settings: Settings) -> Self {
        let journal_size = if settings.journal_size == 0 { 1000 } else { settings.journal_size };
        Self {
            tariff: Mutex::new(Tariff::new(settings.prices)),
            keys: settings.keys,
            script: Mutex::default(),
            bill: Mutex::default(),
            journal: Mutex::default(),
            journal_size,
            calls: AtomicU64::new(0),
            cache: Mutex::default(),
            jobs: Mutex::default(),
        }
    }

    pub(crate) fn accepts(&self, key: &str) -> bool {
        !key.is_empty() && (self.keys.is_empty() || self.keys.iter().any(|known| known == key))
    }

    /// Names of the models with a price.
    pub(crate) fn models(&self) -> Vec<String> {
        self.tariff.lock().models()
    }

    /// These models cost this from now on.
    pub(crate) fn set_prices(&self, prices: BTreeMap<String, ModelPrice>) {
        self.tariff.lock().set(prices);
    }

    pub(crate) fn set_script(&self, script: Script) {
        *self.script.lock() = script;
    }

    pub(crate) fn decide(&self, call: &Call<'_>) -> Faults {
        self.script.lock().decide(call)
    }

    pub(crate) fn next_call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// A job has begun.
    pub(crate) fn begin_job(&self, job: Job) {
        self.jobs.lock().insert(job.name.clone(), job);
    }

    /// Whether there is a job of this name.
    pub(crate) fn has_job(&self, name: &str) -> bool {
        self.jobs.lock().contains_key(name)
    }

    /// How it stands with a job.
    pub(crate) fn ask_job(&self, name: &str, host: &str) -> Option<Value> {
        Some(self.jobs.lock().get_mut(name)?.status(host))
    }

    /// Whether a prefix is in the cache; from now on it is.
    pub(crate) fn cache(&self, prefix: u64) -> bool {
        !self.cache.lock().insert(prefix)
    }

    pub(crate) fn remember(&self, received: Received) {
        let mut journal = self.journal.lock();
        if journal.len() >= self.journal_size {
            journal.pop_front();
        }
        journal.push_back(received);
    }

    pub(crate) fn journal(&self) -> Vec<Received> {
        self.journal.lock().iter().cloned().collect()
    }

    pub(crate) fn bill(&self) -> Bill {
        self.bill.lock().clone()
    }

    /// Forgets bill, journal, cache and script.
    pub(crate) fn reset(&self) {
        *self.bill.lock() = Bill::default();
        self.journal.lock().clear();
        self.cache.lock().clear();
        self.jobs.lock().clear();
        *self.script.lock() = Script::default();
    }

    /// Adds a line to the bill.
    pub(crate) fn charge(&self, call_id: &str, provider: &str, model: &str, counts: Counts, completed: bool) {
        let nano_usd = self.tariff.lock().nano_usd(model, counts);
        let usage = BilledUsage {
            input_tokens: counts.input,
            cached_input_tokens: counts.cached,
            cache_creation_input_tokens: counts.written,
            output_tokens: counts.output,
            reasoning_tokens: counts.reasoning,
            images: counts.units.images,
            audio_seconds: counts.units.audio_seconds,
            characters: counts.units.characters,
            searches: counts.units.searches,
            video_seconds: counts.units.video_seconds,
        };
        let line = BilledCall {
            call_id: call_id.to_owned(),
            provider: provider.to_owned(),
            model: model.to_owned(),
            usage,
            nano_usd,
            completed,
        };
        let mut bill = self.bill.lock();
        bill.total_nano_usd += nano_usd;
        bill.calls.push(line);
    }
}
