//! placeholder while the Redis store is being written
use std::sync::Arc;
use tidegate_types::resource::{OpenHold, OpeningBalance};
use tidegate_types::window::Window;
use tidegate_types::{BudgetId, Clock, OrganizationId, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::admit::{Admit, Lease, Rates};
use crate::budget::{Balance, Hold, Settlement};
use crate::error::LimitError;
use crate::limiter::{Mode, Stats};
use crate::settings::RedisSettings;

pub(crate) struct RedisStore {}
pub(crate) struct Decision {
    pub(crate) epoch: u64,
    pub(crate) rates: Rates,
    pub(crate) at: Timestamp,
    pub(crate) local: bool,
}

impl RedisStore {
    pub(crate) async fn start(
        _: RedisSettings,
        _: Arc<dyn Clock>,
        _: CancellationToken,
    ) -> Result<Arc<Self>, LimitError> {
        Err(LimitError::Away)
    }
    pub(crate) async fn admit(&self, _: &Admit) -> Result<Decision, LimitError> {
        Err(LimitError::Away)
    }
    pub(crate) async fn hold(&self, _: OrganizationId, _: &Hold) -> Result<u64, LimitError> {
        Err(LimitError::Away)
    }
    pub(crate) fn settle(&self, _: Settlement) {}
    pub(crate) fn give_back(&self, _: Lease, _: Option<u64>) {}
    pub(crate) async fn balances(
        &self,
        _: OrganizationId,
        _: &[(BudgetId, Window)],
    ) -> Result<Vec<Balance>, LimitError> {
        Err(LimitError::Away)
    }
    pub(crate) async fn open_epoch(
        &self,
        _: OrganizationId,
        _: u64,
        _: &[OpeningBalance],
        _: &[OpenHold],
    ) -> Result<(), LimitError> {
        Err(LimitError::Away)
    }
    pub(crate) async fn close_epoch(&self, _: OrganizationId, _: u64) -> Result<(), LimitError> {
        Err(LimitError::Away)
    }
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::default()
    }
    pub(crate) fn run_id(&self) -> Option<String> {
        None
    }
    pub(crate) fn mode(&self) -> Mode {
        Mode::Away
    }
    pub(crate) fn set_live_nodes(&self, _: u32) {}
    pub(crate) async fn idle(&self) {}
    pub(crate) async fn sweep(&self) {}
    pub(crate) async fn stopped(&self) {}
    pub(crate) fn stats(&self) -> Stats {
        Stats::default()
    }
}
