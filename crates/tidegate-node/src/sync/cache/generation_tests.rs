use std::collections::BTreeSet;
use std::sync::Arc;

use tempfile::TempDir;
use tidegate_proto::config::Resource;
use tidegate_types::NodeId;

use super::*;
use crate::state::State;

const SHARD: Shard = Shard::new(3).unwrap();

fn open(folder: &TempDir) -> Cache {
    let state = Arc::new(State::open(folder.path()).unwrap());
    Cache::open(state, NodeId::from_u128(1)).unwrap()
}

fn resource(kind: &str, id: u64, n: u64, present: bool) -> VersionedResource {
    let key = ResourceKey { organization_id: "org".into(), kind: kind.into(), id: id.to_string() };
    let content_hash = if present { vec![1; 32] } else { Vec::new() };
    let resource = present.then(Resource::default);
    VersionedResource { key: Some(key), n, resource, content_hash, tightens: !present }
}

fn append(cache: &mut Cache, from: u64, resources: Vec<VersionedResource>) {
    let to = resources.iter().map(|one| one.n).max().unwrap();
    let delta = Delta { shard: 3, from, to, replace: from == 0, last: true, resources, synchronised: false };
    cache.append(SHARD, &delta, true).unwrap();
    cache.sync().unwrap();
}

/// Ids and changes of what was handed over.
fn ids(part: &Delta) -> BTreeSet<(String, u64)> {
    part.resources.iter().map(|one| (one.key.as_ref().unwrap().id.clone(), one.n)).collect()
}

fn by(cache: &mut Cache, mark: &Mark) -> Option<BTreeSet<(String, u64)>> {
    let mut found = BTreeSet::new();
    let kept = cache.kept_by(SHARD, mark, |part| {
        found.extend(ids(part));
        true
    })?;
    assert!(matches!(kept, Kept::Whole(n) if n == mark.n));
    Some(found)
}

fn whole(cache: &mut Cache) -> BTreeSet<(String, u64)> {
    let mut found = BTreeSet::new();
    cache.kept(SHARD, |part| {
        found.extend(ids(part));
        true
    });
    found
}

fn set<const N: usize>(all: [(u64, u64); N]) -> BTreeSet<(String, u64)> {
    all.into_iter().map(|(id, n)| (id.to_string(), n)).collect()
}

/// A log that was good with 1 and 2; then 2 changed, 1 went and 3 came.
fn scene() -> (TempDir, Cache, Mark) {
    let folder = TempDir::new().unwrap();
    let mut cache = open(&folder);
    append(&mut cache, 0, vec![resource("key", 1, 1, true), resource("key", 2, 2, true)]);
    let mark = cache.marks().remove(0);
    cache.want([&mark].into_iter());
    append(&mut cache, 2, vec![resource("key", 2, 3, true)]);
    append(&mut cache, 3, vec![resource("key", 1, 4, false), resource("key", 3, 5, true)]);
    (folder, cache, mark)
}

fn kept(folder: &TempDir) -> usize {
    let names = std::fs::read_dir(folder.path().join("config")).unwrap();
    names.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".kept")).count()
}

#[test]
fn a_mark_is_read_as_it_was_also_after_its_log_was_folded_and_replaced() {
    let (folder, mut cache, mark) = scene();
    assert_eq!((by(&mut cache, &mark), kept(&folder)), (Some(set([(1, 1), (2, 2)])), 0));
    drop(cache);
    // What was known of where it goes on ends with the process.
    let mut cache = open(&folder);
    cache.want([&mark].into_iter());
    append(&mut cache, 5, vec![resource("key", 3, 6, true)]);
    assert_eq!(kept(&folder), 1, "the log was written afresh");
    assert_eq!(whole(&mut cache), set([(2, 3), (3, 6)]));
    assert_eq!(by(&mut cache, &mark), Some(set([(1, 1), (2, 2)])));
    drop(cache);
    let mut cache = open(&folder);
    cache.want([&mark].into_iter());
    append(&mut cache, 0, vec![resource("key", 9, 9, true)]);
    assert_eq!(whole(&mut cache), set([(9, 9)]));
    assert_eq!(by(&mut cache, &mark), Some(set([(1, 1), (2, 2)])));
    let newest = open_mark(&mut cache);
    cache.want([&newest].into_iter());
    assert_eq!((kept(&folder), by(&mut cache, &mark)), (0, None), "what nobody asks for goes");
}

