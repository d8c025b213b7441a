//! Budget epochs: counters are written once, from the books, after everybody has shipped.

use tidegate_store::epochs::{
    Asked, Asking, Decision, Known, Opening, Quiet, Wait, allow_grants, confirm, open, reclaim_grants,
    reopen, return_grants, review, review_grants,
};
use tidegate_store::intake::{LaneMark, ingest};
use tidegate_store::{StoreError, audit, feed, fleet, missing};
use tidegate_types::resource::{BudgetEpoch, Resource};
use tidegate_types::usage::{BillingEvent, EventKind, Outcome};
use tidegate_types::{NanoUsd, NodeId, Position, Revision, Shard, Timestamp};

use crate::fixture::{Fixture, NOW, new_id};
use crate::samples::{BUDGET, billed, event, node, shipped};

fn asked(f: &Fixture, store_run_id: &'static str, found_epoch: u64) -> Asked<'static> {
    Asked { organization_id: f.acme.organization.id, pool: "default", store_run_id, found_epoch }
}

fn opening(decision: Decision) -> Opening {
    match decision {
        Decision::Open(opening) => Some(opening),
        Decision::Retry { .. } | Decision::Already { .. } => None,
    }
    .unwrap()
}

fn waits(decision: &Decision) -> Option<Wait> {
    match decision {
        Decision::Retry { wait, .. } => Some(*wait),
        Decision::Open(_) | Decision::Already { .. } => None,
    }
}

async fn beat(f: &Fixture, node: NodeId, n: u64, at: Timestamp) {
    let mut shipped = Position::default();
    shipped.advance(Revision { shard: Shard::of(f.acme.organization.id), n });
    let said = fleet::Heartbeat { boot: 1, shipped, ..fleet::Heartbeat::default() };
    fleet::heartbeat(&f.store, node, &said, at).await.unwrap();
}

async fn published(f: &Fixture) -> (u64, Revision) {
    let shard = Shard::of(f.acme.organization.id);
    let items = feed::changes_since(&f.store, shard, 0, 100).await.unwrap();
    let found = items.into_iter().find_map(|item| match item.versioned.resource {
        Some(Resource::BudgetEpoch(BudgetEpoch { epoch, .. })) => Some((epoch, item.versioned.revision)),
        _ => None,
    });
    found.unwrap()
}

#[tokio::test]
async fn the_first_epoch_opens_at_once_for_one_node_and_is_published() {
    let f = Fixture::new().await;
    let first = opening(open(&f.store, &asked(&f, "r1", 0), "p1", NOW).await.unwrap());
    assert_eq!((first.epoch, first.balances.len(), first.holds.len()), (1, 0, 0));
    assert_eq!(published(&f).await.0, 1);
    let second = open(&f.store, &asked(&f, "r1", 0), "p2", NOW).await.unwrap();
    assert_eq!(waits(&second), Some(Wait::Opening));
    assert!(!confirm(&f.store, &asked(&f, "r1", 0), 1, "p2", NOW).await.unwrap(), "not the permit given");
    assert!(confirm(&f.store, &asked(&f, "r1", 0), 1, "p1", NOW).await.unwrap());
    assert!(confirm(&f.store, &asked(&f, "r1", 0), 1, "p1", NOW).await.unwrap(), "said twice");
    assert_eq!(open(&f.store, &asked(&f, "r1", 0), "p3", NOW).await.unwrap(), Decision::Already { epoch: 1 });
    let later = NOW.plus_millis(60_000);
    assert_eq!(
        open(&f.store, &asked(&f, "r1", 1), "p3", later).await.unwrap(),
        Decision::Already { epoch: 1 }
    );
}

#[tokio::test]
async fn lost_counters_are_burnt_and_open_again_from_the_books_when_all_have_shipped() {
    let f = Fixture::new().await;
    let (one, two, never_spoke) = (node(&f.store).await, node(&f.store).await, node(&f.store).await);
    for node in [one, two] {
        beat(&f, node, 0, NOW).await;
    }
    opening(open(&f.store, &asked(&f, "r1", 0), "p1", NOW).await.unwrap());
    confirm(&f.store, &asked(&f, "r1", 0), 1, "p1", NOW).await.unwrap();
    let running = new_id();
    let records = [
        billed(event(&f.acme, new_id(), EventKind::Final, Outcome::Completed, 400)),
        billed(event(&f.acme, new_id(), EventKind::Final, Outcome::Unresolved, 0)),
        billed(event(&f.acme, running, EventKind::Intent, Outcome::Open, 0)),
    ];
    ingest(&f.store, one, &shipped(one, 1, records), NOW).await.unwrap();

    // Redis restarted: another run id, nothing found.
    let later = NOW.plus_millis(5_000);
    let lost = open(&f.store, &asked(&f, "r2", 0), "p2", later).await.unwrap();
    assert_eq!(waits(&lost), Some(Wait::Shipping));
    let (epoch, revision) = published(&f).await;
    assert_eq!(epoch, 2);
    beat(&f, one, revision.n, later).await;
    let still = open(&f.store, &asked(&f, "r2", 0), "p2", later).await.unwrap();
    assert_eq!(waits(&still), Some(Wait::Shipping), "node two may still have something");
    beat(&f, two, revision.n, later).await;
    let again = opening(open(&f.store, &asked(&f, "r2", 0), "p2", later).await.unwrap());
    assert_eq!(again.epoch, 2);
    let balance = again.balances[0];
    assert_eq!(
        (balance.budget_id, balance.spent, balance.unresolved),
        (BUDGET, NanoUsd::new(400), NanoUsd::new(1000))
    );
    assert_eq!((again.holds[0].call_id, again.holds[0].amount), (running, NanoUsd::new(1000)));
    assert!(confirm(&f.store, &asked(&f, "r2", 0), 2, "p2", later).await.unwrap());
    assert_ne!(never_spoke, one);
}

#[tokio::test]
async fn emptied_counters_of_the_same_process_are_burnt_but_not_right_after_the_opening() {
    let f = Fixture::new().await;
    opening(open(&f.store, &asked(&f, "r1", 0), "p1", NOW).await.unwrap());
    confirm(&f.store, &asked(&f, "r1", 0), 1, "p1", NOW).await.unwrap();
    // This node looked before the first one wrote.
    let slow = open(&f.store, &asked(&f, "r1", 0), "p2", NOW.plus_millis(500)).await.unwrap();
    assert_eq!(slow, Decision::Already { epoch: 1 });
    let flushed = open(&f.store, &asked(&f, "r1", 0), "p2", NOW.plus_millis(1500)).await.unwrap();
    assert_eq!(waits(&flushed), Some(Wait::Shipping));
    assert_eq!(published(&f).await.0, 2);
}

#[tokio::test]
async fn an_attempt_that_ends_while_an_epoch_opens_is_either_held_or_spent() {
    let f = Fixture::new().await;
    let one = node(&f.store).await;
    let call = new_id();
    let intent = billed(event(&f.acme, call, EventKind::Intent, Outcome::Open, 0));
    ingest(&f.store, one, &shipped(one, 1, [intent]), NOW).await.unwrap();
    // Whoever reads the open attempts waits here, and goes on when the attempt has ended.
    let owner = sqlx::PgPool::connect(&f.database.owner_url).await.unwrap();
    let mut gate = owner.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE open_attempts IN ACCESS EXCLUSIVE MODE").execute(&mut *gate).await.unwrap();
    let (store, organization_id) = (f.store.clone(), f.acme.organization.id);
    let mut opener = tokio::task::JoinSet::new();
    opener.spawn(async move {
        let asked = Asked { organization_id, pool: "default", store_run_id: "r1", found_epoch: 0 };
        opening(open(&store, &asked, "p1", NOW).await.unwrap())
    });
    let blocked =
        "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'open_attempts'::regclass";
    while !sqlx::query_scalar::<_, bool>(blocked).fetch_one(&owner).await.unwrap() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    for statement in [
        "SET LOCAL app.organization_id = '{org}'",
        "DELETE FROM open_attempts",
        "INSERT INTO budget_spend VALUES ('{org}', '{budget}', 0, 9223372036854775807, 400, 0)",
    ] {
        let statement = statement
            .replace("{org}", &organization_id.to_uuid().to_string())
            .replace("{budget}", &BUDGET.to_uuid().to_string());
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut *gate).await.unwrap();
    }
    gate.commit().await.unwrap();
    let opened = opener.join_next().await.unwrap().unwrap();
    let (spent, held) = (opened.balances.iter().map(|b| b.spent.get()).sum::<i64>(), opened.holds.len());
    assert!(spent == 400 || held == 1, "spent {spent}, held {held}");
}

