//! Three days without a control plane, by the clock that every decision takes as an argument: windows, staleness,
//! certificates and deadlines live through 72 hours; sockets, disk and retries are real and take seconds.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tempfile::TempDir;
use tidegate_limits::{BudgetHold, End, Hold, LimitError, Limiter, Settlement, Timing};
use tidegate_node::{Node, RunningNode};
use tidegate_proto::usage::journal_record::Record;
use tidegate_types::resource::{KeyStatus, Resource, VirtualKey};
use tidegate_types::window::Window;
use tidegate_types::{BudgetId, CallId, Clock as _, NanoUsd, OrganizationId, Secret, Timestamp};

use crate::control_plane::FakeControl;
use crate::fleet::{Moved, Tenant, copy_of, end, settings_with_clock, until};
use crate::gateway::call;
use crate::support::{PATIENCE, call_of, ended, intent};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// One look each ten minutes of the outage; the last is ten minutes short of what is promised by default.
const STEP: i64 = 10 * MINUTE;
const STEPS: i64 = 72 * 60 * MINUTE / STEP - 1;

struct Scene {
    control: FakeControl,
    clock: Arc<Moved>,
    limiter: Limiter,
    tenant: Tenant,
    key: Secret,
    revoked: Secret,
}

impl Scene {
    async fn prepare() -> Self {
        let control = FakeControl::start().await;
        let clock = Arc::new(Moved::default());
        let limiter = Limiter::memory("run-1".into(), clock.clone(), Timing::default());
        let (tenant, former) = (Tenant::new(), Tenant::new());
        let (key, text) = tenant.issue(&control);
        for resource in [tenant.organization(), tenant.team(), key, tenant.budget()] {
            control.shared.publish(&resource);
        }
        let (key, revoked) = former.issue(&control);
        let Resource::Key(key) = key else { unreachable!() };
        let key = Resource::Key(VirtualKey { status: KeyStatus::Revoked, ..key });
        for resource in [former.organization(), former.team(), key] {
            control.shared.publish(&resource);
        }
        Self { control, clock, limiter, tenant, key: text, revoked }
    }

    async fn start(&self, state: &TempDir) -> RunningNode {
        let mut settings = settings_with_clock(&self.control, state.path(), self.clock.clone());
        settings.limiter = self.limiter.clone();
        Node::start(settings).await.unwrap()
    }

    /// A call of 30 under a daily cap of 100: whether it is affordable. It is settled at what was held.
    async fn spend(&self, number: u128) -> bool {
        let now = self.clock.now();
        let start = Timestamp::from_millis(now.as_millis() - now.as_millis().rem_euclid(DAY));
        let window = Window { start, end: start.plus_millis(DAY) };
        let (organization, call_id) = (self.tenant.organization, CallId::from_u128(number));
        let part = BudgetHold {
            budget_id: BudgetId::from_u128(5),
            window,
            limit: NanoUsd::new(100),
            limit_revision: 1,
            amount: NanoUsd::new(30),
            hard: true,
        };
        let hold = Hold {
            call_id,
            attempt: 0,
            step: 0,
            epoch: 0,
            deadline: now.plus_millis(MINUTE),
            budgets: [part].into_iter().collect(),
        };
        match self.limiter.hold(organization, &hold).await {
            Ok(_) => {}
            Err(LimitError::Refused(_)) => return false,
            Err(error) => unreachable!("{error:?}"),
        }
        self.limiter.settle(settlement(organization, call_id, window));
        self.limiter.idle().await;
        true
    }
}

fn settlement(organization_id: OrganizationId, call_id: CallId, window: Window) -> Settlement {
    Settlement {
        organization_id,
        call_id,
        attempt: 0,
        epoch: 0,
        end: End::Spent(NanoUsd::new(30)),
        budgets: [(BudgetId::from_u128(5), window)].into_iter().collect(),
    }
}

/// Records of each kind that the control plane has, by call.
fn stored(control: &FakeControl) -> (Vec<u128>, usize) {
    let stored = control.shared.stored();
    let is_event = |record: &&_| {
        matches!(tidegate_proto::usage::JournalRecord::clone(record).record, Some(Record::Event(_)))
    };
    let mut events: Vec<u128> = stored.values().filter(is_event).map(call_of).collect();
    events.sort_unstable();
    let calls = stored.len() - events.len();
    (events, calls)
}