fn open_mark(cache: &mut Cache) -> Mark {
    whole(cache);
    cache.marks().remove(0)
}

#[test]
fn what_follows_a_mark_is_written_behind_it_and_takes_the_logs_place_when_it_is_whole() {
    let (folder, mut cache, mark) = scene();
    by(&mut cache, &mark).unwrap();
    let part = |last, resources| Delta { shard: 3, from: 2, to: 7, last, resources, ..Delta::default() };
    cache.append(SHARD, &part(false, vec![resource("key", 2, 6, true)]), true).unwrap();
    drop(cache);
    let mut cache = open(&folder);
    assert_eq!(whole(&mut cache), set([(2, 3), (3, 5)]), "half of it is nothing");
    by(&mut cache, &mark).unwrap();
    // The stream broke and began again.
    for _ in 0..2 {
        cache.append(SHARD, &part(false, vec![resource("key", 2, 6, true)]), true).unwrap();
    }
    cache.append(SHARD, &part(true, vec![resource("key", 4, 7, true)]), false).unwrap();
    cache.sync().unwrap();
    append(&mut cache, 7, vec![resource("key", 4, 8, true)]);
    drop(cache);
    let mut cache = open(&folder);
    assert_eq!(whole(&mut cache), set([(1, 1), (2, 6), (4, 8)]));
}

#[test]
fn what_lies_behind_a_mark_is_found_whatever_became_of_the_log() {
    let (folder, mut cache, mark) = scene();
    let behind = |cache: &Cache| -> Vec<(String, u64, bool)> {
        let found = cache.behind(SHARD, &mark).into_iter();
        found.map(|one| (one.key.unwrap().id, one.n, one.tightens)).collect()
    };
    let expected = [("1".to_owned(), 4, true), ("2".to_owned(), 3, false), ("3".to_owned(), 5, false)];
    assert_eq!(behind(&cache), expected);
    // A tightening stays one when another version follows it; a policy that goes takes nothing away.
    let paused = VersionedResource { tightens: true, ..resource("team", 7, 6, true) };
    append(&mut cache, 5, vec![paused]);
    append(&mut cache, 6, vec![resource("team", 7, 7, true), resource("policy", 8, 8, false)]);
    let more = [("8".to_owned(), 8, false), ("7".to_owned(), 7, true)];
    assert_eq!(behind(&cache), [expected.to_vec(), more.to_vec()].concat());
    cache.want([&mark].into_iter());
    drop(cache);
    // Folded: what was deleted is not there any more.
    let mut cache = open(&folder);
    cache.want([&mark].into_iter());
    append(&mut cache, 8, vec![resource("key", 3, 9, true)]);
    let folded = behind(&cache);
    assert!(folded.contains(&("1".to_owned(), 9, true)), "{folded:?}");
}

#[test]
fn a_damaged_mark_or_log_is_no_generation() {
    let (folder, mut cache, mark) = scene();
    for wrong in [
        Mark { name: [0; 16], ..mark.clone() },
        Mark { records: 0, ..mark.clone() },
        Mark { records: 9, ..mark.clone() },
        Mark { n: 3, ..mark.clone() },
        Mark { shard: 4, ..mark.clone() },
    ] {
        let taken = by(&mut cache, &wrong);
        // The shard is told apart by who asks.
        assert_eq!(taken.is_some(), wrong.shard == 4, "{wrong:?}");
    }
    drop(cache);
    let log = folder.path().join("config").join("shard-03.log");
    let bytes = std::fs::read(&log).unwrap();
    for place in [10, 60, bytes.len() - 3] {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1;
        std::fs::write(&log, damaged).unwrap();
        // Also where the damage lies behind it: what is lost there could be a revocation.
        assert_eq!(by(&mut open(&folder), &mark), None, "{place}");
    }
    std::fs::write(&log, bytes).unwrap();
    assert!(by(&mut open(&folder), &mark).is_some(), "positive control");
}