#[tokio::test]
async fn a_budget_whose_window_was_made_longer_keeps_what_it_has_used() {
    let f = Fixture::new().await;
    let one = node(&f.store).await;
    let (day, month) = (NOW.plus_millis(3_600_000), NOW.plus_millis(30 * 86_400_000));
    let spent_until = |window_end| {
        let mut spent = event(&f.acme, new_id(), EventKind::Final, Outcome::Completed, 400);
        for hold in &mut spent.holds {
            (hold.window_start, hold.window_end) = (NOW, window_end);
        }
        billed(spent)
    };
    let records = [spent_until(day), spent_until(month)];
    ingest(&f.store, one, &shipped(one, 1, records), NOW).await.unwrap();
    let opened = opening(open(&f.store, &asked(&f, "r1", 0), "p1", day.plus_millis(1)).await.unwrap());
    let found = opened.balances.iter().map(|balance| (balance.spent, balance.window_end)).collect::<Vec<_>>();
    assert_eq!(found, [(NanoUsd::new(800), month)]);
}

#[tokio::test]
async fn a_lapsed_permit_is_burnt_because_its_counters_may_have_been_spent_from() {
    let f = Fixture::new().await;
    opening(open(&f.store, &asked(&f, "r1", 0), "p1", NOW).await.unwrap());
    let late = NOW.plus_millis(2_001);
    assert!(!confirm(&f.store, &asked(&f, "r1", 0), 1, "p1", late).await.unwrap());
    assert_eq!(waits(&open(&f.store, &asked(&f, "r1", 1), "p2", late).await.unwrap()), Some(Wait::Shipping));
    let next = opening(open(&f.store, &asked(&f, "r1", 1), "p2", late).await.unwrap());
    assert_eq!(next.epoch, 2);
    assert!(!confirm(&f.store, &asked(&f, "r1", 1), 1, "p1", late).await.unwrap());
}

