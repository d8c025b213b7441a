//! Calls that wait for money which other calls of their organization hold: one is woken for each hold that ends
//! on this node. What ends elsewhere they find by asking again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_types::OrganizationId;
use tokio::sync::Notify;

/// Who waits.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    count: AtomicUsize,
    by: Mutex<HashMap<OrganizationId, Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiters: usize,
    freed: Arc<Notify>,
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
        let mut by = self.waiting.by.lock();
        if let Some(queue) = by.get_mut(&self.organization) {
            queue.waiters -= 1;
            if queue.waiters == 0 {
                by.remove(&self.organization);
            }
        }
    }
}