#[tokio::test(flavor = "multi_thread")]
async fn seventy_two_hours_without_a_control_plane_refuse_no_call_and_lose_no_record() {
    let mut scene = Scene::prepare().await;
    let mut state = TempDir::new().unwrap();
    let mut node = scene.start(&state).await;
    until("the node is ready", || node.is_ready()).await;
    until("the counters are open", || !scene.control.shared.confirmed.lock().is_empty()).await;
    // A thread of its own writes to the disk: when the node has ended, all that it heard is there.
    end(node).await;
    scene.control.stop().await;
    node = scene.start(&state).await;
    until("the node is ready again", || node.is_ready()).await;

    let (mut served, mut affordable) = (0, 0);
    for step in 1..=STEPS {
        scene.clock.0.fetch_add(STEP, Ordering::SeqCst);
        let (status, answer) = call(&node, scene.key.expose()).await;
        assert_eq!(status, 404, "served, and no such model, after {step} steps: {answer}");
        served += 1;
        if step % 36 == 0 {
            assert_eq!(call(&node, scene.revoked.expose()).await.0, 401, "a revoked key stays revoked");
            assert!(node.is_ready());
        }
        affordable += u32::from(scene.spend(u128::try_from(step).unwrap()).await);
        let number = u128::try_from(step).unwrap();
        node.journal().append(&intent(number)).unwrap();
        node.journal().append(&ended(number)).unwrap();
        // Once a day the process is killed, and starts from its disk.
        if step % (DAY / STEP) == DAY / STEP / 2 {
            let copy = copy_of(state.path());
            drop(node);
            let began = Instant::now();
            node = scene.start(&copy).await;
            until("the node is ready from its disk", || node.is_ready()).await;
            println!("ready from its disk after {:?}", began.elapsed());
            state = copy;
        }
    }
    // Three calls of 30 fit under 100 each day, whoever opens the day's window; the outage touches four days.
    assert!((9..=12).contains(&affordable), "{affordable} calls under a cap of three a day");

    scene.control.restart().await;
    until("everything is shipped", || node.journal().status().pending_records == 0).await;
    until("the certificate, in its last two thirds, is renewed", || {
        scene.control.shared.renewals.load(Ordering::SeqCst) > 0
    })
    .await;
    let (events, calls) = stored(&scene.control);
    let each_twice: Vec<u128> = (1..=u128::try_from(STEPS).unwrap()).flat_map(|number| [number; 2]).collect();
    assert_eq!(events, each_twice, "an intent and an end of each call, once");
    assert!(calls >= served, "{calls} call records of {served} calls");
    assert_eq!(scene.control.shared.missing.load(Ordering::SeqCst), 0);
    assert_eq!(call(&node, scene.key.expose()).await.0, 404);
    end(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_neither_opens_what_is_closed_nor_closes_what_is_open() {
    let scene = Scene::prepare().await;
    let state = TempDir::new().unwrap();
    let node = scene.start(&state).await;
    until("the node is ready", || node.is_ready()).await;
    for jump in [-DAY, DAY, -30 * DAY, 30 * DAY, 0] {
        scene.clock.0.store(jump, Ordering::SeqCst);
        // The control plane is there and vouches: its word counts by the clock of that moment.
        let served = async {
            while call(&node, scene.key.expose()).await.0 != 404 {
                scene.control.shared.send(tidegate_proto::config::control_message::Message::Current(
                    tidegate_proto::config::Current::default(),
                ));
            }
        };
        assert!(
            tokio::time::timeout(PATIENCE, served).await.is_ok(),
            "a jump by {jump} ms is not got over while the control plane is there"
        );
        assert_eq!(call(&node, scene.revoked.expose()).await.0, 401, "after a jump by {jump} ms");
        let number = u128::from(jump.unsigned_abs());
        node.journal().append(&ended(number)).unwrap();
    }
    until("everything is shipped", || node.journal().status().pending_records == 0).await;
    assert_eq!(stored(&scene.control).0.len(), 5);
    end(node).await;
}
