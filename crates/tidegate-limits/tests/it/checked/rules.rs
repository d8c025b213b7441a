//! What may happen in the small worlds, what each step does, and what must hold after it.

use std::collections::BTreeSet;

use stateright::{Model, Property};

use super::world::{Book, Call, Message, Node, Record, Stage, Step, Store, World};
use super::{Fault, Grants, NODES};

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
            if self.reclaims && node.boot == 1 && store.epoch == world.epoch {
                steps.push(Step::Reclaim(index));
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

    /// The successor of a dead process ships its journal, and tells what it used in all.
    fn reclaim(&self, world: &mut World, node: usize) -> Option<()> {
        let store = world.store.as_mut()?;
        let (mut spent, mut unresolved) = (0, 0);
        for call in world.calls.iter_mut().filter(|call| (call.node, call.boot) == (node, 0)) {
            if self.fault != Fault::ReclaimsEarly {
                call.shipped = call.written();
            }
            match (call.shipped, call.stage) {
                _ if !call.on_grant || call.epoch != store.epoch => {}
                (2, Stage::Ended { cost }) => spent += cost,
                // Sent, and nobody knows how it ended.
                (1, _) => unresolved += 1,
                _ => {}
            }
        }
        let record = store.records[node][0];
        let known = if self.fault == Fault::ReclaimsTwice { 0 } else { record.spent };
        store.spent = (store.spent + spent).saturating_sub(known);
        let number = if self.fault == Fault::ReclaimsOpen { record.number } else { u8::MAX };
        store.records[node][0] = Record { number, granted: spent + unresolved, spent };
        Some(())
    }

    fn open(&self, world: &mut World) {
        let mut store = Store::empty(world.epoch);
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
        let store = Store::empty(1);
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

    #[expect(clippy::too_many_lines, reason = "one arm for each step of the model")]
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
            // What it has is never read, but where it is trusted.
            Step::Copy if self.fault == Fault::TrustsStale => next.replica.clone_from(&world.store),
            Step::Copy => next.replica = Some(Store::empty(world.epoch)),
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
            Step::Reclaim(node) => self.reclaim(&mut next, node)?,
            Step::TakeBack(node) => {
                let boot = usize::from(world.nodes[node].boot);
                let record = &mut next.store.as_mut()?.records[node][boot];
                record.granted = record.spent;
            }
        }
        let next = self.alike(next);
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
            Property::sometimes("a dead process's grant comes back under its epoch", |_, world: &World| {
                world.store.as_ref().is_some_and(|store| {
                    let told = |record: &[Record; 2]| record[0].number == u8::MAX && record[0].spent > 0;
                    store.epoch == 1 && store.records.iter().any(told)
                })
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
