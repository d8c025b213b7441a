//! What a cluster is, and what the user may do on each of its primaries: facts for `tidegate doctor`, without a
//! judgement. Leaves nothing behind.

use futures_util::future::join_all;
use redis::Value;
use tidegate_types::Clock;
use tokio::time::timeout;

use super::Cluster;
use super::view::{self, View};
use crate::redis::finder::{Address, Finder};
use crate::redis::slot::{SLOTS, of_tag};
use crate::redis::survey::{self, PATIENCE, Survey};
use crate::settings::RedisSettings;

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSurvey {
    /// Each node that the settings name; `Err`: why it says nothing.
    pub seeds: Vec<(String, Result<(), String>)>,
    /// Whether the newest view says that the cluster counts.
    pub stands: bool,
    /// Slots that a primary has, of 16,384.
    pub slots: usize,
    /// `cluster-require-full-coverage` of any primary that says it; `None`: nobody may be asked.
    pub full_coverage: Option<bool>,
    /// Each primary.
    pub primaries: Vec<(String, Result<Survey, String>)>,
}

/// Looks at the cluster: at the nodes that the settings name, and by what they say at each primary.
///
/// # Errors
/// Why it cannot be looked at; holds no secret.
pub async fn survey_cluster(settings: &RedisSettings, clock: &dyn Clock) -> Result<ClusterSurvey, String> {
    let finder = Finder::new(settings).map_err(|error| error.to_string())?;
    let told = Cluster::ask(&finder, finder.seeds().to_vec()).await;
    let views: Vec<View> = told.iter().filter_map(|(_, told)| told.as_ref().ok().cloned()).collect();
    let said = |told: &Result<View, view::Silence>| told.as_ref().map(|_| ()).map_err(ToString::to_string);
    let seeds = told.iter().map(|(at, told)| (at.to_string(), said(told))).collect();
    let nothing =
        ClusterSurvey { seeds, stands: false, slots: 0, full_coverage: None, primaries: Vec::new() };
    let Some(view) = view::newest(&views) else { return Ok(nothing) };
    let mut at: Vec<Address> = view.ranges.iter().map(|range| range.primary.clone()).collect();
    at.sort();
    at.dedup();
    let looked = join_all(at.iter().map(|at| look(&finder, view, at, settings.seed, clock))).await;
    let coverage: Vec<bool> = looked.iter().filter_map(|(_, coverage)| *coverage).collect();
    Ok(ClusterSurvey {
        stands: view.stands,
        slots: served(view),
        full_coverage: (!coverage.is_empty()).then(|| coverage.contains(&true)),
        primaries: at.iter().map(ToString::to_string).zip(looked.into_iter().map(|(seen, _)| seen)).collect(),
        ..nothing
    })
}

fn served(view: &View) -> usize {
    (0..SLOTS)
        .filter(|slot| view.ranges.iter().any(|range| (range.first..=range.last).contains(slot)))
        .count()
}

/// Names of keys whose slot this primary has.
fn tag(view: &View, at: &Address) -> Option<String> {
    let has = |slot: usize| {
        view.ranges.iter().any(|range| range.primary == *at && (range.first..=range.last).contains(&slot))
    };
    (0..1_000_000).map(|n| format!("doctor{n}")).find(|tag| has(of_tag(tag.as_bytes())))
}

/// One primary, and whether it wants all slots to be served.
async fn look(
    finder: &Finder,
    view: &View,
    at: &Address,
    seed: u64,
    clock: &dyn Clock,
) -> (Result<Survey, String>, Option<bool>) {
    let Some(tag) = tag(view, at) else { return (Err("it has no slots".to_owned()), None) };
    let looked = async {
        let mut connection = survey::connect(&finder.to(at)).await?;
        let mut asked = redis::cmd("CONFIG");
        asked.arg("GET").arg("cluster-require-full-coverage");
        let told = connection.send_packed_command(&asked).await.ok();
        Ok((survey::look(connection, &tag, seed, clock).await?, told.as_ref().and_then(is_yes)))
    };
    match timeout(2 * PATIENCE, looked).await {
        Ok(Ok((seen, coverage))) => (Ok(seen), coverage),
        Ok(Err(why)) => (Err(why), None),
        Err(_) => (Err("it does not answer in time".to_owned()), None),
    }
}

/// The value of one setting.
fn is_yes(told: &Value) -> Option<bool> {
    let value = match told {
        Value::Array(pair) => pair.get(1)?,
        Value::Map(pairs) => &pairs.first()?.1,
        _ => return None,
    };
    match value {
        Value::BulkString(text) => Some(text == b"yes"),
        _ => None,
    }
}
