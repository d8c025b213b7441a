//! `docs/degradation.md`: its table is data, and each row is kept by tests. Faults that can be made in any
//! installation are made in one, row by row; other rows name their stories.

mod clock;
mod fault;
mod table;
mod walk;

use tidegate_testkit::installation::Shape;

use crate::support::install;
use fault::Fault;
use table::{faults_of, is_shown, rows};
use walk::Walk;

async fn walk(mine: fn(Fault) -> bool) -> Walk {
    // With grants, capped calls go on for a while without Redis; the table says what is so after that.
    let grant_percent = Some(0);
    // The table says how soon an operator's calls are refused.
    let decision_timeout_ms = None;
    let (control_planes, nodes, lines) = (2, 2, true);
    let shape =
        Shape { control_planes, nodes, lines, grant_percent, decision_timeout_ms, ..Shape::default() };
    let mut walk = Walk::begin(install(shape).await).await;
    for row in rows() {
        for fault in row.faults.iter().filter(|fault| mine(**fault)) {
            walk.row(&row, *fault).await;
        }
    }
    walk
}

#[test]
fn the_document_shows_the_table() {
    assert!(is_shown(&rows()), "docs/degradation.md is not the table; run with UPDATE_DOCS=1");
}

#[test]
fn every_row_has_a_test_that_exists_and_says_what_can_be_seen() {
    assert_eq!(faults_of(&rows()), [""; 0]);
    // Positive controls: what must be found is.
    let doctored = |doctor: &dyn Fn(&mut table::Row)| {
        let mut rows = rows();
        doctor(&mut rows[0]);
        faults_of(&rows)
    };
    let found = doctored(&|row| (row.faults, row.stories) = (vec![], vec![]));
    assert!(found.iter().any(|fault| fault == "Postgres: no test"), "{found:?}");
    assert!(found.iter().any(|fault| fault.starts_with("PostgresStopped: no row")), "{found:?}");
    let story = "crates/tidegate/tests/it/failover.rs::nobody_wrote_this".to_owned();
    assert_eq!(doctored(&|row| row.stories.push(story.clone())), [format!("Postgres: {story} is no test")]);
    let helper = "crates/tidegate/tests/it/salvage.rs::ship".to_owned();
    assert_eq!(doctored(&|row| row.stories.push(helper.clone())), [format!("Postgres: {helper} is no test")]);
    let found = doctored(&|row| row.capped = "as usual".into());
    assert_eq!(found, ["Postgres: nothing that can be seen is said"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_table_says_of_postgres_planes_nodes_and_their_lines_is_so() {
    walk(|fault| !fault.is_of_redis()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_table_says_of_redis_and_its_lines_is_so() {
    walk(Fault::is_of_redis).await.the_rest_is_usable().await;
}
