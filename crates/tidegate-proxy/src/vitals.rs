//! How models fare at their providers, from this node's traffic and what other nodes tell of theirs: share
//! of calls that succeed, time to the first event, tokens per second, each a moving average of the last calls.
//!
//! What one organization alone is to blame for (its credential, its short time limits) is not
//! counted: everybody plans by these numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ahash::AHashMap;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tidegate_policy::{Candidate, Condition, Vitals};
use tidegate_types::usage::CredentialType;
use tidegate_types::{ModelId, OrganizationId, ProviderId};

/// The share of calls that succeed is counted in this many parts.
const WHOLE: u32 = 1 << 16;
/// Three failures in a row, or a fifth of the calls for a while.
const DEGRADED: u32 = WHOLE / 10 * 7;
/// Eight failures in a row.
const DOWN: u32 = WHOLE / 100 * 35;
/// After so long without a failure nothing is held against a provider any more.
const FORGIVEN_MS: u64 = 30_000;
/// So often one call of the fleet probes a provider that is down.
const PROBE_MS: u64 = 5_000;
/// Most pairs that are remembered.
const MOST: usize = 50_000;
/// Most pairs that are told of at once.
const MOST_TOLD: usize = 500;
/// What one node tells counts as at most so many calls of this one.
const WEIGHT: u32 = 16;

/// What one node saw of a pair since it told the last time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Attempts that were answered.
    #[serde(default)]
    pub(crate) answered: u32,
    /// Attempts that failed by the provider's fault.
    #[serde(default)]
    pub(crate) failed: u32,
    /// Its average time to the first event, milliseconds; 0: unknown.
    #[serde(default)]
    pub(crate) ttft_ms: u32,
    /// Its average of tokens in a thousand seconds; 0: unknown.
    #[serde(default)]
    pub(crate) milli_tps: u32,
}

/// Everything that is measured.
#[derive(Debug)]
pub(crate) struct Measurements {
    began: Instant,
    pairs: RwLock<AHashMap<(ProviderId, ModelId), Arc<Pair>>>,
}

/// A model at a provider. 0 stands for "unknown" where nothing was measured yet.
#[derive(Debug)]
struct Pair {
    success: AtomicU32,
    ttft_ms: AtomicU32,
    milli_tps: AtomicU32,
    /// Milliseconds since the start; 0: never.
    failed_at: AtomicU64,
    probed_at: AtomicU64,
    /// Of this node alone, since it told the last time.
    answered: AtomicU32,
    failed: AtomicU32,
    rated: AtomicU32,
}

impl Default for Measurements {
    fn default() -> Self {
        Self { began: Instant::now(), pairs: RwLock::default() }
    }
}

impl Measurements {
    /// Whether an attempt at this candidate says something about the provider for everybody.
    pub(crate) fn counts(candidate: &Candidate) -> bool {
        candidate.credential_type == CredentialType::System
            || candidate.provider.organization_id != OrganizationId::SYSTEM
    }

    /// The first event of an answer came.
    pub(crate) fn succeeded(&self, candidate: &Candidate, ttft: Duration) {
        self.note(candidate.provider.id, candidate.model.id, Some(ttft), true);
    }

    /// An attempt failed by the provider's fault. `told`: by what it answered; where nothing came, it may
    /// be this node that cannot reach it, and the others are not told.
    pub(crate) fn failed(&self, candidate: &Candidate, told: bool) {
        self.note(candidate.provider.id, candidate.model.id, None, told);
    }

