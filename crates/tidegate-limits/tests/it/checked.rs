//! Every interleaving of grants, epochs, crashes, lost and doubled messages, wiped and stale
//! stores, in small worlds: two nodes, and one call more than the limit pays for.
//!
//! The rules are those of `docs/budgets.md`; each call holds 1 and costs 0 or 1. What is checked is
//! what really may be billed, not what a counter says. Each planted fault must be found.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model, Property};

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Stage {
    /// Money is held; nothing is written.
    Held,
    /// Intent in the journal, and at the provider.
    Sent,
    /// Final in the journal.
    Ended { cost: u8 },
    /// Intent in the journal, never sent.
    NotSent,
    /// Gone with its process, before anything was written.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Call {
    node: usize,
    boot: u8,
    epoch: u8,
    on_grant: bool,
    stage: Stage,
    /// What of it is in the ledger: nothing, its intent, its end.
    shipped: u8,
    /// Its end was told to the counters.
    told: bool,
}

impl Call {
    const fn written(&self) -> u8 {
        match self.stage {
            Stage::Held | Stage::Lost => 0,
            Stage::Sent => 1,
            Stage::Ended { .. } | Stage::NotSent => 2,
        }
    }

    /// What the provider may bill.
    const fn billed(&self) -> u8 {
        match self.stage {
            Stage::Sent => 1,
            Stage::Ended { cost } => cost,
            Stage::Held | Stage::NotSent | Stage::Lost => 0,
        }
    }
}

/// What a process has in advance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Book {
    epoch: u8,
    number: u8,
    granted: u8,
    spent: u8,
    /// What the last exchange gave back (for a planted fault).
    lowered_to: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Node {
    alive: bool,
    boot: u8,
    /// Newest epoch it has applied, and the one for which it has shipped.
    applied: u8,
    shipped: u8,
    book: Option<Book>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Record {
    number: u8,
    granted: u8,
    spent: u8,
}

/// The counters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Store {
    epoch: u8,
    spent: u8,
    /// Holds that it decided itself, or has from the ledger.
    holds: BTreeSet<usize>,
    /// By node and process.
    records: [[Record; 2]; NODES],
}

