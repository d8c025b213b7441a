//! What a dead process of a node left in the counters is ended by its successor, and nothing else.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tempfile::TempDir;
use tidegate_limits::{BudgetHold, Hold, Limiter, Process, Timing};
use tidegate_node::RunningNode;
use tidegate_proto::budget::{AttemptEnd, EndedGrants, attempt_end};
use tidegate_telemetry::SystemClock;
use tidegate_types::window::Window;
use tidegate_types::{BudgetId, CallId, Clock, NanoUsd, NodeId, Timestamp};

use crate::control_plane::FakeControl;
use crate::fleet::{Tenant, end, settings, until};
use crate::support::PATIENCE;

const BUDGET: BudgetId = BudgetId::from_u128(5);
const WINDOW: Window = Window { start: Timestamp::from_micros(0), end: Timestamp::from_micros(i64::MAX) };

/// A tenant with a budget, and counters that outlive the node.
struct World {
    control: FakeControl,
    state: TempDir,
    tenant: Tenant,
    limiter: Limiter,
    calls: u128,
}

impl World {
    async fn new() -> Self {
        let control = FakeControl::start().await;
        let (state, tenant) = (TempDir::new().unwrap(), Tenant::new());
        tenant.publish(&control);
        control.shared.publish(&tenant.budget());
        let limiter = Limiter::memory("run-1".into(), Arc::new(SystemClock), Timing::default());
        Self { control, state, tenant, limiter, calls: 0 }
    }

    async fn start_in(&self, state: &Path) -> RunningNode {
        let mut with = settings(&self.control, state);
        with.limiter = self.limiter.clone();
        let node = tidegate_node::Node::start(with).await.unwrap();
        until("the node is ready", || node.is_ready()).await;
        // Nobody opens them once the node has ended.
        let began = std::time::Instant::now();
        while self.figures().await.0 < 0 {
            assert!(began.elapsed() < PATIENCE, "the counters are not open");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        node
    }

    async fn start(&self) -> RunningNode {
        self.start_in(self.state.path()).await
    }

    /// Places a hold that no journal knows of, in somebody's name.
    async fn place(&mut self, process: Process, amount: i64) -> CallId {
        self.calls += 1;
        let call_id = CallId::from_u128(self.calls);
        let limit = NanoUsd::new(1_000);
        let amount = NanoUsd::new(amount);
        let part =
            BudgetHold { budget_id: BUDGET, window: WINDOW, limit, limit_revision: 1, amount, hard: true };
        let deadline = SystemClock.now().plus_millis(3_600_000);
        let hold =
            Hold { call_id, attempt: 0, step: 0, epoch: 0, deadline, budgets: [part].into_iter().collect() };
        self.limiter.place_as(process);
        let began = std::time::Instant::now();
        while let Err(error) = self.limiter.hold(self.tenant.organization, &hold).await {
            assert!(began.elapsed() < PATIENCE, "no hold: {error}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        call_id
    }

    /// Spent, held, unresolved.
    async fn figures(&self) -> (i64, i64, i64) {
        match self.limiter.balances(self.tenant.organization, &[(BUDGET, WINDOW)]).await {
            Ok(told) => (told[0].spent.get(), told[0].held.get(), told[0].unresolved.get()),
            Err(_) => (-1, -1, -1),
        }
    }

    async fn until_figures(&self, what: &str, expected: (i64, i64, i64)) {
        let began = std::time::Instant::now();
        while self.figures().await != expected {
            assert!(began.elapsed() < PATIENCE, "{what}: {:?}", self.figures().await);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    fn books_know(&self, call: CallId, end: attempt_end::End) {
        let end = AttemptEnd { call_id: call.to_string(), attempt: 0, end: Some(end) };
        self.control.shared.known_ends.lock().push(end);
    }
}

fn process(node: &RunningNode) -> Process {
    Process { node_id: node.node_id(), boot: node.journal().boot() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_no_journal_knows_is_freed_by_the_next_start_and_others_by_the_books() {
    let mut world = World::new().await;
    let first = world.start().await;
    let dead = process(&first);
    end(first).await;
    world.place(dead, 1).await;
    let spent = world.place(dead, 2).await;
    let in_doubt = world.place(dead, 4).await;
    world.books_know(spent, attempt_end::End::SpentNanoUsd(1));
    world.books_know(in_doubt, attempt_end::End::Unresolved(true));
    // Of another node, and of nobody in particular: not this node's to end.
    world.place(Process { node_id: NodeId::from_u128(9), boot: 1 }, 8).await;
    // Of this node before anything is known of its machine.
    world.place(Process { boot: dead.boot - 1, ..dead }, 16).await;
    assert_eq!(world.figures().await, (0, 31, 0));

    let second = world.start().await;
    world.until_figures("all of it is ended", (1, 8, 4 + 16)).await;
    let asked = world.control.shared.reviewed.lock()[0].clone();
    assert_eq!((asked.organization_id, asked.attempts.len()), (world.tenant.organization.to_string(), 4));
    end(second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_books_nothing_is_freed() {
    let mut world = World::new().await;
    let first = world.start().await;
    let dead = process(&first);
    end(first).await;
    world.place(dead, 100).await;
    world.control.stop().await;
    let second = world.start().await;
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert_eq!(world.figures().await, (0, 100, 0));
    world.control.restart().await;
    world.until_figures("the books are there", (0, 0, 0)).await;
    end(second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_state_folder_frees_nothing_of_its_original() {
    let mut world = World::new().await;
    let original = world.start().await;
    let alive = process(&original);
    let copy = crate::fleet::copy_of(world.state.path());
    let second = world.start_in(copy.path()).await;
    assert!(second.journal().boot() > alive.boot);
    world.place(alive, 100).await;
    // The original may call a provider yet: what it holds is in doubt at most.
    world.until_figures("the hold is in doubt", (0, 0, 100)).await;
    end(second).await;
    end(original).await;
}

fn had_in_advance(tenant: &Tenant, boot: u64) -> EndedGrants {
    let organization_id = tenant.organization.to_string();
    EndedGrants { organization_id, epoch: 1, boot, used: Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dead_processes_had_in_advance_is_given_back_and_told_one_by_one() {
    let world = World::new().await;
    let first = world.start().await;
    let dead = process(&first);
    end(first).await;
    let second = world.start().await;
    let fell = process(&second);
    end(second).await;
    let shared = &world.control.shared;
    shared.returned.lock().clear();
    // Its control plane is still of a release that would take the word of one organization's for all of them.
    shared.is_of_an_earlier_release.store(true, Ordering::SeqCst);
    // Of a start before anything is known of its machine: its journal may lack something.
    let older = had_in_advance(&world.tenant, dead.boot - 1);
    let known = [dead.boot, fell.boot].map(|boot| had_in_advance(&world.tenant, boot));
    shared.ended_grants.lock().extend([older.clone()].into_iter().chain(known));

    let third = world.start().await;
    until("it asks again", || shared.reviewed_grants.load(Ordering::SeqCst) > 1).await;
    assert!(shared.returned.lock().is_empty(), "nobody is told what he would misunderstand");
    shared.is_of_an_earlier_release.store(false, Ordering::SeqCst);
    until("both are back", || *shared.ended_grants.lock() == std::slice::from_ref(&older)).await;
    let returned: Vec<_> = shared.returned_of.lock().iter().map(|told| told.boot).collect();
    assert_eq!(returned, [dead.boot, fell.boot]);
    end(third).await;
}
