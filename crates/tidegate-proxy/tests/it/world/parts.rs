//! What a gateway of tests is made of: a journal that is a list, an opener of epochs, opened credentials.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tidegate_limits::Limiter;
use tidegate_proxy::{Authority, JournalFull, Record, Records, SignIn, Staged, Unavailable, Vault};
use tidegate_secrets::virtual_key::Peppers;
use tidegate_types::resource::Credential;
use tidegate_types::usage::{BillingEvent, CallRecord, EventKind};
use tidegate_types::{CredentialId, OrganizationId, Secret};

/// A journal that is a list.
#[derive(Default)]
pub(crate) struct Journal {
    pub(crate) events: Mutex<Vec<BillingEvent>>,
    pub(crate) calls: Mutex<Vec<CallRecord>>,
    pub(crate) full: AtomicBool,
    /// What happens in the node the moment after an intent was written.
    pub(crate) after_intent: Mutex<Option<Box<dyn Fn() + Send>>>,
    /// What happens the moment after an intent was taken that waits for its write.
    pub(crate) after_stage: Mutex<Option<Box<dyn Fn() + Send>>>,
    staging: Mutex<Staging>,
}

/// Intents that wait for whoever lands first, as in the node's journal.
#[derive(Default)]
struct Staging {
    tickets: u64,
    waiting: Vec<(u64, BillingEvent)>,
    lost: BTreeSet<u64>,
}

impl Journal {
    /// Intents that were ever taken to be written with others.
    pub(crate) fn staged(&self) -> u64 {
        self.staging.lock().tickets
    }
}

impl Records for Journal {
    fn append(&self, record: Record<'_>) -> Result<(), JournalFull> {
        match record {
            Record::Event(event) if event.kind == EventKind::Intent && self.full.load(Ordering::SeqCst) => {
                return Err(JournalFull);
            }
            Record::Event(event) => {
                self.events.lock().push(event.clone());
                if event.kind == EventKind::Intent
                    && let Some(happens) = &*self.after_intent.lock()
                {
                    happens();
                }
            }
            Record::Call(call) => self.calls.lock().push(call.clone()),
        }
        Ok(())
    }

    fn stage(&self, intent: &BillingEvent) -> Result<Staged, JournalFull> {
        if self.full.load(Ordering::SeqCst) {
            return Err(JournalFull);
        }
        let ticket = {
            let mut staging = self.staging.lock();
            staging.tickets += 1;
            let ticket = staging.tickets;
            staging.waiting.push((ticket, intent.clone()));
            ticket
        };
        if let Some(happens) = &*self.after_stage.lock() {
            happens();
        }
        Ok(Staged { lane: 0, ticket })
    }

    fn land(&self, staged: Staged) -> Result<(), JournalFull> {
        let mut staging = self.staging.lock();
        for (ticket, intent) in std::mem::take(&mut staging.waiting) {
            if self.append(Record::Event(&intent)).is_err() {
                staging.lost.insert(ticket);
            }
        }
        if staging.lost.remove(&staged.ticket) { Err(JournalFull) } else { Ok(()) }
    }

    fn append_last(&self, event: &BillingEvent, call: &CallRecord) -> Result<(), JournalFull> {
        self.append(Record::Event(event))?;
        self.append(Record::Call(call))
    }
}

pub(super) struct Opener {
    pub(super) limiter: Limiter,
    pub(super) away: Arc<AtomicBool>,
}

impl Authority for Opener {
    fn open_epoch(&self, organization: OrganizationId) -> BoxFuture<'_, Result<(), Unavailable>> {
        async move {
            if self.away.load(Ordering::SeqCst) {
                return Err(Unavailable);
            }
            self.limiter.open_epoch(organization, 1, &[], &[]).await.map_err(|_| Unavailable)
        }
        .boxed()
    }
}

/// Opened credentials; those that nobody gave a secret sign in as `sk-` and their name.
pub(super) struct Keeper {
    pub(super) peppers: Arc<Peppers>,
    pub(super) opened: Arc<Mutex<BTreeMap<CredentialId, Arc<SignIn>>>>,
}

impl Vault for Keeper {
    fn sign_in(&self, credential: &Credential) -> Option<Arc<SignIn>> {
        if let Some(opened) = self.opened.lock().get(&credential.id) {
            return Some(opened.clone());
        }
        SignIn::api_key(&Secret::new(format!("sk-{}", credential.name))).ok().map(Arc::new)
    }

    fn peppers(&self) -> Option<Arc<Peppers>> {
        Some(self.peppers.clone())
    }
}