#[tokio::test]
async fn a_node_that_is_away_keeps_the_epoch_closed_until_it_is_taken_out() {
    let f = Fixture::new().await;
    let gone = node(&f.store).await;
    beat(&f, gone, 0, NOW).await;
    opening(open(&f.store, &asked(&f, "r1", 0), "p1", NOW).await.unwrap());
    confirm(&f.store, &asked(&f, "r1", 0), 1, "p1", NOW).await.unwrap();
    let later = NOW.plus_millis(3_600_000);
    for _ in 0..2 {
        assert_eq!(
            waits(&open(&f.store, &asked(&f, "r2", 0), "p2", later).await.unwrap()),
            Some(Wait::Shipping)
        );
    }
    let mut change = f.store.change(&f.acme.actor, later).await.unwrap();
    fleet::retire(&mut change, gone, fleet::NodeState::Revoked).await.unwrap();
    crate::fixture::commit(change).await;
    assert_eq!(opening(open(&f.store, &asked(&f, "r2", 0), "p2", later).await.unwrap()).epoch, 2);
}

#[tokio::test]
async fn of_many_nodes_that_ask_at_once_one_gets_the_permit() {
    let f = Fixture::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (store, asked) = (f.store.clone(), asked(&f, "r1", 0));
        tasks.spawn(async move { open(&store, &asked, &format!("p{number}"), NOW).await.unwrap() });
    }
    let decisions = tasks.join_all().await;
    assert_eq!(decisions.iter().filter(|decision| matches!(decision, Decision::Open(_))).count(), 1);
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    assert!(matches!(audit::verify(&mut tx).await.unwrap(), audit::Verdict::Whole(2)));
}

