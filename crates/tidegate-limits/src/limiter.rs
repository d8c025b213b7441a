//! The one face of both stores.
//!
//! Checks arguments once, then asks Redis or memory; decides nothing itself.

use std::sync::Arc;
use std::time::Duration;

use tidegate_types::resource::{OpenHold, OpeningBalance};
use tidegate_types::window::Window;
use tidegate_types::{BudgetId, Clock, NanoUsd, OrganizationId, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::admit::{Admit, Admitted, Lease, Permit, Rates, Release, ScopeLimits, Source};
use crate::budget::{Balance, BudgetHold, End, HeldUnder, Hold, MAX_AMOUNT, Settlement};
use crate::error::{LimitError, Refusal};
use crate::left::{Ended, LeftHold, Process};
use crate::memory::MemoryStore;
use crate::redis::{Board, Decision, Heard, RedisStore};
use crate::settings::{RedisSettings, Timing};
use crate::stats::{Mode, Stats};

/// Rates, concurrency and budgets. Cheap to clone.
#[derive(Clone)]
pub struct Limiter {
    store: Store,
}

#[derive(Clone)]
enum Store {
    Redis(Arc<RedisStore>),
    Memory(Arc<MemoryStore>),
}

/// What was on its way to the store at some moment.
#[derive(Debug, Clone, Copy)]
pub struct UnderWay(Option<u64>);

impl Limiter {
    /// A limiter in this process's memory, for `dev` and single nodes. `run_id` names the run
    /// (the node's boot): counters do not outlive it.
    #[must_use]
    pub fn memory(run_id: String, clock: Arc<dyn Clock>, timing: Timing) -> Self {
        Self { store: Store::Memory(Arc::new(MemoryStore::new(run_id, clock, timing))) }
    }

    /// A limiter over Redis. Waits up to a second for the first connection; when Redis is away
    /// it starts in [`Mode::Away`] and keeps probing. Its tasks end with `stop`
    /// (await [`Self::idle`] before, [`Self::stopped`] after).
    ///
    /// # Errors
    /// [`LimitError::Unfit`] when the URL cannot be read or the server's settings would lose
    /// counters; when that shows only later the limiter stays away and logs it.
    pub async fn redis(
        settings: RedisSettings,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Result<Self, LimitError> {
        Ok(Self { store: Store::Redis(RedisStore::start(settings, clock, stop).await?) })
    }

    /// Admits a call: rates, slots and the first hold in one step, all or nothing.
    ///
    /// # Errors
    /// [`LimitError`]; nothing was taken then ([`LimitError::Away`]: what may have been taken is
    /// taken back, and the attempt is given up).
    pub async fn admit(&self, admit: &Admit) -> Result<Admitted, LimitError> {
        if let Some(hold) = &admit.hold {
            check_amounts(hold)?;
        }
        refuse_zero_limits(admit)?;
        let Decision { held, rates, at, source } = match &self.store {
            Store::Memory(store) => {
                let (epoch, rates, at) = store.admit(admit)?;
                Decision { held: HeldUnder { epoch, in_advance: false }, rates, at, source: Source::Store }
            }
            Store::Redis(store) => store.admit(admit).await?,
        };
        let lease = admit.scopes.iter().any(|entry| !entry.is_empty()).then(|| Lease {
            organization_id: admit.organization_id,
            call_id: admit.call_id,
            scopes: admit.scopes.clone(),
            tokens: admit.tokens,
            source,
        });
        Ok(Admitted { permit: Permit::new(lease, self.clone()), held, rates, at })
    }

    /// Places the hold of a further attempt, or adds a further step to one.
    ///
    /// # Errors
    /// [`LimitError`]; nothing was held then. Safe to repeat, except that an attempt whose first
    /// step met [`LimitError::Away`] has been given up: take another attempt number.
    pub async fn hold(&self, organization: OrganizationId, hold: &Hold) -> Result<HeldUnder, LimitError> {
        check_amounts(hold)?;
        match &self.store {
            Store::Memory(store) => {
                let epoch = store.hold(organization, hold)?;
                Ok(HeldUnder { epoch, in_advance: false })
            }
            Store::Redis(store) => store.hold(organization, hold).await,
        }
    }

    /// The least that the hard ones of these budgets had left when the store was last asked about them;
    /// `None`: unknown. A guess: only [`Self::admit`] and [`Self::hold`] decide.
    #[must_use]
    pub fn room(&self, organization: OrganizationId, budgets: &[BudgetHold]) -> Option<NanoUsd> {
        let room = match &self.store {
            Store::Memory(store) => store.room(organization, budgets),
            Store::Redis(store) => store.room(organization, budgets),
        };
        room.map(NanoUsd::new)
    }

    /// Ends an attempt's hold. Never waits: queued, retried until it is through or the epoch is
    /// gone (the ledger carries it then). Costs outside 0 to [`MAX_AMOUNT`] are held at its ends.
    pub fn settle(&self, mut settlement: Settlement) {
        if let End::Spent(cost) = settlement.end {
            settlement.end = End::Spent(cost.clamp(NanoUsd::ZERO, MAX_AMOUNT));
        }
        match &self.store {
            Store::Memory(store) => store.settle(settlement),
            Store::Redis(store) => store.settle(settlement),
        }
    }

    /// Names this process: holds say from now on who placed them. To be said before the first.
    pub fn place_as(&self, process: Process) {
        match &self.store {
            Store::Memory(store) => store.place_as(process),
            Store::Redis(store) => store.place_as(process),
        }
    }

    /// Holds in the store that processes which have ended placed, and that nobody has ended, overdue
    /// ones included; of those of these organizations that have an open epoch. Nothing changes:
    /// settle each, by what is known of it.
    ///
    /// # Errors
    /// [`LimitError::Away`].
    pub async fn left_holds(
        &self,
        organizations: &[OrganizationId],
        ended: Ended,
    ) -> Result<Vec<LeftHold>, LimitError> {
        match &self.store {
            Store::Memory(store) => Ok(store.left_holds(organizations, ended)),
            Store::Redis(store) => store.left_holds(organizations, ended).await,
        }
    }

    /// These organizations by the servers that count for them: one that is away need not keep the others.
    #[must_use]
    pub fn apart(&self, organizations: Vec<OrganizationId>) -> Vec<Vec<OrganizationId>> {
        match &self.store {
            Store::Memory(_) => vec![organizations],
            Store::Redis(store) => store.apart(organizations),
        }
    }

    /// Gives back what a dead process had in advance under an epoch: all but what it used in all, which
    /// `used` says of every window of which the books know something. Nothing that it sent before is
    /// carried out any more. To be said once its journal is shipped; to say it again changes nothing.
    /// Returns what came back.
    ///
    /// # Errors
    /// [`LimitError::NoEpoch`] when the epoch is not the open one, [`LimitError::Away`].
    pub async fn reclaim(
        &self,
        organization: OrganizationId,
        process: Process,
        epoch: u64,
        used: &[OpeningBalance],
    ) -> Result<NanoUsd, LimitError> {
        match &self.store {
            // Nothing is in advance of this process's own counters.
            Store::Memory(_) => Ok(NanoUsd::ZERO),
            Store::Redis(store) => store.reclaim(organization, process, epoch, used).await,
        }
    }

    /// Ends a call: slots back, token reservation corrected. Never waits.
    pub fn release(&self, mut release: Release) {
        if let Some(lease) = release.permit.take() {
            self.give_back(lease, release.tokens_used);
        }
    }

    pub(crate) fn give_back(&self, lease: Lease, tokens_used: Option<u64>) {
        match &self.store {
            Store::Memory(store) => store.give_back(&lease, tokens_used),
            Store::Redis(store) => store.give_back(lease, tokens_used),
        }
    }

    /// What these windows have used, under the open epoch, in the order asked.
    ///
    /// # Errors
    /// [`LimitError::NoEpoch`], [`LimitError::Away`].
    pub async fn balances(
        &self,
        organization: OrganizationId,
        budgets: &[(BudgetId, Window)],
    ) -> Result<Vec<Balance>, LimitError> {
        match &self.store {
            Store::Memory(store) => store.balances(organization, budgets),
            Store::Redis(store) => store.balances(organization, budgets).await,
        }
    }

    /// The organization's open epoch; 0: none. Only looks: a hold under a made-up epoch would be news of that one.
    ///
    /// # Errors
    /// [`LimitError::Away`].
    pub async fn present_epoch(&self, organization: OrganizationId) -> Result<u64, LimitError> {
        match &self.store {
            Store::Memory(store) => Ok(store.present_epoch(organization)),
            Store::Redis(store) => store.present_epoch(organization).await,
        }
    }

    /// Writes the counters of an epoch that the control plane has permitted; once it is open, nothing changes.
    ///
    /// # Errors
    /// [`LimitError::NoEpoch`] when the store is at a higher epoch, or another node began to
    /// write meanwhile; [`LimitError::Away`].
    pub async fn open_epoch(
        &self,
        organization: OrganizationId,
        epoch: u64,
        balances: &[OpeningBalance],
        holds: &[OpenHold],
    ) -> Result<(), LimitError> {
        match &self.store {
            Store::Memory(store) => store.open_epoch(organization, epoch, balances, holds),
            Store::Redis(store) => store.open_epoch(organization, epoch, balances, holds).await,
        }
    }

    /// Burns an epoch in the store, if it is the open one (its permit has lapsed).
    ///
    /// # Errors
    /// [`LimitError::Away`].
    pub async fn close_epoch(&self, organization: OrganizationId, epoch: u64) -> Result<(), LimitError> {
        match &self.store {
            Store::Memory(store) => {
                store.close_epoch(organization, epoch);
                Ok(())
            }
            Store::Redis(store) => store.close_epoch(organization, epoch).await,
        }
    }

    /// Permits this process to take up to `percent` of each budget's limit in advance, per window,
    /// under this epoch: the control plane has noted it. Until then, and over memory, nothing is
    /// taken in advance. Ends with the epoch.
    pub fn allow_grants(&self, organization: OrganizationId, epoch: u64, percent: u8) {
        if let Store::Redis(store) = &self.store {
            store.allow_grants(organization, epoch, percent);
        }
    }

    /// A later epoch is known here: what this process has in advance under an earlier one is no
    /// longer used.
    pub fn end_grants_before(&self, organization: OrganizationId, epoch: u64) {
        if let Store::Redis(store) = &self.store {
            store.end_grants_before(organization, epoch);
        }
    }

    /// Organizations whose traffic of late is worth a permission for grants, with their epoch;
    /// each is told again while that goes on.
    #[must_use]
    pub fn take_wanting_grants(&self) -> Vec<(OrganizationId, u64)> {
        match &self.store {
            Store::Redis(store) => store.take_wanting_grants(),
            Store::Memory(_) => Vec::new(),
        }
    }

    /// The store's time: the local clock, corrected by the measured offset to Redis.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.store {
            Store::Memory(store) => store.now(),
            Store::Redis(store) => store.now(),
        }
    }

    /// Identity of the process that counts for this organization; `None` while it has not been reached.
    #[must_use]
    pub fn store_run_id(&self, organization: OrganizationId) -> Option<String> {
        match &self.store {
            Store::Memory(store) => Some(store.run_id().to_owned()),
            Store::Redis(store) => store.run_id(organization),
        }
    }

    /// Grows whenever [`Self::store_run_id`] of any organization may have changed.
    #[must_use]
    pub fn store_version(&self) -> u64 {
        match &self.store {
            Store::Memory(_) => 0,
            Store::Redis(store) => store.version(),
        }
    }

    /// How decisions are made now.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match &self.store {
            Store::Memory(_) => Mode::Memory,
            Store::Redis(store) => store.mode(),
        }
    }

    /// How many nodes share the limits (the pool's live nodes, at least 1): the divisor of fair
    /// shares while the store is away.
    pub fn set_live_nodes(&self, nodes: u32) {
        if let Store::Redis(store) = &self.store {
            store.set_live_nodes(nodes);
        }
    }

    /// The settlements and releases that are on their way to the organization's store at this moment.
    #[must_use]
    pub fn under_way(&self, organization: OrganizationId) -> UnderWay {
        match &self.store {
            Store::Memory(_) => UnderWay(None),
            Store::Redis(store) => UnderWay(store.under_way(organization)),
        }
    }

    /// Whether a refusal may have come too early: something was under way when the store was asked.
    /// Waits, but not long, until that is through; asking again tells then.
    pub async fn caught_up(
        &self,
        before: UnderWay,
        organization: OrganizationId,
        scopes: &[ScopeLimits],
    ) -> bool {
        match (&self.store, before.0) {
            (Store::Redis(store), Some(place)) => store.caught_up(place, organization, scopes).await,
            _ => false,
        }
    }

    /// Tells the other nodes of the pool something, and hears what was told since the last time (this
    /// node's own notes among it). One trip, off the caller's path; over memory there is nobody else.
    ///
    /// # Errors
    /// [`LimitError::Away`]: it may or may not have been told.
    pub async fn tell(
        &self,
        board: Board,
        notes: &[&[u8]],
        heard: &mut Heard,
    ) -> Result<Vec<Vec<u8>>, LimitError> {
        match &self.store {
            Store::Memory(_) => Ok(Vec::new()),
            Store::Redis(store) => store.tell(board, notes, heard).await,
        }
    }

    /// Takes something that one caller of the pool may have at a time, for `span`. Whether it got it; over
    /// memory there is nobody else.
    ///
    /// # Errors
    /// [`LimitError::Away`]: the store cannot tell.
    pub async fn claim(&self, what: &str, span: Duration) -> Result<bool, LimitError> {
        match &self.store {
            Store::Memory(_) => Ok(true),
            Store::Redis(store) => store.claim(what, span).await,
        }
    }

    /// Takes something that one owner of the pool may have, for `span`. Whether `owner` has it, now or from an earlier
    /// time; over memory there is nobody else.
    ///
    /// # Errors
    /// [`LimitError::Away`]: the store cannot tell.
    pub async fn own(&self, what: &str, owner: &[u8], span: Duration) -> Result<bool, LimitError> {
        match &self.store {
            Store::Memory(_) => Ok(true),
            Store::Redis(store) => store.own(what, owner, span).await,
        }
    }

    /// Waits until what is queued is through and what is not held of grants is given back (what waits for an epoch
    /// does not count). Bound it with a timeout when the store may be away.
    pub async fn idle(&self) {
        if let Store::Redis(store) = &self.store {
            store.idle().await;
        }
    }

    /// Turns overdue holds into unresolved, now. Over Redis a task does it, too; memory does it in passing.
    pub async fn sweep(&self) {
        match &self.store {
            Store::Memory(store) => store.sweep(),
            Store::Redis(store) => store.sweep().await,
        }
    }

    /// Waits until the limiter's tasks have ended, after its token was cancelled.
    pub async fn stopped(&self) {
        if let Store::Redis(store) = &self.store {
            store.stopped().await;
        }
    }

    /// Counts for metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        match &self.store {
            Store::Memory(_) => Stats::default(),
            Store::Redis(store) => store.stats(),
        }
    }
}

