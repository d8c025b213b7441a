//! Which providers to leave alone for a while, and how often one may be tried again.
//!
//! Local to the node. How providers fare is in `vitals`; cool-downs are per (credential, offering); retries at the same provider
//! are at most a fifth of its traffic.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use tidegate_policy::{Candidate, Measured, Vitals};
use tidegate_types::usage::CredentialType;
use tidegate_types::{CredentialId, ModelId, OfferingId, ProviderId};

use crate::vitals::Measurements;

type Place = (Option<CredentialId>, OfferingId);

/// What the node remembers of its providers.
#[derive(Debug, Default)]
pub(crate) struct Health {
    cooling: Mutex<HashMap<Place, Instant>>,
    /// How many are in `cooling`: the usual answer needs no lock.
    cooling_count: AtomicUsize,
    allowances: RwLock<HashMap<ProviderId, Arc<AtomicI64>>>,
    pub(crate) measured: Measurements,
}

impl Measured for Health {
    fn vitals(&self, provider: ProviderId, model: ModelId) -> Vitals {
        self.measured.of(provider, model)
    }
}

/// A first attempt earns this much, a retry costs [`RETRY`].
const EARNED: i64 = 2;
const RETRY: i64 = 10;
/// Ten retries in a row, also for a provider that is seldom called.
const MOST: i64 = 100;
/// Longest cool-down.
const LONGEST: Duration = Duration::from_secs(300);

impl Health {
    /// Whether this candidate should be tried only when nobody else is left.
    pub(crate) fn is_cooling(&self, candidate: &Candidate) -> bool {
        if self.cooling_count.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut cooling = self.cooling.lock();
        let place = place(candidate);
        match cooling.get(&place) {
            Some(until) if *until > Instant::now() => true,
            Some(_) => {
                // One caller passes and probes; the next failure cools it down again.
                cooling.remove(&place);
                self.cooling_count.store(cooling.len(), Ordering::Relaxed);
                false
            }
            None => false,
        }
    }

    /// Leaves a candidate alone for a while.
    pub(crate) fn cool(&self, candidate: &Candidate, wait: Duration) {
        if candidate.credential_type == CredentialType::Client {
            // Its credential is never seen again.
            return;
        }
        let mut cooling = self.cooling.lock();
        let now = Instant::now();
        if cooling.len() > 10_000 {
            cooling.retain(|_, until| *until > now);
        }
        cooling.insert(place(candidate), now + wait.min(LONGEST));
        self.cooling_count.store(cooling.len(), Ordering::Relaxed);
    }

    /// Notes a first attempt at a provider.
    pub(crate) fn note_first(&self, provider: ProviderId) {
        let allowance = self.allowance(provider);
        if allowance.load(Ordering::Relaxed) < MOST {
            allowance.fetch_add(EARNED, Ordering::Relaxed);
        }
    }

    /// Whether a provider may be tried again for the same call; takes the permission.
    pub(crate) fn may_retry(&self, provider: ProviderId) -> bool {
        let allowance = self.allowance(provider);
        allowance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                (left >= RETRY).then_some(left - RETRY)
            })
            .is_ok()
    }

    fn allowance(&self, provider: ProviderId) -> Arc<AtomicI64> {
        if let Some(known) = self.allowances.read().get(&provider) {
            return known.clone();
        }
        let mut allowances = self.allowances.write();
        allowances.entry(provider).or_insert_with(|| Arc::new(AtomicI64::new(MOST))).clone()
    }
}

fn place(candidate: &Candidate) -> Place {
    (candidate.credential.as_ref().map(|credential| credential.id), candidate.offering.id)
}