#[tokio::test]
async fn unknown_organizations_and_pools_have_no_epochs() {
    let f = Fixture::new().await;
    let nobody = Asked { organization_id: new_id(), ..asked(&f, "r", 0) };
    assert!(matches!(open(&f.store, &nobody, "p", NOW).await, Err(StoreError::Dangling(_))));
    let nowhere = Asked { pool: "elsewhere", ..asked(&f, "r", 0) };
    assert!(matches!(open(&f.store, &nowhere, "p", NOW).await, Err(StoreError::NotFound)));
}

#[tokio::test]
async fn a_number_that_a_node_makes_up_leaves_room_for_later_epochs() {
    let f = Fixture::new().await;
    let opened = opening(open(&f.store, &asked(&f, "r", u64::MAX), "p", NOW).await.unwrap());
    assert!(opened.epoch < 1 << 41);
}

#[tokio::test]
async fn grants_are_noted_under_the_open_epoch_and_come_back_with_the_next_when_their_process_is_dead() {
    let f = Fixture::new().await;
    let (one, two) = (node(&f.store).await, node(&f.store).await);
    let said = async |node: NodeId, boot: u64, at: Timestamp| {
        let said = fleet::Heartbeat { boot, ..fleet::Heartbeat::default() };
        fleet::heartbeat(&f.store, node, &said, at).await.unwrap();
    };
    let acme = f.acme.organization.id;
    let asking = |node_id, boot| Asking { node_id, boot, pool: "default", tells_apart: true };
    let allow = async |node, boot, epoch| {
        allow_grants(&f.store, &asking(node, boot), acme, epoch, 10, NOW).await.unwrap()
    };
    let reclaim = async |at: Timestamp| {
        let quiet = Quiet { heard_since: at.plus_millis(-5_000), booted_before: at.plus_millis(-30_000) };
        reclaim_grants(&f.store, quiet, at, 10).await.unwrap()
    };
    said(one, 1, NOW).await;
    said(two, 1, NOW).await;
    assert!(!allow(one, 1, 1).await, "no epoch is open");
    opening(open(&f.store, &asked(&f, "r1", 0), "p1", NOW).await.unwrap());
    assert!(!allow(one, 1, 1).await, "it is being written");
    confirm(&f.store, &asked(&f, "r1", 0), 1, "p1", NOW).await.unwrap();
    assert!(!allow(one, 1, 2).await, "another epoch");
    assert!(allow(one, 1, 1).await);
    assert!(allow(one, 1, 1).await, "asked again");
    assert!(allow(two, 1, 1).await);
    assert_eq!(reclaim(NOW).await, [], "both are alive");

    // One has given all back and starts anew: nothing is owed.
    assert_eq!(return_grants(&f.store, &asking(one, 1), None).await.unwrap(), 1);
    said(one, 2, NOW).await;
    assert!(!allow(one, 1, 1).await, "a process that is over");
    assert_eq!(reclaim(NOW).await, []);

    // The other has not. While a node is away, the epoch is not ended.
    let later = NOW.plus_millis(60_000);
    said(two, 2, later).await;
    assert_eq!(reclaim(later).await, [], "one is away");
    said(one, 2, later).await;
    assert_eq!(reclaim(later).await, [], "a node that has just started may fall again");
    let quiet = later.plus_millis(30_000);
    said(one, 3, quiet.plus_millis(-1)).await;
    said(two, 2, quiet).await;
    assert_eq!(reclaim(quiet).await, [], "and one that did fall again begins anew");
    let quiet = quiet.plus_millis(30_000);
    said(one, 3, quiet).await;
    said(two, 2, quiet).await;
    assert_eq!(reclaim(quiet).await, [acme]);
    assert_eq!(published(&f).await.0, 2);
    assert_eq!(reclaim(quiet).await, [], "once");
}

