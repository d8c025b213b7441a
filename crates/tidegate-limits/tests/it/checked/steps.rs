//! Holds that grow with their streams: every interleaving of steps, output, crashes, lost counters and the next
//! epoch, for two streams on two nodes. Each stream is held for 1 at first and for 2 with its step; the limit is 3,
//! so both cannot have theirs. Explored to its end.

use stateright::{Checker, HasDiscoveries, Model, Property};

const LIMIT: u8 = 3;
const MOST: u8 = 2;
const STREAMS: usize = 2;
const EPOCHS: u8 = 2;

/// A rule that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fault {
    None,
    /// A step counts although it was refused.
    CountsRefused,
    /// A step counts before it is written down.
    Unwritten,
    /// A step counts although its node knows of a later epoch.
    UsesBurnt,
    /// An epoch opens with what was held at first.
    BooksForget,
    /// More is read than is covered.
    NoEdge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    Waiting,
    Held,
    Running,
    Ended,
    /// Its process died when nothing was written.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Stream {
    stage: Stage,
    epoch: u8,
    covered: u8,
    /// What the provider has written, and bills.
    produced: u8,
    /// A step was had and is not used yet.
    had: bool,
    /// What the journal says is held.
    written: u8,
    told: bool,
    /// Its end is in the journal: by itself, or by its node's next start, which knows no cost.
    end: Option<Option<u8>>,
    alive: bool,
    applied: u8,
    /// What was in the journal when the node applied the newest epoch, and of that, what is in the books.
    mark: (u8, Option<Option<u8>>),
    books: (u8, Option<Option<u8>>),
    shipped: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Store {
    epoch: u8,
    spent: u8,
    held: [u8; STREAMS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct World {
    streams: [Stream; STREAMS],
    store: Option<Store>,
    epoch: u8,
    open: bool,
    wipes: u8,
    crashes: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Act {
    Admit(usize),
    Intend(usize),
    Produce(usize),
    Ask(usize),
    Use(usize),
    End(usize),
    Tell(usize),
    Crash(usize),
    Restart(usize),
    Apply(usize),
    Ship(usize),
    Wipe,
    Burn,
    Open,
}

struct Steps(Fault);

impl Store {
    fn used(&self) -> u8 {
        self.spent + self.held.iter().sum::<u8>()
    }
}

impl Steps {
    fn acts_of(&self, world: &World, index: usize, acts: &mut Vec<Act>) {
        let stream = &world.streams[index];
        if !stream.alive {
            acts.push(Act::Restart(index));
            return;
        }
        let same = world.store.is_some_and(|store| store.epoch == stream.epoch);
        match stream.stage {
            Stage::Waiting if world.store.is_some() && world.open => acts.push(Act::Admit(index)),
            Stage::Held => acts.push(Act::Intend(index)),
            Stage::Running => {
                acts.push(Act::End(index));
                let edge = if self.0 == Fault::NoEdge { MOST } else { stream.covered };
                if stream.produced < edge {
                    acts.push(Act::Produce(index));
                }
                if stream.had {
                    acts.push(Act::Use(index));
                } else if stream.covered < MOST && same {
                    acts.push(Act::Ask(index));
                }
            }
            _ => {}
        }
        let later = world.store.is_some_and(|store| store.epoch >= stream.epoch);
        if stream.end.is_some() && !stream.told && later {
            acts.push(Act::Tell(index));
        }
        if world.crashes > 0 {
            acts.push(Act::Crash(index));
        }
        if stream.applied < world.epoch {
            acts.push(Act::Apply(index));
        }
        if stream.shipped < stream.applied {
            acts.push(Act::Ship(index));
        }
    }

    /// The counters as the books have them.
    fn opened(&self, world: &World) -> Store {
        let mut store = Store { epoch: world.epoch, spent: 0, held: [0; STREAMS] };
        for (index, stream) in world.streams.iter().enumerate() {
            let (written, end) = stream.books;
            let held = if self.0 == Fault::BooksForget { written.min(1) } else { written };
            match end {
                Some(Some(cost)) => store.spent += cost,
                // Unresolved, or still running.
                Some(None) | None => store.held[index] = held,
            }
        }
        store
    }

    fn ask(&self, stream: &mut Stream, store: &mut Store, index: usize) {
        if store.used() < LIMIT {
            store.held[index] += 1;
            stream.had = true;
        } else if self.0 == Fault::CountsRefused {
            stream.covered += 1;
        }
    }

    fn take(&self, stream: &mut Stream) {
        stream.had = false;
        if self.0 != Fault::Unwritten {
            stream.written += 1;
        }
        if stream.applied <= stream.epoch || self.0 == Fault::UsesBurnt {
            stream.covered += 1;
        }
    }
}

impl Model for Steps {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        let stream = Stream {
            stage: Stage::Waiting,
            epoch: 0,
            covered: 0,
            produced: 0,
            had: false,
            written: 0,
            told: false,
            end: None,
            alive: true,
            applied: 1,
            mark: (0, None),
            books: (0, None),
            shipped: 1,
        };
        let store = Store { epoch: 1, spent: 0, held: [0; STREAMS] };
        let streams = [stream; STREAMS];
        vec![World { streams, store: Some(store), epoch: 1, open: true, wipes: 1, crashes: 1 }]
    }

    fn actions(&self, world: &World, acts: &mut Vec<Act>) {
        (0..STREAMS).for_each(|index| self.acts_of(world, index, acts));
        if world.store.is_some() && world.wipes > 0 {
            acts.push(Act::Wipe);
        }
        if world.open && world.store.is_none() && world.epoch < EPOCHS {
            acts.push(Act::Burn);
        }
        if !world.open && world.streams.iter().all(|stream| stream.shipped >= world.epoch) {
            acts.push(Act::Open);
        }
    }

    fn next_state(&self, world: &World, act: Act) -> Option<World> {
        let mut next = *world;
        let World { streams, store, .. } = &mut next;
        match act {
            Act::Admit(index) => {
                let store = store.as_mut().filter(|store| store.used() < LIMIT)?;
                store.held[index] = 1;
                (streams[index].stage, streams[index].epoch) = (Stage::Held, store.epoch);
            }
            Act::Intend(index) => {
                let stream = &mut streams[index];
                stream.written = 1;
                let burnt = stream.applied > stream.epoch;
                stream.stage = if burnt { Stage::Ended } else { Stage::Running };
                (stream.covered, stream.end) = if burnt { (0, Some(Some(0))) } else { (1, None) };
            }
            Act::Produce(index) => streams[index].produced += 1,
            Act::Ask(index) => self.ask(&mut streams[index], store.as_mut()?, index),
            Act::Use(index) => self.take(&mut streams[index]),
            Act::End(index) => {
                let stream = &mut streams[index];
                (stream.stage, stream.end) = (Stage::Ended, Some(Some(stream.produced)));
            }
            Act::Tell(index) => {
                let (stream, store) = (&mut streams[index], store.as_mut()?);
                stream.told = true;
                // What nobody knows stays as it is held.
                if let Some(Some(cost)) = stream.end.filter(|_| store.held[index] > 0) {
                    store.held[index] = 0;
                    store.spent += cost;
                }
            }
            Act::Crash(index) => {
                let stream = &mut streams[index];
                (stream.alive, stream.had) = (false, false);
                if stream.stage == Stage::Held {
                    stream.stage = Stage::Lost;
                }
                next.crashes -= 1;
            }
            Act::Restart(index) => {
                let stream = &mut streams[index];
                stream.alive = true;
                if stream.stage == Stage::Running {
                    (stream.stage, stream.end) = (Stage::Ended, Some(None));
                }
            }
            Act::Apply(index) => {
                let stream = &mut streams[index];
                (stream.applied, stream.mark) = (world.epoch, (stream.written, stream.end));
            }
            Act::Ship(index) => {
                let stream = &mut streams[index];
                (stream.shipped, stream.books) = (stream.applied, stream.mark);
            }
            Act::Wipe => (next.store, next.wipes) = (None, 0),
            Act::Burn => (next.epoch, next.open) = (world.epoch + 1, false),
            Act::Open => (next.store, next.open) = (Some(self.opened(world)), true),
        }
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("never more is billed than the limit", |_, world: &World| {
                world.streams.iter().map(|stream| stream.produced).sum::<u8>() <= LIMIT
            }),
            Property::always("counters are within the limit", |_, world: &World| {
                world.store.is_none_or(|store| store.used() <= LIMIT)
            }),
            Property::sometimes(
                "an epoch opens with a step of a stream that still runs",
                |_, world: &World| {
                    let runs = |index: usize| world.streams[index].stage == Stage::Running;
                    world.store.is_some_and(|store| {
                        store.epoch == 2 && (0..STREAMS).any(|index| runs(index) && store.held[index] == MOST)
                    })
                },
            ),
            Property::sometimes("a dead stream is unresolved with its step", |_, world: &World| {
                let dead = |stream: &Stream| stream.end == Some(None) && stream.books.0 == MOST;
                world.streams.iter().any(dead)
            }),
        ]
    }
}

const BOUND: [&str; 2] = ["never more is billed than the limit", "counters are within the limit"];

#[test]
fn steps_never_break_the_bound() {
    let checked = Steps(Fault::None).checker().threads(2).spawn_bfs().join();
    println!("steps: {} states", checked.unique_state_count());
    checked.assert_properties();
    assert!(checked.unique_state_count() > 1_000);
}

#[test]
fn every_planted_fault_of_steps_is_found() {
    for fault in [Fault::CountsRefused, Fault::Unwritten, Fault::UsesBurnt, Fault::BooksForget, Fault::NoEdge]
    {
        let checked =
            Steps(fault).checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let found = BOUND.iter().any(|always| checked.discovery(always).is_some());
        assert!(found, "{fault:?} breaks the bound, and was not found");
    }
}
