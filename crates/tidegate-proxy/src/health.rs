//! Which providers to leave alone for a while, and how often one may be tried again.
//!
//! How providers fare is in `vitals`, what other nodes say of both in `news`, what it means for a plan in
//! the policy's `eject`. Cool-downs are per (credential, offering): when one is over, a single call of the
//! fleet probes (`half_open`), and the others follow when that was answered. Retries at the same provider
//! are at most a fifth of its traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ahash::AHashMap;
use parking_lot::{Mutex, RwLock};
use tidegate_policy::{Candidate, Measured, Pause, Quota, Vitals};
use tidegate_types::usage::CredentialType;
use tidegate_types::{CredentialId, ModelId, OfferingId, ProviderId};

use crate::quotas::Quotas;
use crate::vitals::Measurements;

/// What cools down.
pub(crate) type Place = (Option<CredentialId>, OfferingId);

/// What the node remembers of its providers.
#[derive(Debug, Default)]
pub(crate) struct Health {
    cooling: Mutex<AHashMap<Place, Instant>>,
    /// How many are in `cooling`: the usual answer needs no lock.
    cooling_count: AtomicUsize,
    allowances: RwLock<AHashMap<ProviderId, Arc<AtomicI64>>>,
    pub(crate) measured: Measurements,
    pub(crate) quotas: Quotas,
    /// What the other nodes are to be told: cool-downs by their end, and those that ended early.
    told: Mutex<Vec<(Place, Option<Instant>)>>,
}

impl Measured for Health {
    fn vitals(&self, provider: ProviderId, model: ModelId) -> Vitals {
        self.measured.of(provider, model)
    }

    fn pause(&self, credential: Option<CredentialId>, offering: OfferingId) -> Pause {
        if self.cooling_count.load(Ordering::Relaxed) == 0 {
            return Pause::None;
        }
        match self.cooling.lock().get(&(credential, offering)) {
            None => Pause::None,
            Some(until) if *until > Instant::now() => Pause::Resting,
            Some(_) => Pause::Over,
        }
    }

    fn quota(&self, credential: CredentialId, offering: OfferingId) -> Quota {
        self.quotas.of((credential, offering))
    }
}

/// A first attempt earns this much, a retry costs [`RETRY`].
const EARNED: i64 = 2;
const RETRY: i64 = 10;
/// Ten retries in a row, also for a provider that is seldom called.
const MOST: i64 = 100;
/// Longest cool-down.
pub(crate) const LONGEST: Duration = Duration::from_secs(300);
/// How long the others wait for a probe.
pub(crate) const PROBE: Duration = Duration::from_secs(5);
/// Most places that are remembered, and most that wait to be told.
const MOST_PLACES: usize = 10_000;
const MOST_TOLD: usize = 1_000;

impl Health {
    /// Whether this call may probe a candidate whose time is over, as far as this node knows: one at a time.
    pub(crate) fn begin_probe(&self, candidate: &Candidate) -> bool {
        if candidate.pause == Pause::Over {
            let now = Instant::now();
            match self.cooling.lock().get_mut(&place(candidate)) {
                Some(until) if *until > now => return false,
                Some(until) => *until = now + PROBE,
                None => {}
            }
        }
        !candidate.vitals.due || self.measured.begin_probe(candidate.provider.id, candidate.model.id)
    }

    /// Leaves a candidate alone for a while. `told`: its provider said so; then the other nodes hear it.
    pub(crate) fn cool(&self, candidate: &Candidate, wait: Duration, told: bool) {
        if candidate.credential_type == CredentialType::Client {
            // Its credential is never seen again.
            return;
        }
        let until = Instant::now() + wait.min(LONGEST);
        self.cool_place(place(candidate), until);
        if told {
            self.tell(place(candidate), Some(until));
        }
    }

    /// The same by what another node says; what is known to last longer stays.
    pub(crate) fn cool_place(&self, place: Place, until: Instant) {
        let mut cooling = self.cooling.lock();
        if cooling.len() >= MOST_PLACES {
            let now = Instant::now();
            cooling.retain(|_, until| *until > now);
        }
        if cooling.len() < MOST_PLACES {
            let known = cooling.entry(place).or_insert(until);
            *known = until.max(*known);
        }
        self.cooling_count.store(cooling.len(), Ordering::Relaxed);
    }

    /// A candidate answered: it does not cool any more.
    pub(crate) fn answered(&self, candidate: &Candidate) {
        if self.cooling_count.load(Ordering::Relaxed) != 0 && self.warm_place(&place(candidate)) {
            self.tell(place(candidate), None);
        }
    }

    /// The same by what another node says. Whether it did cool.
    pub(crate) fn warm_place(&self, place: &Place) -> bool {
        let mut cooling = self.cooling.lock();
        let cooled = cooling.remove(place).is_some();
        self.cooling_count.store(cooling.len(), Ordering::Relaxed);
        cooled
    }

    fn tell(&self, place: Place, until: Option<Instant>) {
        let mut told = self.told.lock();
        if told.len() < MOST_TOLD {
            told.push((place, until));
        }
    }

    /// What the other nodes are to be told of cool-downs.
    pub(crate) fn take_told(&self) -> Vec<(Place, Option<Instant>)> {
        std::mem::take(&mut *self.told.lock())
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
