//! What a gateway of tests is made of: a journal that is a list, an opener of epochs, opened credentials.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tidegate_limits::Limiter;
use tidegate_proxy::{Authority, JournalFull, Record, Records, SignIn, Unavailable, Vault};
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
