//! Waves: a change of the catalogue reaches one node, then the others, and goes back where that node refuses it. Two
//! control planes run all the while.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use prost::Message as _;
use tidegate_proto::config::{Delta, resource};
use tidegate_push::PushSettings;
use tidegate_secrets::copy::{Record, Verified};
use tidegate_secrets::decision::Certificates;
use tidegate_secrets::sealing::SealingKeyPair;
use tidegate_store::waves::{self, Move, Stage, Wave};
use tidegate_store::{AuditNote, Store, offerings};
use tidegate_types::resource::{Offering, Resource, ResourceKey};
use tidegate_types::{OrganizationId, Shard};

use crate::copies::publisher;
use crate::fake_node::{FakeNode, Stream};
use crate::plane::{DEADLINE, Plane, commit, eventually, now};
use crate::samples;

struct Fleet {
    plane: Plane,
    twin: Plane,
    /// Writes as a control plane does that has waves.
    store: Store,
    nodes: Vec<FakeNode>,
    streams: Vec<Stream>,
    offering: Offering,
}

impl Fleet {
    /// Nodes that have an offering, some of them at the other control plane.
    async fn of(count: usize, soak: Duration) -> Self {
        let settings = PushSettings { wave_soak: soak, ..PushSettings::default() };
        let plane = Plane::start().await;
        let (database, kek) = (plane.database.clone(), plane.kek.clone());
        let twin = Plane::start_over(database.clone(), kek.clone(), settings.clone()).await;
        let plane = {
            plane.stop.cancel();
            Plane::start_over(database, kek, settings).await
        };
        let store = plane.store.clone().with_waves(true);
        let offering = samples::offering();
        let (mut nodes, mut streams) = (vec![], vec![]);
        for index in 0..count {
            let node = FakeNode::enrol(&plane).await;
            let at = if index % 2 == 0 { &plane } else { &twin };
            let channel = node.at(at).await;
            let mut stream = node.stream_from(Default::default(), channel).await.unwrap();
            stream.until("synchronised", |stream| stream.synchronised).await;
            nodes.push(node);
            streams.push(stream);
        }
        // A change is staged where several nodes are heard of, and first words are written beside what is sent.
        for node in &nodes {
            eventually("it was heard of", || async { plane.fleet(node.id).await.last_seen.is_some() }).await;
        }
        let mut fleet = Self { plane, twin, store, nodes, streams, offering: offering.clone() };
        let mut change = fleet.store.change(&fleet.plane.system(), now()).await.unwrap();
        offerings::insert(&mut change, &offering).await.unwrap();
        assert!(!commit(change).await.staged, "what nobody uses yet goes to all at once");
        fleet.until("all have the offering", |fleet| fleet.holding("one") == count).await;
        fleet
    }

    fn key(&self) -> ResourceKey {
        Resource::Offering(self.offering.clone()).key()
    }

    async fn write(&self, upstream_name: &str, tightens: bool) -> bool {
        let mut change = self.store.change(&self.plane.system(), now()).await.unwrap();
        let offering = Offering { upstream_name: upstream_name.to_owned(), ..self.offering.clone() };
        offerings::update(&mut change, &offering, None, tightens).await.unwrap();
        commit(change).await.staged
    }

    fn holds(&self, node: usize) -> String {
        match self.streams[node].held.resources.get(&self.key()).and_then(|held| held.resource.clone()) {
            Some(Resource::Offering(offering)) => offering.upstream_name,
            _ => String::new(),
        }
    }

    fn holding(&self, upstream_name: &str) -> usize {
        (0..self.streams.len()).filter(|node| self.holds(*node) == upstream_name).count()
    }

    async fn wave(&self) -> Wave {
        waves::look(&mut self.store.begin(&self.plane.system()).await.unwrap()).await.unwrap()
    }

    async fn hear(&mut self) {
        for stream in &mut self.streams {
            stream.listen_for(Duration::from_millis(10)).await;
        }
    }