    /// An attempt was answered after `ttft`, or failed.
    pub(crate) fn note(&self, provider: ProviderId, model: ModelId, ttft: Option<Duration>, told: bool) {
        let pair = self.pair(provider, model);
        let Some(ttft) = ttft else {
            blend(&pair.success, 0, 8);
            pair.failed_at.store(self.now(), Ordering::Relaxed);
            pair.failed.fetch_add(u32::from(told), Ordering::Relaxed);
            return;
        };
        blend(&pair.success, WHOLE, 8);
        pair.lift();
        learn(&pair.ttft_ms, u32::try_from(ttft.as_millis()).unwrap_or(u32::MAX).max(1));
        pair.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// What this node saw since the last time.
    pub(crate) fn take_seen(&self) -> Vec<((ProviderId, ModelId), Seen)> {
        let pairs = self.pairs.read();
        let seen = pairs.iter().filter_map(|(place, pair)| Some((*place, pair.take_seen()?)));
        seen.take(MOST_TOLD).collect()
    }

    /// What another node saw.
    pub(crate) fn hear(&self, provider: ProviderId, model: ModelId, seen: Seen) {
        let pair = self.pair(provider, model);
        let calls = seen.answered.saturating_add(seen.failed);
        if calls > 0 {
            let share = u64::from(WHOLE) * u64::from(seen.answered) / u64::from(calls);
            let share = u32::try_from(share).unwrap_or(WHOLE);
            (0..calls.min(WEIGHT)).for_each(|_| blend(&pair.success, share, 8));
        }
        if seen.answered > 0 && seen.failed == 0 {
            pair.lift();
        }
        if seen.failed > 0 {
            pair.failed_at.store(self.now(), Ordering::Relaxed);
        }
        for (average, told) in [(&pair.ttft_ms, seen.ttft_ms), (&pair.milli_tps, seen.milli_tps)] {
            if told > 0 {
                learn(average, told);
            }
        }
    }

    /// An answer is complete.
    pub(crate) fn completed(&self, provider: ProviderId, model: ModelId, tokens: u64, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let rate = tokens.saturating_mul(1_000_000_000) / micros;
        if tokens > 0 {
            let pair = self.pair(provider, model);
            learn(&pair.milli_tps, u32::try_from(rate).unwrap_or(u32::MAX).max(1));
            pair.rated.store(1, Ordering::Relaxed);
        }
    }

    /// What is known now.
    pub(crate) fn of(&self, provider: ProviderId, model: ModelId) -> Vitals {
        let pairs = self.pairs.read();
        let Some(pair) = pairs.get(&(provider, model)) else { return Vitals::default() };
        let known = |value: &AtomicU32| Some(value.load(Ordering::Relaxed)).filter(|value| *value > 0);
        let condition = pair.condition(|| self.now());
        Vitals {
            condition,
            due: condition == Condition::Down && pair.is_due(self.now()),
            ttft_ms: known(&pair.ttft_ms),
            milli_tps: known(&pair.milli_tps),
        }
    }

    /// Whether this call of the node may probe a provider that is due.
    pub(crate) fn begin_probe(&self, provider: ProviderId, model: ModelId) -> bool {
        let pairs = self.pairs.read();
        pairs.get(&(provider, model)).is_some_and(|pair| pair.begin_probe(self.now()))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn pair(&self, provider: ProviderId, model: ModelId) -> Arc<Pair> {
        let key = (provider, model);
        if let Some(known) = self.pairs.read().get(&key) {
            return known.clone();
        }
        let mut pairs = self.pairs.write();
        if pairs.len() >= MOST {
            pairs.clear();
        }
        pairs.entry(key).or_default().clone()
    }
}

impl Default for Pair {
    fn default() -> Self {
        Self {
            success: AtomicU32::new(WHOLE),
            ttft_ms: AtomicU32::new(0),
            milli_tps: AtomicU32::new(0),
            failed_at: AtomicU64::new(0),
            probed_at: AtomicU64::new(0),
            answered: AtomicU32::new(0),
            failed: AtomicU32::new(0),
            rated: AtomicU32::new(0),
        }
    }
}

impl Pair {
    fn take_seen(&self) -> Option<Seen> {
        let answered = self.answered.swap(0, Ordering::Relaxed);
        let failed = self.failed.swap(0, Ordering::Relaxed);
        let rated = self.rated.swap(0, Ordering::Relaxed) > 0;
        let known = |known: bool, value: &AtomicU32| if known { value.load(Ordering::Relaxed) } else { 0 };
        (answered > 0 || failed > 0 || rated).then(|| Seen {
            answered,
            failed,
            ttft_ms: known(answered > 0, &self.ttft_ms),
            milli_tps: known(rated, &self.milli_tps),
        })
    }

    fn condition(&self, now: impl Fn() -> u64) -> Condition {
        let success = self.success.load(Ordering::Relaxed);
        if success >= DEGRADED {
            return Condition::Fine;
        }
        if now().saturating_sub(self.failed_at.load(Ordering::Relaxed)) > FORGIVEN_MS {
            return Condition::Fine;
        }
        if success >= DOWN {
            return Condition::Degraded;
        }
        Condition::Down
    }

    /// Whether nobody has asked it for a while, in vain or not.
    fn is_due(&self, now: u64) -> bool {
        let last = self.probed_at.load(Ordering::Relaxed).max(self.failed_at.load(Ordering::Relaxed));
        now.saturating_sub(last) > PROBE_MS
    }

    /// Of those who ask when it is due, one is told that it may.
    fn begin_probe(&self, now: u64) -> bool {
        let probed = self.probed_at.load(Ordering::Relaxed);
        self.is_due(now)
            && self.probed_at.compare_exchange(probed, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// It was answered: it is not down any more, but has to show itself.
    fn lift(&self) {
        self.success.fetch_max(DOWN, Ordering::Relaxed);
    }
}

/// Moves an average by one part of so many towards a value.
fn blend(average: &AtomicU32, value: u32, parts: u32) {
    let moved = |old: u32| Some(old - old / parts + value / parts);
    let _ = average.fetch_update(Ordering::Relaxed, Ordering::Relaxed, moved);
}

/// The same, where 0 means that nothing is known yet.
fn learn(average: &AtomicU32, value: u32) {
    let moved = |old: u32| {
        let (old, value) = (u64::from(old), u64::from(value));
        let new = if old == 0 { value } else { (old * 7 + value) / 8 };
        Some(u32::try_from(new.max(1)).unwrap_or(u32::MAX))
    };
    let _ = average.fetch_update(Ordering::Relaxed, Ordering::Relaxed, moved);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_that_fails_is_degraded_then_down_then_probed_by_one_and_then_forgiven() {
        let pair = Pair::default();
        let mut seen = Vec::new();
        for _ in 0..10 {
            blend(&pair.success, 0, 8);
            pair.failed_at.store(1_000, Ordering::Relaxed);
            seen.push(pair.condition(|| 1_000));
        }
        assert_eq!(seen[1], Condition::Fine);
        assert_eq!((seen[2], seen[6]), (Condition::Degraded, Condition::Degraded));
        assert_eq!((seen[7], seen[9]), (Condition::Down, Condition::Down));
        // One of those who ask five seconds later probes it.
        assert!(!pair.begin_probe(6_000));
        assert!(pair.is_due(6_001) && pair.begin_probe(6_001));
        assert!(!pair.is_due(6_002) && !pair.begin_probe(6_002));
        assert_eq!(pair.condition(|| 6_002), Condition::Down);
        assert_eq!(pair.condition(|| 31_002), Condition::Fine);
        // One that is answered ends it, but it has to show itself; one more failure, and it is down again.
        pair.lift();
        assert_eq!(pair.condition(|| 6_003), Condition::Degraded);
        blend(&pair.success, 0, 8);
        assert_eq!(pair.condition(|| 6_003), Condition::Down);
        pair.lift();
        (0..6).for_each(|_| blend(&pair.success, WHOLE, 8));
        assert_eq!(pair.condition(|| 6_004), Condition::Fine);
    }

    #[test]
    fn averages_follow_what_is_measured() {
        let measured = Measurements::default();
        let (provider, model) = (ProviderId::from_u128(1), ModelId::from_u128(2));
        assert_eq!(measured.of(provider, model), Vitals::default());
        measured.completed(provider, model, 50, Duration::from_millis(500));
        assert_eq!(measured.of(provider, model).milli_tps, Some(100_000));
        for _ in 0..60 {
            measured.completed(provider, model, 10, Duration::from_secs(1));
        }
        let rate = measured.of(provider, model).milli_tps.unwrap_or(0);
        assert!((10_000..10_100).contains(&rate), "{rate}");
    }
}
