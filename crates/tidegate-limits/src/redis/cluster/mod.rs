//! A Redis Cluster: which primary counts for which organization, followed through failovers and moved slots.
//!
//! The map only says whom to ask. That nothing is spent twice is the epochs' work: each is opened on one process of
//! one server, and a server that got a slot with another's marker says that nothing is open.

mod map;
mod survey;
mod view;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tidegate_types::OrganizationId;
use tokio_util::sync::CancellationToken;

use self::map::Map;
use self::view::{PATIENCE, Silence, View};
use super::breaker::{Breaker, Kit};
use super::finder::{Address, Finder};
use super::route::Standing;
use super::shard::Shard;
use super::slot::{self, SLOTS};
use crate::error::{LimitError, Unfit};

pub use self::survey::{ClusterSurvey, survey_cluster};
pub(super) use self::watch::Watch;

/// Between two looks when nothing seems to have changed.
const USUAL: Duration = Duration::from_secs(30);
/// First and longest pause between two looks while a primary is away.
const FIRST_PAUSE_MS: u64 = 250;
const LONGEST_PAUSE_MS: u64 = 2_000;
/// Least time between two looks; doubles up to the longest pause while what is hinted at is not to be seen.
const SPACING: Duration = Duration::from_millis(50);
/// Seconds between two logs of what the cluster's nodes do not say.
const SAID: i64 = 60;

/// What a look changed.
#[derive(Default)]
pub(super) struct Change {
    /// Whether any slot has another server.
    pub(super) is_news: bool,
    /// Servers whose tasks are to be begun.
    pub(super) begun: Vec<Arc<Shard>>,
    /// Servers that have no slots any more: their tasks are to end.
    pub(super) retired: Vec<Arc<Shard>>,
}

/// The cluster as it is known here.
pub(super) struct Cluster {
    map: ArcSwap<Map>,
    /// How its nodes are spoken to, and who is asked first.
    finder: Finder,
    /// Every node of the last view.
    known: Mutex<Vec<Address>>,
    watch: Arc<Watch>,
    /// When what its nodes do not say was last logged, seconds.
    complained: AtomicI64,
    kit: Kit,
    stop: CancellationToken,
}

impl Cluster {
    pub(super) fn new(finder: Finder, kit: Kit, stop: CancellationToken) -> Self {
        let watch = Arc::new(Watch::default());
        let noone = finder.to(&Address { host: String::new(), port: 0 });
        let breaker = Breaker::new(noone, &kit, Some(Arc::clone(&watch)), 0);
        let nowhere = Arc::new(Shard::nowhere(breaker, stop.child_token()));
        Self {
            map: ArcSwap::from_pointee(Map::empty(nowhere)),
            finder,
            known: Mutex::default(),
            watch,
            complained: AtomicI64::new(i64::MIN),
            kit,
            stop,
        }
    }

    /// First look; connects to every primary. That all of them are unfit is an error; that one is, is its
    /// organizations' outage.
    pub(super) async fn begin(&self) -> Result<(), LimitError> {
        match self.look().await {
            Err(error @ LimitError::Unfit(_)) => return Err(error),
            Err(_) => return Ok(()),
            Ok(_) => {}
        }
        let map = self.map.load_full();
        let begun = map.servers().map(|shard| shard.breaker.begin());
        let begun = join_all(begun).await;
        let all = begun.iter().all(Result::is_err);
        for error in begun.into_iter().filter_map(Result::err) {
            if all {
                return Err(error);
            }
            tracing::error!(%error, "a primary of the cluster must not be used");
        }
        Ok(())
    }

    pub(super) fn of(&self, organization: OrganizationId) -> Arc<Shard> {
        Arc::clone(self.map.load().of(slot::of(organization)))
    }

    pub(super) fn fleet(&self) -> Arc<Shard> {
        Arc::clone(self.map.load().of(slot::of_fleet()))
    }

    /// Every server, and the one that is nowhere.
    pub(super) fn all(&self) -> Vec<Arc<Shard>> {
        self.map.load().parts().iter().map(|part| Arc::clone(&part.shard)).collect()
    }

    /// Who serves.
    pub(super) fn standing(&self) -> Standing {
        let map = self.map.load();
        Standing {
            servers: map.servers().count(),
            away: map.servers().filter(|shard| !shard.breaker.is_closed()).count(),
            unserved: map.unserved(),
        }
    }

    /// Waits until it is worth to look again. `looks`: how many there were since all was well; `vain`: how many
    /// hints in turn led to nothing. Whether there was a hint.
    pub(super) async fn wait(&self, looks: u32, vain: u32) -> bool {
        let pause = if self.standing().is_well() {
            USUAL
        } else {
            Duration::from_millis((FIRST_PAUSE_MS << looks.min(5)).min(LONGEST_PAUSE_MS))
        };
        let longest = Duration::from_millis(LONGEST_PAUSE_MS);
        tokio::time::sleep((SPACING * (1 << vain.min(6))).min(longest)).await;
        tokio::time::timeout(pause, self.watch.hinted()).await.is_ok()
    }