impl Store {
    fn used(&self, fault: Fault) -> u8 {
        let out = |record: &Record| record.granted.saturating_sub(record.spent);
        let out: u8 = self.records.iter().flatten().map(out).sum();
        let out = if fault == Fault::ForgetsGrants { 0 } else { out };
        self.spent + u8::try_from(self.holds.len()).unwrap() + out
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Message {
    Exchange { node: usize, boot: u8, epoch: u8, number: u8, spent: u8, keep: u8, want: u8 },
    Answer { node: usize, boot: u8, epoch: u8, number: u8, granted: u8 },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    nodes: [Node; NODES],
    store: Option<Store>,
    /// A replica as it was copied once.
    replica: Option<Store>,
    epoch: u8,
    open: bool,
    calls: Vec<Call>,
    /// At each node: what was written when it applied the newest epoch.
    marks: [[u8; CALLS]; NODES],
    messages: BTreeSet<Message>,
    /// Mishaps that are left.
    wipes: u8,
    crashes: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    Allow(usize),
    AdmitOnGrant(usize),
    AdmitByStore(usize),
    Send(usize),
    End(usize, u8),
    Tell(usize),
    Exchange { node: usize, keep: u8, want: u8 },
    Deliver(Message, bool),
    CloseBook(usize),
    Wipe,
    Copy,
    Promote,
    Burn,
    Apply(usize),
    Ship(usize),
    Open,
    Crash(usize),
    Restart(usize),
    TakeBack(usize),
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

/// Messages in every order, lost and doubled, under one epoch.
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
/// A lost or stale store, and the next epoch.
const LOST: Grants =
    Grants { numbers: 1, doubled: false, epochs: 2, wipes: 1, granted: 1, limit: 1, calls: 2, ..MESSAGES };
/// The death of a node, and the next epoch while the counters are there.
const DEAD: Grants = Grants { reopens: true, wipes: 0, crashes: 1, ..LOST };

impl World {
    fn held_on(&self, node: usize, book: &Book) -> u8 {
        let boot = self.nodes[node].boot;
        let held = |call: &&Call| {
            call.on_grant
                && (call.node, call.boot, call.epoch) == (node, boot, book.epoch)
                && matches!(call.stage, Stage::Held | Stage::Sent)
        };
        u8::try_from(self.calls.iter().filter(held).count()).unwrap()
    }

    fn may_be_billed(&self) -> u8 {
        self.calls.iter().map(Call::billed).sum()
    }

    fn admit(&mut self, node: usize, epoch: u8, on_grant: bool) {
        let boot = self.nodes[node].boot;
        let stage = Stage::Held;
        self.calls.push(Call { node, boot, epoch, on_grant, stage, shipped: 0, told: false });
    }

    fn end(&mut self, index: usize, stage: Stage) {
        let call = &mut self.calls[index];
        call.stage = stage;
        let cost = call.billed();
        let (node, epoch) = (call.node, call.epoch);
        if call.on_grant
            && let Some(book) = self.nodes[node].book.as_mut().filter(|book| book.epoch == epoch)
        {
            call.told = true;
            book.spent += cost;
        }
    }
}

impl Grants {
    fn exchange(&self, world: &mut World, message: Message) {
        let Message::Exchange { node, boot, epoch, number, spent, keep, want } = message else { return };
        let Some(store) = world.store.as_mut().filter(|store| store.epoch == epoch) else { return };
        let record = store.records[node][usize::from(boot)];
        if number > record.number || self.fault == Fault::AnyNumber {
            store.spent = store.spent + spent - record.spent.min(spent);
            store.records[node][usize::from(boot)] = Record { number, granted: keep, spent };
            if want > 0 && store.used(self.fault) < self.limit {
                store.records[node][usize::from(boot)].granted += 1;
            }
            let granted = store.records[node][usize::from(boot)].granted;
            world.messages.insert(Message::Answer { node, boot, epoch, number, granted });
        }
    }

    fn deliver(&self, world: &mut World, message: Message) {
        match message {
            Message::Exchange { .. } => self.exchange(world, message),
            Message::Answer { node, boot, epoch, number, granted } => {
                let node = &mut world.nodes[node];
                let process = node.alive && node.boot == boot;
                if let Some(book) = node.book.as_mut().filter(|book| {
                    process
                        && book.epoch == epoch
                        && (book.number == number || self.fault == Fault::AnyNumber)
                }) {
                    book.granted = granted;
                }
            }
        }
    }

    fn steps_of_calls(&self, world: &World, steps: &mut Vec<Step>) {
        for (index, call) in world.calls.iter().enumerate() {
            let node = &world.nodes[call.node];
            if node.alive && node.boot == call.boot {
                match call.stage {
                    Stage::Held => steps.push(Step::Send(index)),
                    Stage::Sent => steps.extend([Step::End(index, 0), Step::End(index, 1)]),
                    _ => {}
                }
            }
            let later = world.store.as_ref().is_some_and(|store| store.epoch >= call.epoch);
            if call.written() == 2 && !call.told && later && node.alive {
                steps.push(Step::Tell(index));
            }
        }
    }

    fn steps_of_node(&self, world: &World, index: usize, steps: &mut Vec<Step>) {
        let node = &world.nodes[index];
        if !node.alive {
            steps.extend((node.boot < 1).then_some(Step::Restart(index)));
            return;
        }
        // Nodes are alike: it is always the first that dies.
        if world.crashes > 0 && index == 0 {
            steps.push(Step::Crash(index));
        }
        let room = world.calls.len() < self.calls;
        if let Some(store) = &world.store {
            if room && store.used(self.fault) < self.limit {
                steps.push(Step::AdmitByStore(index));
            }
            if index < self.granted
                && node.book.is_none()
                && world.open
                && store.epoch == world.epoch
                && node.applied <= store.epoch
            {
                steps.push(Step::Allow(index));
            }
            if self.fault == Fault::TakesBack {
                steps.push(Step::TakeBack(index));
            }
        }
        if let Some(book) = &node.book {
            let used = book.spent + world.held_on(index, book);
            if room && used < book.granted {
                steps.push(Step::AdmitOnGrant(index));
            }
            if book.number < self.numbers {
                steps.push(Step::Exchange { node: index, keep: book.granted.max(used), want: 1 });
                steps.push(Step::Exchange { node: index, keep: used, want: 0 });
            }
            if node.applied > book.epoch {
                steps.push(Step::CloseBook(index));
            }
        }
        if node.applied < world.epoch {
            steps.push(Step::Apply(index));
        }
        if node.shipped < node.applied {
            steps.push(Step::Ship(index));
        }
    }

    fn open(&self, world: &mut World) {
        let mut store =
            Store { epoch: world.epoch, spent: 0, holds: BTreeSet::new(), records: Default::default() };
        for (index, call) in world.calls.iter().enumerate() {
            match (call.shipped, call.stage) {
                (2, Stage::Ended { cost }) => store.spent += cost,
                (1, _) => {
                    store.holds.insert(index);
                }
                _ => {}
            }
        }
        (world.store, world.open) = (Some(store), true);
    }
}

impl Model for Grants {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let node = Node { alive: true, boot: 0, applied: 1, shipped: 1, book: None };
        let store = Store { epoch: 1, spent: 0, holds: BTreeSet::new(), records: Default::default() };
        vec![World {
            nodes: [node; NODES],
            store: Some(store),
            replica: None,
            epoch: 1,
            open: true,
            calls: Vec::new(),
            marks: Default::default(),
            messages: BTreeSet::new(),
            wipes: self.wipes,
            crashes: self.crashes,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        self.steps_of_calls(world, steps);
        (0..NODES).for_each(|index| self.steps_of_node(world, index, steps));
        for message in &world.messages {
            // Carried out and still under way, or carried out for the last time: lost is never delivered.
            steps.push(Step::Deliver(*message, false));
            steps.extend(self.doubled.then_some(Step::Deliver(*message, true)));
        }
        if world.store.is_some() && world.wipes > 0 {
            steps.push(Step::Wipe);
            steps.extend(world.replica.is_none().then_some(Step::Copy));
            steps.extend(world.replica.is_some().then_some(Step::Promote));
        }
        let lost = world.store.as_ref().is_none_or(|store| store.epoch != world.epoch);
        if world.open && world.epoch < self.epochs && (lost || self.reopens) {
            steps.push(Step::Burn);
        }
        let shipped = world.nodes.iter().all(|node| node.shipped >= world.epoch);
        if !world.open && (shipped || self.fault == Fault::OpensEarly) {
            steps.push(Step::Open);
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        match step {
            Step::Allow(node) => {
                let epoch = world.store.as_ref()?.epoch;
                next.nodes[node].book = Some(Book { epoch, ..Book::default() });
            }
            Step::AdmitOnGrant(node) => {
                let epoch = world.nodes[node].book?.epoch;
                next.admit(node, epoch, true);
            }
            Step::AdmitByStore(node) => {
                let store = next.store.as_mut()?;
                let epoch = store.epoch;
                store.holds.insert(world.calls.len());
                next.admit(node, epoch, false);
            }
            Step::Send(index) => {
                let call = world.calls[index];
                let burnt = world.nodes[call.node].applied > call.epoch;
                if burnt && self.fault != Fault::SendsBurnt {
                    next.end(index, Stage::NotSent);
                } else {
                    next.calls[index].stage = Stage::Sent;
                }
            }
            Step::End(index, cost) => next.end(index, Stage::Ended { cost }),
            Step::Tell(index) => {
                next.calls[index].told = true;
                let store = next.store.as_mut()?;
                if store.holds.remove(&index) {
                    store.spent += world.calls[index].billed();
                }
            }
            Step::Exchange { node, keep, want } => {
                let boot = world.nodes[node].boot;
                let book = next.nodes[node].book.as_mut()?;
                book.number += 1;
                if self.fault != Fault::LowersLate {
                    book.granted = keep;
                }
                let Book { epoch, number, spent, .. } = *book;
                next.messages.insert(Message::Exchange { node, boot, epoch, number, spent, keep, want });
            }
            Step::Deliver(message, again) => {
                if !again {
                    next.messages.remove(&message);
                }
                self.deliver(&mut next, message);
                if again && next == *world {
                    return None;
                }
            }
            Step::CloseBook(node) => next.nodes[node].book = None,
            Step::Wipe => (next.store, next.wipes) = (None, 0),
            Step::Copy => next.replica.clone_from(&world.store),
            Step::Promote => {
                // Another process: its run is not the one in the marker, so it counts as empty.
                let trusted = self.fault == Fault::TrustsStale;
                next.store = if trusted { world.replica.clone() } else { None };
                (next.replica, next.wipes) = (None, 0);
            }
            Step::Burn => (next.epoch, next.open) = (world.epoch + 1, false),
            Step::Apply(node) => {
                next.nodes[node].applied = world.epoch;
                let written = |index: usize| world.calls.get(index).map_or(0, Call::written);
                next.marks[node] = std::array::from_fn(written);
            }
            Step::Ship(node) => {
                // Not a record more than what was written when the epoch was applied.
                let applied = world.nodes[node].applied;
                next.nodes[node].shipped = applied;
                for (call, mark) in next.calls.iter_mut().zip(world.marks[node]) {
                    if call.node == node {
                        call.shipped = call.shipped.max(mark);
                    }
                }
            }
            Step::Open => self.open(&mut next),
            Step::Crash(node) => {
                let boot = world.nodes[node].boot;
                next.crashes -= 1;
                (next.nodes[node].alive, next.nodes[node].book) = (false, None);
                for call in next.calls.iter_mut().filter(|call| (call.node, call.boot) == (node, boot)) {
                    if call.stage == Stage::Held {
                        call.stage = Stage::Lost;
                    }
                }
            }
            Step::Restart(node) => {
                next.nodes[node].alive = true;
                next.nodes[node].boot += 1;
            }
            Step::TakeBack(node) => {
                let boot = usize::from(world.nodes[node].boot);
                let record = &mut next.store.as_mut()?.records[node][boot];
                record.granted = record.spent;
            }
        }
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("never more is billed than the limit", |model: &Self, world: &World| {
                world.may_be_billed() <= model.limit
            }),
            // An epoch that ends while its counters are there may find a hold in the books that is free
            // in the counters already: too much is counted for a while, which refuses and spends nothing.
            Property::always("counters and grants are within the limit", |model: &Self, world: &World| {
                model.reopens
                    || world.store.as_ref().is_none_or(|store| store.used(model.fault) <= model.limit)
            }),
            // The world is not empty.
            Property::sometimes("a call is sent while the store is gone", |_, world: &World| {
                world.store.is_none() && world.calls.iter().any(|c| c.on_grant && c.stage == Stage::Sent)
            }),
            Property::sometimes(
                "a dead process's grant comes back with the next epoch",
                |_, world: &World| {
                    let died = |call: &Call| call.on_grant && call.boot < world.nodes[call.node].boot;
                    world.store.as_ref().is_some_and(|store| store.epoch == 2 && store.used(Fault::None) == 0)
                        && world.calls.iter().any(died)
                },
            ),
        ]
    }
}

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

/// All of it at once takes minutes: `./test-full`.
#[test]
fn nothing_at_all_breaks_the_bound() {
    if std::env::var_os("TIDEGATE_FULL").is_some() {
        holds(MESSAGES);
        holds(Grants { crashes: 1, ..LOST });
        holds(Grants { granted: NODES, ..LOST });
        holds(Grants { doubled: true, ..LOST });
        holds(Grants { numbers: 2, ..DEAD });
    }
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