    /// Hears all nodes out until it is so.
    async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let waited = async {
            while !done(self) {
                self.hear().await;
            }
        };
        assert!(tokio::time::timeout(DEADLINE, waited).await.is_ok(), "never happened: {what}");
    }

    async fn until_wave(&mut self, what: &str, done: impl Fn(&Wave) -> bool) -> Wave {
        let waited = async {
            loop {
                self.hear().await;
                let wave = self.wave().await;
                if done(&wave) {
                    return wave;
                }
            }
        };
        tokio::time::timeout(DEADLINE, waited).await.unwrap_or_else(|_| panic!("never happened: {what}"))
    }

    /// Two hours pass for the wave: what soaks is released by the runners alone.
    fn soak(&self) {
        self.plane.tamper("UPDATE waves SET applied_at = applied_at - interval '2 hours'");
    }

    fn heals(&self) -> u64 {
        self.plane.metrics.heals.get() + self.twin.metrics.heals.get()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_one_node_then_all_and_nothing_else_waits_for_it() {
    let mut fleet = Fleet::of(3, Duration::from_secs(3_600)).await;
    assert!(fleet.write("two", false).await);
    let wave = fleet.until_wave("one node has it", |wave| wave.applied_at.is_some()).await;
    assert_eq!((wave.stage, wave.members.len()), (Stage::One, 1));
    let first = fleet.nodes.iter().position(|node| node.id == wave.members[0]).unwrap();
    assert_eq!((fleet.holding("two"), fleet.holding("one")), (1, 2));
    assert_eq!(fleet.holds(first), "two");

    // Who comes now, and whoever comes anew, gets what is released.
    let mut late = FakeNode::enrol(&fleet.plane).await.synchronised().await;
    let held = late.held.resources.remove(&fleet.key()).and_then(|held| held.resource);
    let Some(Resource::Offering(held)) = held else { panic!("{held:?}") };
    assert_eq!(held.upstream_name, "one");
    let (organization, _) = fleet.plane.organization("acme").await;
    let known = |stream: &Stream| stream.held.resources.keys().any(|key| key.organization_id == organization);
    fleet.until("others' changes pass", |fleet| fleet.streams.iter().all(known)).await;
    assert_eq!(fleet.holding("two"), 1, "while the wave waits");

    fleet.soak();
    fleet.until("all have it", |fleet| fleet.holding("two") == 3).await;
    let wave = fleet.wave().await;
    assert_eq!((wave.stage, wave.staged.len()), (Stage::None, 0));
    // Once more than digests are compared apart.
    for _ in 0..100 {
        fleet.hear().await;
    }
    assert_eq!(fleet.heals(), 0, "what is staged is no difference that has to be healed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_first_node_refuses_goes_back_and_nobody_else_gets_it() {
    let mut fleet = Fleet::of(3, Duration::from_secs(3_600)).await;
    let key = fleet.key();
    for stream in &mut fleet.streams {
        stream.held.rejects.insert(key.clone());
    }
    assert!(fleet.write("two", false).await);
    let wave = fleet.until_wave("it is halted", |wave| wave.stage == Stage::Halted).await;
    assert!(wave.reason.contains("rejects offering"), "{}", wave.reason);
    for stream in &mut fleet.streams {
        stream.held.rejects.clear();
    }
    let version = |stream: &Stream| stream.held.resources.get(&key).map(|held| held.revision.n);
    let same = |fleet: &Fleet| {
        let versions: BTreeSet<_> = fleet.streams.iter().map(version).collect();
        fleet.holding("one") == 3 && versions.len() == 1
    };
    fleet.until("all hold what is released, under one number", same).await;
    for _ in 0..60 {
        fleet.hear().await;
    }
    assert_eq!((fleet.wave().await.stage, fleet.holding("one")), (Stage::Halted, 3), "nobody tries again");

    // An operator may say that it is to go on.
    let mut change = fleet.store.change(&fleet.plane.system(), now()).await.unwrap();
    change.step(Move::Resume);
    let note = AuditNote { action: "wave.resume", object: "catalogue".to_owned(), before: None, after: None };
    change.commit(note).await.unwrap();
    let again = fleet.until_wave("it begins again", |wave| wave.stage == Stage::One).await;
    assert_eq!(again.members, wave.members, "at the node that had it first");
    // And what is written then takes its place.
    assert!(fleet.write("three", false).await);
    let has_it = |wave: &Wave| wave.applied_at.is_some() && !wave.has_news();
    fleet.until_wave("the first has what mends it", has_it).await;
    fleet.soak();
    fleet.until("all have what mends it", |fleet| fleet.holding("three") == 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_first_node_dies_of_goes_back() {
    let mut fleet = Fleet::of(3, Duration::from_secs(600)).await;
    assert!(fleet.write("two", false).await);
    let wave = fleet.until_wave("one node has it", |wave| wave.applied_at.is_some()).await;
    let first = fleet.nodes.iter().position(|node| node.id == wave.members[0]).unwrap();
    let held = std::mem::take(&mut fleet.streams[first].held);
    let channel = fleet.nodes[first].at(&fleet.twin).await;
    fleet.streams[first] = fleet.nodes[first].stream_of(2, held, channel).await.unwrap();
    let wave = fleet.until_wave("it is halted", |wave| wave.stage == Stage::Halted).await;
    assert!(wave.reason.contains("ended and started again"), "{}", wave.reason);
    fleet.until("all hold what is released", |fleet| fleet.holding("one") == 3).await;
    assert_eq!(fleet.heals(), 0, "it was sent back, and not found out later");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tightens_waits_for_nobody_and_ends_the_wave_of_what_it_replaces() {
    let mut fleet = Fleet::of(2, Duration::from_secs(600)).await;
    assert!(fleet.write("two", false).await);
    fleet.until("one has it", |fleet| fleet.holding("two") == 1).await;
    assert!(!fleet.write("off", true).await);
    fleet.until("all have what tightens", |fleet| fleet.holding("off") == 2).await;
    fleet.until_wave("the wave is over", |wave| wave.stage == Stage::None && wave.staged.is_empty()).await;
    let mut tx = fleet.store.begin(&fleet.plane.system()).await.unwrap();
    let stored = offerings::get(&mut tx, OrganizationId::SYSTEM, fleet.offering.id).await.unwrap();
    assert_eq!((stored.value.upstream_name.as_str(), stored.version), ("off", 3));
}

/// What a copy of the configuration says of the offering, and how far it is in the system's shard.
fn copied(fleet: &Fleet, file: &Path, class: &SealingKeyPair) -> Option<(String, u64)> {
    let roots = Certificates::new(&fleet.plane.material.roots);
    let mut copy = Verified::read(File::open(file).ok()?, &roots).unwrap();
    let mut found = String::new();
    let header = copy.open(class, |record| {
        let Record::Delta(bytes) = record else { return Ok(()) };
        for one in Delta::decode(bytes.as_slice()).unwrap().resources {
            if let Some(resource::Resource::Offering(offering)) = one.resource.and_then(|one| one.resource) {
                found = offering.upstream_name;
            }
        }
        Ok(())
    });
    let n = header.unwrap().positions[Shard::SYSTEM.index()];
    Some((found, n))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_configuration_holds_what_is_released() {
    let soak = Duration::from_secs(3_600);
    let mut fleet = Fleet::of(3, soak).await;
    let (folder, class) = (tempfile::tempdir().unwrap(), SealingKeyPair::generate().unwrap());
    let settings = PushSettings { wave_soak: soak, ..PushSettings::default() };
    let _publisher = publisher(&fleet.plane, folder.path(), &class, settings).await;
    assert!(fleet.write("two", false).await);
    fleet.until("one has what is staged", |fleet| fleet.holding("two") == 1).await;
    let n = fleet.wave().await.upto;
    let file = folder.path().join("default.copy");
    let copy = loop {
        if let Some((found, at)) = copied(&fleet, &file, &class)
            && at >= n
        {
            break found;
        }
        fleet.hear().await;
    };
    assert_eq!(copy, "one");
    assert_eq!(fleet.holding("two"), 1, "positive control: it is staged still");
}
