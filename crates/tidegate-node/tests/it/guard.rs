//! The boot guard: configuration that kills a node's process, which nothing within the process can hold.
//!
//! The node is this test's executable once more; what kills it is planted by the probe of its settings.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tidegate_node::{Node, NodeSettings, Probe, Seen};
use tidegate_proto::config::control_message::Message as Control;
use tidegate_proto::config::{Ack, Heal, resource};
use tidegate_telemetry::SystemClock;
use tidegate_types::resource::{KeyStatus, Resource, Team};
use tidegate_types::{OrganizationId, Secret, Shard, TeamId};
use tokio_util::sync::CancellationToken;

use crate::control_plane::FakeControl;
use crate::copy::{Copied, may_begin};
use crate::fleet::{Tenant, end, free_address, get_from, settings, settings_by, until};
use crate::gateway::call_at;

const GIVEN: &str = "TIDEGATE_TEST_NODE";
/// A team of this name kills the node while it is applied.
pub(crate) const KILLS: &str = "kills";
/// A team of this name kills the node while it serves, once the file is there.
const POISONS: &str = "poisons";

/// What the other process is given.
#[derive(Serialize, Deserialize)]
pub(crate) struct Given {
    control: u16,
    roots: String,
    state: PathBuf,
    gateway: SocketAddr,
    metrics: SocketAddr,
    trial_ms: u64,
    file: PathBuf,
    organization: OrganizationId,
    team: TeamId,
    /// It may begin by a copy.
    copy: Option<Copied>,
}

impl Given {
    /// Of a node that has nothing but a copy, and dies of what is on trial.
    pub(crate) fn by_copy(control: &FakeControl, state: &Path, tenant: &Tenant, copy: Copied) -> Self {
        Self {
            control: control.address.port(),
            roots: control.roots(),
            state: state.to_owned(),
            gateway: free_address(),
            metrics: free_address(),
            trial_ms: 1_000_000,
            file: state.join("never"),
            organization: tenant.organization,
            team: tenant.team,
            copy: Some(copy),
        }
    }
}

fn team_of(seen: &Seen<'_>) -> Option<String> {
    let Seen::Resource(one) = seen else { return None };
    match one.resource.as_ref()?.resource.as_ref()? {
        resource::Resource::Team(team) => Some(team.name.clone()),
        _ => None,
    }
}

