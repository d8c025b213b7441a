//! Calls that wait for money which other calls of their organization hold: one is woken for each hold that ends
//! on this node. What ends elsewhere they find by asking again. Streams that run and lack money go before.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_types::OrganizationId;
use tokio::sync::Notify;

use crate::gateway::Gateway;

/// Who waits.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    count: AtomicUsize,
    by: Mutex<HashMap<OrganizationId, Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiters: usize,
    /// Streams whose next step was refused.
    starving: usize,
    freed: Arc<Notify>,
}

/// A stream that lacks money: while it does, nobody else of its organization begins.
pub(crate) struct Starving {
    gateway: Arc<Gateway>,
    organization: OrganizationId,
}

impl Starving {
    pub(crate) fn of(gateway: &Arc<Gateway>, organization: OrganizationId) -> Self {
        gateway.waiting.change(organization, |queue| queue.starving += 1);
        gateway.waiting.count.fetch_add(1, Ordering::Relaxed);
        Self { gateway: gateway.clone(), organization }
    }
}

impl Drop for Starving {
    fn drop(&mut self) {
        let waiting = &self.gateway.waiting;
        waiting.count.fetch_sub(1, Ordering::Relaxed);
        waiting.change(self.organization, |queue| {
            queue.starving -= 1;
            queue.freed.notify_one();
        });
    }
}

/// One that waits; leaves the queue when it is dropped.
struct Place<'a> {
    waiting: &'a Waiting,
    organization: OrganizationId,
    freed: Arc<Notify>,
}

impl Waiting {
    /// Waits until something was freed, first come first served, or for so long.
    pub(crate) async fn wait(&self, organization: OrganizationId, most: Duration) {
        let place = self.enter(organization);
        let _either = tokio::time::timeout(most, place.freed.notified()).await;
    }

    /// A hold of this organization has ended.
    pub(crate) fn freed(&self, organization: OrganizationId) {
        if self.count.load(Ordering::Relaxed) > 0
            && let Some(queue) = self.by.lock().get(&organization)
        {
            queue.freed.notify_one();
        }
    }

    /// Whether a stream of this organization that runs here lacks money.
    pub(crate) fn is_starving(&self, organization: OrganizationId) -> bool {
        self.count.load(Ordering::Relaxed) > 0
            && self.by.lock().get(&organization).is_some_and(|queue| queue.starving > 0)
    }

    fn change(&self, organization: OrganizationId, change: impl FnOnce(&mut Queue)) {
        let mut by = self.by.lock();
        let queue = by.entry(organization).or_default();
        change(queue);
        if queue.waiters == 0 && queue.starving == 0 {
            by.remove(&organization);
        }
    }

    fn enter(&self, organization: OrganizationId) -> Place<'_> {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut by = self.by.lock();
        let queue = by.entry(organization).or_default();
        queue.waiters += 1;
        Place { waiting: self, organization, freed: queue.freed.clone() }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiting.count.fetch_sub(1, Ordering::Relaxed);
        self.waiting.change(self.organization, |queue| queue.waiters -= 1);
    }
}