#[tokio::test]
async fn the_books_tell_how_attempts_ended_and_which_they_have_never_heard_of() {
    let f = Fixture::new().await;
    let one = node(&f.store).await;
    let asking = (one, "default");
    let [spent, void, in_doubt, running, unheard] = [(); 5].map(|()| new_id());
    let records = [
        billed(event(&f.acme, spent, EventKind::Intent, Outcome::Open, 0)),
        billed(event(&f.acme, spent, EventKind::Final, Outcome::Completed, 400)),
        billed(event(&f.acme, void, EventKind::Final, Outcome::NotSent, 0)),
        billed(event(&f.acme, in_doubt, EventKind::Final, Outcome::Unresolved, 0)),
        billed(event(&f.acme, running, EventKind::Intent, Outcome::Open, 0)),
    ];
    ingest(&f.store, one, &shipped(one, 1, records), NOW).await.unwrap();
    let asked = [(spent, 0), (void, 0), (in_doubt, 0), (running, 0), (unheard, 0), (spent, 1)];
    let acme = f.acme.organization.id;
    let known = review(&f.store, asking, acme, &asked, NOW).await.unwrap();
    let spent_it = Known::Spent(NanoUsd::new(400));
    let expected = [spent_it, Known::Void, Known::Unresolved, Known::Open, Known::Unknown, Known::Unknown];
    assert_eq!(known, expected);
    // Another organization's books know nothing of these, and another pool is told nothing.
    let others = review(&f.store, asking, f.umbrella.organization.id, &[(spent, 0)], NOW).await.unwrap();
    assert_eq!(others, [Known::Unknown]);
    let elsewhere = review(&f.store, (one, "elsewhere"), acme, &asked, NOW).await;
    assert!(matches!(elsewhere, Err(StoreError::NotFound)), "{elsewhere:?}");
    // Of a node that lost records nothing is known to be unknown.
    let held = [LaneMark { boot: 1, lane: 0, sequence: 20 }];
    assert!(missing::resume(&f.store, one, &held, NOW).await.unwrap().missing > 0);
    let known = review(&f.store, asking, acme, &asked, NOW).await.unwrap();
    assert_eq!(known[4..], [Known::Open, Known::Open]);
    assert_eq!(known[0], spent_it);
}

