//! A database that was restored to an earlier state: what is lost is written down, the rest goes on.

use tidegate_store::intake::{self, LaneMark, ingest};
use tidegate_store::missing::{self, Resumed};
use tidegate_store::{StoreError, SystemActor, fleet};
use tidegate_types::usage::{EventKind, Outcome};
use tidegate_types::{NodeId, OrganizationId};

use crate::fixture::{Fixture, NOW, new_id};
use crate::samples::{billed, event, node, shipped};

fn mark(lane: u16, sequence: u64) -> LaneMark {
    LaneMark { boot: 1, lane, sequence }
}

async fn missing_of(f: &Fixture, node: NodeId) -> u64 {
    assert_eq!(fleet::get(&f.store, node).await.unwrap().id, node);
    let platform = SystemActor::new("test").acting_for(OrganizationId::SYSTEM);
    let nodes = fleet::list(&mut f.store.begin(&platform).await.unwrap()).await.unwrap();
    nodes.into_iter().find(|found| found.id == node).unwrap().missing_records
}

#[tokio::test]
async fn a_lane_that_the_node_holds_from_where_it_is_stored_has_no_gap() {
    let f = Fixture::new().await;
    let node = node(&f.store).await;
    let records = (0..4).map(|_| billed(event(&f.acme, new_id(), EventKind::Final, Outcome::Completed, 5)));
    ingest(&f.store, node, &shipped(node, 1, records), NOW).await.unwrap();
    let held = [mark(0, 3), mark(1, 1)];
    let resumed = missing::resume(&f.store, node, &held, NOW).await.unwrap();
    assert_eq!(resumed, Resumed { marks: vec![mark(0, 4), mark(1, 0)], missing: 0 });
    assert_eq!(missing_of(&f, node).await, 0);
    assert_eq!(intake::marks(&f.store, node).await.unwrap(), [mark(0, 4)], "an empty lane has no row yet");
}

#[tokio::test]
async fn a_gap_that_nobody_holds_is_written_down_once_and_the_lane_goes_on_behind_it() {
    let f = Fixture::new().await;
    let node = node(&f.store).await;
    let records: Vec<_> =
        (0..20).map(|_| billed(event(&f.acme, new_id(), EventKind::Final, Outcome::Completed, 5))).collect();
    let all = shipped(node, 1, records);
    // The database is as it was after two records; the node still has the last eight.
    ingest(&f.store, node, &all[..2], NOW).await.unwrap();
    assert_eq!(ingest(&f.store, node, &all[12..], NOW).await.unwrap().marks, [mark(0, 2)]);
    let resumed = missing::resume(&f.store, node, &[mark(0, 13)], NOW).await.unwrap();
    assert_eq!(resumed, Resumed { marks: vec![mark(0, 12)], missing: 10 });
    assert_eq!(ingest(&f.store, node, &all[12..], NOW).await.unwrap().marks, [mark(0, 20)]);
    assert_eq!(missing_of(&f, node).await, 10);
    let again = missing::resume(&f.store, node, &[mark(0, 13)], NOW).await.unwrap();
    assert_eq!(again, Resumed { marks: vec![mark(0, 20)], missing: 0 });
    assert_eq!(missing_of(&f, node).await, 10);
    // Whatever a hostile node claims harms its own lanes only.
    let absurd = [mark(7, i64::MAX as u64), mark(8, i64::MAX as u64), mark(9, 0)];
    missing::resume(&f.store, node, &absurd, NOW).await.unwrap();
    assert_eq!(missing_of(&f, node).await, i64::MAX as u64);
}

#[tokio::test]
async fn a_node_that_is_not_enrolled_cannot_say_what_is_missing() {
    let f = Fixture::new().await;
    let refused = missing::resume(&f.store, new_id(), &[mark(0, 13)], NOW).await;
    assert!(matches!(refused, Err(StoreError::Dangling(_))), "{refused:?}");
}