/// Amounts and limits of hard budgets within 0..=2^53; of soft ones the amount only.
fn check_amounts(hold: &Hold) -> Result<(), LimitError> {
    let range = NanoUsd::ZERO..=MAX_AMOUNT;
    let outside = |part: &&crate::budget::BudgetHold| {
        !range.contains(&part.amount) || (part.hard && !range.contains(&part.limit))
    };
    match hold.budgets.iter().find(outside) {
        Some(part) => Err(LimitError::OutOfRange { budget_id: part.budget_id }),
        None => Ok(()),
    }
}

/// A limit of 0 needs no store to refuse.
fn refuse_zero_limits(admit: &Admit) -> Result<(), LimitError> {
    use crate::error::RateKind::{Requests, Tokens};
    for entry in &admit.scopes {
        let (scope, limits) = (entry.scope, entry.limits);
        let rate = [(Requests, limits.requests_per_minute), (Tokens, limits.tokens_per_minute)]
            .into_iter()
            .find(|(_, limit)| *limit == Some(0));
        let refusal = match (rate, limits.concurrency) {
            (Some((kind, _)), _) => Refusal::Rate { scope, kind, limit: 0, retry_after_ms: 60_000 },
            (None, Some(0)) => Refusal::Concurrency { scope, limit: 0 },
            _ => continue,
        };
        return Err(LimitError::refused(refusal, Rates::default()));
    }
    Ok(())
}
