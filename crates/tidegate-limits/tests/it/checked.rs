//! Interleavings of grants, epochs, crashes, lost and doubled messages, wiped and stale stores, in
//! small worlds: two nodes, and one call more than the limit pays for.
//!
//! The rules are those of `docs/budgets.md`; each call holds 1 and costs 0 or 1. What is checked is
//! what really may be billed, not what a counter says. Each planted fault must be found. Which
//! worlds are explored to their end is said with each of them.

mod rules;
mod steps;
mod world;

use stateright::{Checker, HasDiscoveries, Model};

const NODES: usize = 2;
const CALLS: usize = 3;

/// A rule that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fault {
    None,
    /// A late or doubled exchange is carried out.
    AnyNumber,
    /// What an exchange gives back goes on being used until the answer is there.
    LowersLate,
    /// A call is sent under an epoch that its node knows to be over.
    SendsBurnt,
    /// An epoch opens before every node has shipped.
    OpensEarly,
    /// A promoted replica is taken for the store it copied.
    TrustsStale,
    /// The grant of a node that is silent is given to others.
    TakesBack,
    /// The counters hold for a grant no more than what it was told is used.
    ForgetsGrants,
}

/// What may happen. Everything at once is the whole world; its parts are checked each time.
#[derive(Debug, Clone, Copy)]
struct Grants {
    fault: Fault,
    /// Exchanges of one process.
    numbers: u8,
    /// Messages may come twice.
    doubled: bool,
    epochs: u8,
    /// Whether epochs may end while the counters are there (reconciling, dead nodes' grants).
    reopens: bool,
    wipes: u8,
    crashes: u8,
    /// Nodes that take grants; the others ask the store for each call.
    granted: usize,
    /// Calls that the limit pays for, and calls that there are: one more.
    limit: u8,
    calls: usize,
}

/// Messages in every order, lost and doubled, under one epoch. Explored to its end with
/// `TIDEGATE_FULL` only; otherwise it is where planted faults are searched.
const MESSAGES: Grants = Grants {
    fault: Fault::None,
    numbers: 2,
    doubled: true,
    epochs: 1,
    reopens: false,
    wipes: 0,
    crashes: 0,
    granted: NODES,
    limit: 2,
    calls: CALLS,
};
/// A lost or stale store, and the next epoch. Explored to its end: one node takes grants, each process makes
/// one exchange, the limit pays for one call.
const LOST: Grants =
    Grants { numbers: 1, doubled: false, epochs: 2, wipes: 1, granted: 1, limit: 1, calls: 2, ..MESSAGES };
/// The death of a node, and the next epoch while the counters are there. Explored to its end, as small.
const DEAD: Grants = Grants { reopens: true, wipes: 0, crashes: 1, ..LOST };

fn check(world: Grants) -> impl Checker<Grants> {
    let checker = world.checker().threads(2).finish_when(HasDiscoveries::AnyFailures);
    checker.spawn_bfs().join()
}

const BOUND: [&str; 2] = ["never more is billed than the limit", "counters and grants are within the limit"];

fn holds(world: Grants) {
    let checked = check(world);
    println!("{world:?}: {} states", checked.unique_state_count());
    for always in BOUND {
        if let Some(path) = checked.discovery(always) {
            panic!("{always}: {path}");
        }
    }
    // The world is not empty.
    assert!(checked.unique_state_count() > 1_000);
    let gone = checked.discovery("a call is sent while the store is gone");
    assert_eq!(gone.is_some(), world.wipes > 0);
    let back = checked.discovery("a dead process's grant comes back with the next epoch");
    assert_eq!(back.is_some(), world.crashes > 0);
}

#[test]
fn no_lost_or_stale_store_breaks_the_bound() {
    holds(LOST);
}

#[test]
fn no_dead_node_breaks_the_bound() {
    holds(DEAD);
}

/// Larger worlds take long: `./test-full` only. Elsewhere this checks nothing, and says so.
#[test]
fn larger_worlds_where_they_are_asked_for() {
    if std::env::var_os("TIDEGATE_FULL").is_none_or(|value| value != "1") {
        println!("not explored: TIDEGATE_FULL is not 1");
        return;
    }
    holds(MESSAGES);
    holds(Grants { crashes: 1, ..LOST });
    holds(Grants { granted: NODES, ..LOST });
    holds(Grants { doubled: true, ..LOST });
    holds(Grants { numbers: 2, ..DEAD });
}

#[test]
fn every_planted_fault_is_found() {
    let faults = [
        (Fault::AnyNumber, MESSAGES),
        (Fault::LowersLate, MESSAGES),
        (Fault::ForgetsGrants, MESSAGES),
        (Fault::TakesBack, MESSAGES),
        (Fault::SendsBurnt, DEAD),
        (Fault::OpensEarly, LOST),
        (Fault::TrustsStale, LOST),
    ];
    for (fault, world) in faults {
        let checked = check(Grants { fault, ..world });
        println!("{fault:?}: {} states", checked.unique_state_count());
        let found = BOUND.iter().any(|always| checked.discovery(always).is_some());
        assert!(found, "{fault:?} breaks the bound, and was not found");
    }
}