/// Does nothing but in the process that a story starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_in_a_process_of_its_own() {
    let Some(given) = std::env::var_os(GIVEN) else { return };
    let given: Given = serde_json::from_slice(given.as_encoded_bytes()).unwrap();
    let settings = settings_by(given.control, given.roots, &given.state, Arc::new(SystemClock));
    let stop = CancellationToken::new();
    let settings = match &given.copy {
        Some(copied) => may_begin(settings, copied, &stop).await,
        None => settings,
    };
    let abort = |seen: Seen<'_>| {
        if team_of(&seen).is_some_and(|name| name == KILLS) {
            std::process::abort();
        }
    };
    let node = Node::start(NodeSettings {
        gateway_listen: given.gateway,
        metrics_listen: given.metrics,
        trial: Duration::from_millis(given.trial_ms),
        probe: Probe(Some(Arc::new(abort))),
        ..settings
    });
    let node = node.await.unwrap();
    loop {
        let held = node.config().organization(given.organization);
        let name = held.and_then(|held| held.team(given.team).map(|team| team.name.clone()));
        if name.is_some_and(|name| *name == *POISONS) && node.is_ready() && given.file.exists() {
            std::process::abort();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A node in another process, which may die.
pub(crate) struct Guarded {
    given: Given,
    node: Option<Child>,
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Guarded {
    pub(crate) fn new(given: Given) -> Self {
        Self { given, node: None }
    }

    pub(crate) fn spawn(&mut self) {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "guard::a_node_in_a_process_of_its_own", "--nocapture"]);
        again.env(GIVEN, serde_json::to_string(&self.given).unwrap()).stdin(Stdio::null());
        self.node = Some(again.spawn().unwrap());
    }

    /// Starts the node; back when it is ready.
    pub(crate) async fn run(&mut self) {
        self.spawn();
        loop {
            assert!(!self.has_ended(), "it died before it was ready");
            if tokio::net::TcpStream::connect(self.given.metrics).await.is_ok()
                && get_from(self.given.metrics, "/readyz").await.0 == 200
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.node.as_mut().is_none_or(|node| node.try_wait().unwrap().is_some())
    }

    pub(crate) async fn until_it_dies(&mut self) {
        until("the node dies", || self.has_ended()).await;
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut node) = self.node.take() {
            let _ = node.kill();
            node.wait().unwrap();
        }
    }

    /// What a call by this key gets. 404: it opens, and there is no such model.
    pub(crate) async fn status(&self, key: &str) -> u16 {
        call_at(self.given.gateway, key).await.0
    }
}

/// A node in another process, its control plane, and an organization with two keys.
struct Scene {
    control: FakeControl,
    _folder: TempDir,
    node: Guarded,
    tenant: Tenant,
    good: Secret,
    other: Tenant,
    other_key: Secret,
}

impl Deref for Scene {
    type Target = Guarded;

    fn deref(&self) -> &Guarded {
        &self.node
    }
}

impl DerefMut for Scene {
    fn deref_mut(&mut self) -> &mut Guarded {
        &mut self.node
    }
}

impl Scene {
    /// The node serves, and what it has is good.
    async fn start() -> Self {
        let control = FakeControl::start().await;
        let (tenant, state) = (Tenant::new(), TempDir::new().unwrap());
        let other = colleague(&tenant);
        let ((key, good), (second, other_key)) = (tenant.issue(&control), other.issue(&control));
        for resource in [tenant.organization(), tenant.team(), key, second] {
            control.shared.publish(&resource);
        }
        let given = Given {
            control: control.address.port(),
            roots: control.roots(),
            state: state.path().join("node"),
            gateway: free_address(),
            metrics: free_address(),
            trial_ms: 500,
            file: state.path().join("now"),
            organization: tenant.organization,
            team: tenant.team,
            copy: None,
        };
        let mut scene =
            Self { control, _folder: state, node: Guarded::new(given), tenant, good, other, other_key };
        scene.run().await;
        loop {
            scene.until_metric("config_keys", 2).await;
            scene.until_metric("config_on_trial_shards", 0).await;
            // Nothing more passes. A death with nothing on trial is none.
            scene.given.trial_ms = 1_000_000;
            scene.kill();
            scene.run().await;
            scene.until_metric("config_keys", 2).await;
            // It may have been measured in the middle of applying, before that was on trial.
            if scene.until_measured("config_on_trial_shards").await == 0 {
                return scene;
            }
            scene.given.trial_ms = 500;
            scene.kill();
            scene.run().await;
        }
    }

    fn shard(&self) -> Shard {
        Shard::of(self.tenant.organization)
    }

    fn team(&self, name: &str) -> Resource {
        match self.tenant.team() {
            Resource::Team(team) => Resource::Team(Team { name: name.into(), ..team }),
            other => other,
        }
    }

    /// `None`: nothing was measured yet.
    async fn metric(&self, name: &str) -> Option<u64> {
        let (_, answer) = get_from(self.given.metrics, "/metrics").await;
        let line = answer.lines().find(|line| line.starts_with(&format!("tidegate_{name} ")))?;
        line.rsplit(' ').next().unwrap().parse().ok()
    }

    async fn until_measured(&self, name: &str) -> u64 {
        loop {
            if let Some(value) = self.metric(name).await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn until_metric(&self, name: &str, value: u64) {
        let wait = async {
            while self.metric(name).await != Some(value) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(crate::support::PATIENCE, wait).await.unwrap();
    }

    /// The statuses that both keys get. 404: it opens, and there is no such model.
    async fn statuses(&self) -> (u16, u16) {
        let good = call_at(self.given.gateway, self.good.expose()).await.0;
        (good, call_at(self.given.gateway, self.other_key.expose()).await.0)
    }

    /// Publishes as one delta; the shard's head before it.
    fn publish(&self, resources: &[Resource]) -> u64 {
        let with = |one: &Resource| (one.clone(), matches!(one, Resource::Key(_)));
        let resources: Vec<_> = resources.iter().map(with).collect();
        self.control.shared.publish_together(self.shard(), &resources)
    }

    /// Publishes as one delta, until it is on the node's disk.
    async fn publish_and_keep(&self, resources: &[Resource]) -> u64 {
        let floor = || std::fs::read(self.given.state.join("floor")).unwrap();
        let before = floor();
        let n = self.publish(resources);
        until("it is on the disk", || floor() != before).await;
        n
    }

    /// A revocation, and a change that kills the node while it serves, are on trial; the shard's head before them.
    async fn dies_three_times(&mut self) -> u64 {
        assert_eq!(self.statuses().await, (404, 404));
        let revoked = self.other.key(KeyStatus::Revoked);
        let good = self.publish_and_keep(&[revoked, self.team(POISONS)]).await;
        touch(&self.given.file);
        self.until_it_dies().await;

        // Nobody sends it anything: what it dies of is on its disk.
        self.control.stop().await;
        self.spawn();
        self.until_it_dies().await;
        self.run().await;
        assert_eq!(
            self.statuses().await,
            (404, 401),
            "the last good generation, without what was revoked since"
        );
        self.until_metric("config_trial_deaths", 2).await;
        assert_eq!(self.until_measured("config_held_back_shards").await, 0, "it is tried once more");

        std::fs::remove_file(&self.given.file).unwrap();
        self.control.shared.acks.lock().clear();
        self.control.restart().await;
        let head = self.control.shared.head(self.shard());
        self.until_acknowledged(head, 0).await;
        touch(&self.given.file);
        self.until_it_dies().await;
        good
    }

    fn acks(&self) -> Vec<Ack> {
        let shard = self.shard().index() as u32;
        self.control.shared.acks.lock().iter().filter(|ack| ack.shard == shard).cloned().collect()
    }

    async fn until_acknowledged(&self, n: u64, rejected: usize) {
        let is_it = |ack: &Ack| ack.n == n && ack.rejected.len() == rejected;
        until("it is acknowledged", || self.acks().last().is_some_and(is_it)).await;
    }
}

/// Another key of the same team.
fn colleague(tenant: &Tenant) -> Tenant {
    Tenant { organization: tenant.organization, team: tenant.team, key: Tenant::new().key }
}

fn touch(file: &Path) {
    std::fs::write(file, "").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_of_what_is_on_trial_starts_by_what_was_good_and_refuses_what_was_revoked() {
    let mut scene = Scene::start().await;
    let good = scene.dies_three_times().await;
    scene.control.shared.acks.lock().clear();
    scene.run().await;
    scene.until_metric("config_held_back_shards", 1).await;
    scene.until_acknowledged(good, 2).await;
    let ack = scene.acks().pop().unwrap();
    assert!(ack.rejected.iter().all(|one| one.reason.contains("held back") && one.n > good), "{ack:?}");
    // A control plane that heals cannot make it take what killed it.
    let before = scene.acks().len();
    let shard = scene.shard();
    scene.control.shared.send(Control::Heal(Heal { shard: shard.index() as u32 }));
    scene.control.shared.send(Control::Delta(scene.control.shared.snapshot(shard)));
    until("the whole shard is answered", || scene.acks().len() > before).await;
    scene.until_acknowledged(good, 2).await;
    assert_eq!(scene.statuses().await, (404, 401));
    // Others are not held back.
    let elsewhere =
        std::iter::repeat_with(Tenant::new).find(|tenant| Shard::of(tenant.organization) != shard).unwrap();
    let (key, text) = elsewhere.issue(&scene.control);
    for resource in [elsewhere.organization(), elsewhere.team(), key] {
        scene.control.shared.publish(&resource);
    }
    while call_at(scene.given.gateway, text.expose()).await.0 != 404 {}

    let mended = scene.control.shared.publish(&scene.team("core"));
    scene.until_acknowledged(mended.n, 0).await;
    scene.until_metric("config_held_back_shards", 0).await;
    assert_eq!(scene.statuses().await, (404, 401));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_back_without_proof_is_tried_again_and_passes_if_it_was_not_at_fault() {
    let mut scene = Scene::start().await;
    let good = scene.dies_three_times().await;
    std::fs::remove_file(&scene.given.file).unwrap();
    scene.given.trial_ms = 8_000;
    scene.control.shared.acks.lock().clear();
    scene.run().await;
    let held = || scene.acks().iter().any(|ack| ack.n == good && ack.rejected.len() == 2);
    until("it is held back", held).await;
    scene.until_acknowledged(scene.control.shared.head(scene.shard()), 0).await;
    scene.until_metric("config_keys", 2).await;
    scene.until_metric("config_held_back_shards", 0).await;
    scene.until_metric("config_on_trial_shards", 0).await;
    scene.until_metric("config_trial_deaths", 0).await;
    assert_eq!(scene.statuses().await, (404, 401));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_that_kills_the_node_in_the_middle_is_held_back_after_two_deaths() {
    let mut scene = Scene::start().await;
    let good = scene.publish(&[scene.other.key(KeyStatus::Revoked), scene.team(KILLS)]);
    scene.until_it_dies().await;
    scene.spawn();
    scene.until_it_dies().await;
    scene.run().await;
    scene.until_acknowledged(good, 2).await;
    assert_eq!(scene.statuses().await, (404, 401));
    scene.until_metric("config_held_back_shards", 1).await;
    // A newer change that does not mend it costs one death, not two.
    let budget = scene.control.shared.publish(&scene.tenant.budget());
    scene.until_it_dies().await;
    scene.run().await;
    scene.until_acknowledged(good, 3).await;
    assert_eq!(scene.statuses().await, (404, 401));
    scene.control.shared.publish(&scene.team("core"));
    scene.until_acknowledged(budget.n + 1, 0).await;
    assert_eq!(scene.statuses().await, (404, 401));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_during_a_trial_throws_nothing_away() {
    let mut scene = Scene::start().await;
    let third = colleague(&scene.tenant);
    let (key, text) = third.issue(&scene.control);
    scene.publish_and_keep(&[key]).await;
    assert_eq!(call_at(scene.given.gateway, text.expose()).await.0, 404);
    scene.kill();
    scene.control.stop().await;
    scene.run().await;
    assert_eq!(call_at(scene.given.gateway, text.expose()).await.0, 404, "it is still on trial");
    scene.until_metric("config_trial_deaths", 1).await;
    scene.until_metric("config_on_trial_shards", 1).await;
}

/// A panic is no death: nothing is written down, and the process goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_over_one_resource_or_over_a_whole_delta_costs_its_shard_at_most() {
    for whole in [false, true] {
        let control = FakeControl::start().await;
        let (state, tenant, other) = (TempDir::new().unwrap(), Tenant::new(), Tenant::new());
        let neighbour = colleague(&tenant);
        tenant.publish(&control);
        let panics = move |seen: Seen<'_>| {
            let is_bad = |name: &str| name == KILLS;
            let found = match seen {
                Seen::Resource(_) => !whole && team_of(&seen).is_some_and(|name| is_bad(&name)),
                Seen::Part(part) => {
                    whole
                        && part
                            .resources
                            .iter()
                            .any(|one| team_of(&Seen::Resource(one)).is_some_and(|name| is_bad(&name)))
                }
            };
            assert!(!found, "planted");
        };
        let node = Node::start(NodeSettings {
            probe: Probe(Some(Arc::new(panics))),
            ..settings(&control, state.path())
        });
        let node = node.await.unwrap();
        until("it is ready", || node.is_ready() && tenant.is_known_to(&node)).await;
        let shard = Shard::of(tenant.organization);
        let before = control.shared.head(shard);
        let Resource::Team(team) = tenant.team() else { unreachable!() };
        control.shared.publish(&Resource::Team(Team { name: KILLS.into(), ..team }));
        control.shared.publish(&neighbour.key(KeyStatus::Active));
        other.publish(&control);
        until("others go on", || other.is_known_to(&node)).await;
        let acks =
            || control.shared.acks.lock().iter().rfind(|ack| ack.shard as usize == shard.index()).cloned();
        until("it is named", || acks().is_some_and(|ack| !ack.rejected.is_empty())).await;
        assert!(tenant.is_known_to(&node), "the last good version stays");
        if !whole {
            until("the same shard goes on", || neighbour.is_known_to(&node)).await;
        }
        let mended = control.shared.publish(&tenant.team());
        until("the mended one is taken", || {
            acks().is_some_and(|ack| ack.n == mended.n && ack.rejected.is_empty())
        })
        .await;
        assert!(mended.n > before && neighbour.is_known_to(&node) && tenant.is_known_to(&node));
        end(node).await;
    }
}
