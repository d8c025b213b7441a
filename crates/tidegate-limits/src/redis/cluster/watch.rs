//! What is seen of a cluster in passing, and makes somebody look at it anew.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::view::{epoch, stands};
use crate::redis::link::{Failure, Link};

/// What all of a cluster's servers tell.
#[derive(Default)]
pub(in crate::redis) struct Watch {
    /// The newest that any of them knew.
    epoch: AtomicU64,
    hints: Notify,
}

impl Watch {
    /// Something was not where it was thought to be.
    pub(in crate::redis) fn hint(&self) {
        self.hints.notify_one();
    }

    /// Resolves at the next hint, or at once if there was one since.
    pub(super) async fn hinted(&self) {
        self.hints.notified().await;
    }

    /// Somebody knows as much as this.
    pub(super) fn heard(&self, epoch: u64) -> bool {
        self.epoch.fetch_max(epoch, Ordering::AcqRel) < epoch
    }

    /// Whether this server says that its cluster counts. News makes somebody look.
    pub(in crate::redis) async fn ask(&self, link: &Link, stop: Duration) -> Result<(), Failure> {
        let mut question = redis::cmd("CLUSTER");
        question.arg("INFO");
        let told = &link.ask(&question, stop).await?;
        if epoch(told).is_some_and(|epoch| self.heard(epoch)) {
            self.hint();
        }
        if stands(told) { Ok(()) } else { Err(Failure::Down) }
    }
}
