//! Copies of the configuration, as control planes publish them.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prost::Message as _;
use tidegate_proto::config::Delta;
use tidegate_push::{CopySettings, PushSettings};
use tidegate_secrets::copy::{Record, Verified};
use tidegate_secrets::decision::Certificates;
use tidegate_secrets::sealing::SealingKeyPair;
use tidegate_store::keys;
use tidegate_types::Timestamp;
use tidegate_types::resource::VirtualKey;

use crate::plane::{DEADLINE, Plane, commit};
use crate::samples;

const KEYS: usize = 1_200;

/// A control plane over the same database that publishes copies.
pub(crate) async fn publisher(
    plane: &Plane,
    folder: &Path,
    class: &SealingKeyPair,
    settings: PushSettings,
) -> Plane {
    let copy = CopySettings {
        folder: folder.to_owned(),
        class_key: *class.public(),
        every: Duration::from_millis(20),
        reserves: 2,
    };
    let settings = PushSettings { copy: Some(copy), ..settings };
    Plane::start_over(plane.database.clone(), plane.kek.clone(), settings).await
}

/// What a copy holds: its time, the ids of its keys, and how many reserves.
fn read(
    file: &Path,
    roots: &Certificates,
    class: &SealingKeyPair,
) -> Option<(Timestamp, BTreeSet<String>, usize)> {
    let mut copy = Verified::read(File::open(file).ok()?, roots).unwrap();
    let (mut found, mut reserves) = (BTreeSet::new(), 0);
    let header = copy.open(class, |record| {
        match record {
            Record::Delta(bytes) => {
                let resources = Delta::decode(bytes.as_slice()).unwrap().resources;
                let keys = resources.into_iter().filter_map(|one| one.key).filter(|key| key.kind == "key");
                found.extend(keys.map(|key| key.id));
            }
            Record::Reserve(_) => reserves += 1,
            Record::Secrets(_) => {}
        }
        Ok(())
    });
    let issued_at = header.unwrap().issued_at;
    Some((issued_at, found, reserves))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_has_everything_though_that_changes_while_it_is_read_and_two_planes_take_turns() {
    let plane = Plane::start().await;
    let (organization, team) = plane.organization("acme").await;
    let all: Vec<VirtualKey> =
        (0..KEYS).map(|n| samples::key(organization, team, &format!("k{n}"))).collect();
    let mut change = plane.change(organization).await;
    for key in &all {
        keys::insert(&mut change, key).await.unwrap();
    }
    commit(change).await;
    let (folder, class) = (tempfile::tempdir().unwrap(), SealingKeyPair::generate().unwrap());
    let publish = || publisher(&plane, folder.path(), &class, PushSettings::default());
    let publishers = [publish().await, publish().await];
    let is_enough = AtomicBool::new(false);
    let changes = async {
        for round in 0.. {
            let mut change = plane.change(organization).await;
            // From the end, which is read last.
            for key in all.iter().rev().skip(round * 7 % KEYS).step_by(97) {
                let key = VirtualKey { name: format!("{}-{round}", key.name), ..key.clone() };
                keys::update(&mut change, &key, None, false).await.unwrap();
            }
            commit(change).await;
            if is_enough.load(Ordering::SeqCst) {
                return;
            }
        }
    };
    let (mut newest, mut seen) = (Timestamp::from_micros(0), 0);
    let (file, roots) = (folder.path().join("default.copy"), Certificates::new(&plane.material.roots));
    let reading = Arc::new(move || read(&file, &roots, &class));
    let looks = async {
        while seen < 10 {
            let reading = Arc::clone(&reading);
            // Beside the changes.
            let read = tokio::task::spawn_blocking(move || reading());
            if let Some((issued_at, found, reserves)) = read.await.unwrap() {
                assert!(issued_at >= newest, "an older copy took a newer one's place");
                seen += usize::from(issued_at > newest);
                newest = issued_at;
                assert_eq!((found.len(), reserves), (KEYS, 2), "the copy of {issued_at}");
            }
        }
        is_enough.store(true, Ordering::SeqCst);
    };
    let both = async { tokio::join!(changes, looks) };
    tokio::time::timeout(DEADLINE, both).await.unwrap();
    for publisher in &publishers {
        assert!(publisher.metrics.copy_age.get() < 600);
    }
    let left = std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.file_name());
    let drafts = left.filter(|name| name.to_string_lossy().starts_with('.')).count();
    assert!(drafts <= 1, "{drafts} drafts");
}