#[tokio::test]
async fn the_books_tell_what_a_dead_process_used_of_what_it_had_in_advance_where_they_know_it_all() {
    let f = Fixture::new().await;
    let (one, acme) = (node(&f.store).await, f.acme.organization.id);
    let said = async |boot: u64| {
        let said = fleet::Heartbeat { boot, ..fleet::Heartbeat::default() };
        fleet::heartbeat(&f.store, one, &said, NOW).await.unwrap();
    };
    let asking = |boot, tells_apart| Asking { node_id: one, boot, pool: "default", tells_apart };
    said(1).await;
    opening(open(&f.store, &asked(&f, "r1", 0), "p1", NOW).await.unwrap());
    confirm(&f.store, &asked(&f, "r1", 0), 1, "p1", NOW).await.unwrap();
    assert!(allow_grants(&f.store, &asking(1, true), acme, 1, 10, NOW).await.unwrap());

    let on = |call, kind, outcome, cost| BillingEvent {
        in_advance: true,
        ..event(&f.acme, call, kind, outcome, cost)
    };
    let (ended, running) = (new_id(), new_id());
    let records = [
        billed(on(ended, EventKind::Intent, Outcome::Open, 0)),
        billed(on(ended, EventKind::Final, Outcome::Completed, 400)),
        billed(on(running, EventKind::Intent, Outcome::Open, 0)),
        // Held by the counters themselves: no part of what was in advance.
        billed(event(&f.acme, new_id(), EventKind::Final, Outcome::Completed, 70)),
        billed(on(new_id(), EventKind::Final, Outcome::NotSent, 0)),
    ];
    ingest(&f.store, one, &shipped(one, 1, records), NOW).await.unwrap();
    said(2).await;
    let review = async || review_grants(&f.store, one, 1..2).await.unwrap();
    assert_eq!(review().await, [], "how an attempt ended is not known yet");
    // The next process writes its end: it is the dead one's.
    let mut orphan = shipped(one, 1, [billed(on(running, EventKind::Final, Outcome::Unresolved, 0))]);
    orphan[0].key.boot = 2;
    for _ in 0..2 {
        ingest(&f.store, one, &orphan, NOW).await.unwrap();
        let known = review().await;
        assert_eq!((known.len(), known[0].organization_id, known[0].epoch, known[0].boot), (1, acme, 1, 1));
        let used = known[0].used[0];
        assert_eq!((known[0].used.len(), used.budget_id), (1, BUDGET));
        assert_eq!((used.spent, used.unresolved), (NanoUsd::new(400), NanoUsd::new(1_000)));
    }
    assert_eq!(review_grants(&f.store, one, 2..9).await.unwrap(), []);

    // A control plane of the release before stored a record, and counted nothing of it.
    let superuser = sqlx::PgPool::connect(&f.database.superuser_url).await.unwrap();
    let old = "UPDATE node_lanes SET apart = apart - 1 WHERE boot = 1";
    sqlx::query(old).execute(&superuser).await.unwrap();
    assert_eq!(review().await, [], "part of it was never counted");
    sqlx::query("UPDATE node_lanes SET apart = sequence").execute(&superuser).await.unwrap();
    assert_eq!(review().await.len(), 1);
    // The same of the process after it, which wrote the end of one of its attempts; not of one before it.
    sqlx::query("UPDATE node_lanes SET apart = apart - 1 WHERE boot = 2").execute(&superuser).await.unwrap();
    assert_eq!(review().await, [], "an end that a later process wrote was never counted");
    sqlx::query("UPDATE node_lanes SET apart = sequence").execute(&superuser).await.unwrap();
    let mut earlier =
        shipped(one, 1, [billed(event(&f.acme, new_id(), EventKind::Final, Outcome::NotSent, 0))]);
    earlier[0].key.boot = 0;
    ingest(&f.store, one, &earlier, NOW).await.unwrap();
    let uncounted =
        sqlx::query("UPDATE node_lanes SET apart = NULL WHERE boot = 0").execute(&superuser).await;
    assert_eq!(uncounted.unwrap().rows_affected(), 1);
    assert_eq!(review().await.len(), 1);
    // Or the process did not say which attempts these were.
    assert!(allow_grants(&f.store, &asking(2, false), acme, 1, 10, NOW).await.unwrap());
    assert_eq!(review_grants(&f.store, one, 1..3).await.unwrap().len(), 1);

    assert_eq!(return_grants(&f.store, &asking(1, true), Some(acme)).await.unwrap(), 1);
    assert_eq!(review().await, [], "it is back");
}

#[tokio::test]
async fn a_correction_reaches_counters_that_are_being_written_from_the_books_before_it() {
    let f = Fixture::new().await;
    opening(open(&f.store, &asked(&f, "r1", 0), "p1", NOW).await.unwrap());
    // The books were read for it, and nobody has written the counters yet.
    let reopened = reopen(&f.store, f.acme.organization.id, NOW, NOW).await.unwrap();
    assert_eq!(reopened, ["default"]);
    assert!(!confirm(&f.store, &asked(&f, "r1", 0), 1, "p1", NOW).await.unwrap(), "they are not to be used");
    // For the next one they are read after all corrections: one that comes before needs no other epoch.
    assert_eq!(reopen(&f.store, f.acme.organization.id, NOW, NOW).await.unwrap(), Vec::<String>::new());
    let again = opening(open(&f.store, &asked(&f, "r1", 0), "p2", NOW).await.unwrap());
    assert_eq!(again.epoch, 2);
    assert!(confirm(&f.store, &asked(&f, "r1", 0), 2, "p2", NOW).await.unwrap());
    assert_eq!(reopen(&f.store, f.acme.organization.id, NOW, NOW).await.unwrap(), ["default"]);
}