    /// Asks who has which slot, and takes it over.
    pub(super) async fn look(&self) -> Result<Change, LimitError> {
        let mut views = self.ask_primaries().await;
        if !views.iter().any(|view| view.stands) {
            let mut silent = Vec::new();
            for (node, told) in self.ask_everybody().await {
                match told {
                    Ok(view) => views.push(view),
                    Err(why) => silent.push((node, why)),
                }
            }
            if views.is_empty() {
                let error = unfit(&silent);
                self.complain(&silent, &error);
                return Err(error);
            }
        }
        let Some(view) = view::newest(&views) else { return Err(LimitError::Away) };
        self.watch.heard(view.epoch);
        Ok(self.adopt(view))
    }

    /// Logs why nobody says who has which slot, at most once a minute.
    fn complain(&self, silent: &[(Address, Silence)], error: &LimitError) {
        let now = self.kit.clock.now().as_seconds();
        if now.saturating_sub(self.complained.load(Ordering::Relaxed)) < SAID {
            return;
        }
        self.complained.store(now, Ordering::Relaxed);
        let nodes: Vec<String> = silent.iter().map(|(at, why)| format!("{at}: {why}")).collect();
        let nodes = nodes.join("; ");
        tracing::error!(%error, nodes, "no node of the cluster says who has which slot");
    }

    /// Primaries to which there are connections.
    async fn ask_primaries(&self) -> Vec<View> {
        let map = self.map.load_full();
        let question = view::question();
        let asked =
            map.parts().iter().filter_map(|part| Some((part.at.as_ref()?, part.shard.breaker.back()?)));
        let asked = asked.map(async |(at, link)| {
            let replies = link.ask_many(&question, PATIENCE).await.ok()?;
            view::read(&replies, &at.host).ok()
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// All nodes that are known by name, by connections of their own.
    async fn ask_everybody(&self) -> Vec<(Address, Result<View, Silence>)> {
        let mut nodes = self.finder.seeds().to_vec();
        nodes.extend(self.known.lock().iter().cloned());
        nodes.sort();
        nodes.dedup();
        Self::ask(&self.finder, nodes).await
    }

    /// Asks nodes by connections of their own.
    async fn ask(finder: &Finder, nodes: Vec<Address>) -> Vec<(Address, Result<View, Silence>)> {
        let asked = nodes.into_iter().map(async |node| {
            let told = match finder.to(&node).find().await {
                Ok(client) => view::ask(&client, &node).await,
                Err(_) => Err(Silence::Away),
            };
            (node, told)
        });
        join_all(asked).await
    }

    fn adopt(&self, view: &View) -> Change {
        self.known.lock().clone_from(&view.nodes);
        let (old, mut change) = (self.map.load_full(), Change::default());
        // Until a server's clock is known, it is thought to be as the others'.
        let offset = self.fleet().breaker.offset();
        let begin = |at: &Address| {
            let breaker = Breaker::new(self.finder.to(at), &self.kit, Some(Arc::clone(&self.watch)), offset);
            Arc::new(Shard::new(breaker, self.stop.child_token()))
        };
        let Some(new) = old.by(view, begin) else { return change };
        change.is_news = true;
        let new = Arc::new(new);
        let is_in =
            |map: &Map, shard: &Arc<Shard>| map.parts().iter().any(|part| Arc::ptr_eq(&part.shard, shard));
        for part in new.parts().iter().filter(|part| !is_in(&old, &part.shard)) {
            change.begun.push(Arc::clone(&part.shard));
        }
        for part in old.parts().iter().filter(|part| !is_in(&new, &part.shard)) {
            change.retired.push(Arc::clone(&part.shard));
        }
        tracing::info!(
            primaries = new.parts().len() - 1,
            epoch = view.epoch,
            "slots of the cluster have other primaries"
        );
        self.map.store(new);
        self.kit.version.fetch_add(1, Ordering::AcqRel);
        // What waits for a server goes to the one that has its slot now.
        old.parts().iter().for_each(|part| part.shard.queue.remapped());
        change
    }
}

/// Nobody says anything: whether that will pass.
fn unfit(silent: &[(Address, Silence)]) -> LimitError {
    let all = |why| !silent.is_empty() && silent.iter().all(|(_, silence)| *silence == why);
    if all(Silence::NoCluster) {
        LimitError::Unfit(Unfit::NoCluster)
    } else if all(Silence::Refused) {
        LimitError::Unfit(Unfit::Command("CLUSTER SLOTS or CLUSTER INFO"))
    } else {
        LimitError::Away
    }
}
