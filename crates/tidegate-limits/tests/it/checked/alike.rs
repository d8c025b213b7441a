//! States from which the same can happen are one state: what can have no effect any more is left out, and the order
//! of calls (and of nodes, where they are alike) is forgotten. So worlds become small enough to be explored to their
//! end.

use std::collections::BTreeSet;

use super::world::{Message, Store, World};
use super::{CALLS, Fault, Grants, NODES};

impl Grants {
    /// The state that stands for all that are like this one.
    pub(super) fn alike(&self, mut world: World) -> World {
        // Where old messages or an old store are believed, they matter for ever.
        if !matches!(self.fault, Fault::AnyNumber | Fault::TrustsStale) {
            forget_overtaken(&mut world);
        }
        if world.wipes == 0 {
            world.replica = None;
        }
        forget_used_marks(&mut world);
        let same = sorted(world);
        if self.granted == NODES && self.crashes == 0 {
            let turned = sorted(turned(&same));
            return same.min(turned);
        }
        same
    }
}

/// Messages that would be ignored whenever they came: numbers, processes and epochs never go back.
fn forget_overtaken(world: &mut World) {
    let World { messages, store, nodes, .. } = world;
    messages.retain(|message| match *message {
        Message::Exchange { node, boot, epoch, number, .. } => store.as_ref().is_some_and(|store| {
            store.epoch == epoch && number > store.records[node][usize::from(boot)].number
        }),
        Message::Answer { node, boot, epoch, number, granted } => {
            let process = nodes[node];
            let book = process.book.filter(|_| process.alive && process.boot == boot);
            book.is_some_and(|book| (book.epoch, book.number) == (epoch, number) && book.granted != granted)
        }
    });
}

/// A node ships its own calls, once for each epoch that it applies.
fn forget_used_marks(world: &mut World) {
    for (index, marks) in world.marks.iter_mut().enumerate() {
        let due = world.nodes[index].shipped < world.nodes[index].applied;
        for (call, mark) in marks.iter_mut().enumerate() {
            if !due || world.calls.get(call).is_none_or(|call| call.node != index) {
                *mark = 0;
            }
        }
    }
}

/// Calls in an order of their own, whichever began first.
fn sorted(mut world: World) -> World {
    let holds = |store: &Option<Store>, call| store.as_ref().is_some_and(|store| store.holds.contains(&call));
    let mut order: Vec<usize> = (0..world.calls.len()).collect();
    order.sort_by_key(|&call| {
        let marks: [u8; NODES] = std::array::from_fn(|node| world.marks[node][call]);
        (world.calls[call], marks, holds(&world.store, call), holds(&world.replica, call))
    });
    if order.is_sorted() {
        return world;
    }
    let mut place = [0; CALLS];
    order.iter().enumerate().for_each(|(new, &old)| place[old] = new);
    world.calls = order.iter().map(|&old| world.calls[old]).collect();
    for marks in &mut world.marks {
        let old = *marks;
        order.iter().enumerate().for_each(|(new, &call)| marks[new] = old[call]);
    }
    for store in [&mut world.store, &mut world.replica].into_iter().flatten() {
        store.holds = store.holds.iter().map(|&call| place[call]).collect();
    }
    world
}

/// Each node in the other one's place.
fn turned(world: &World) -> World {
    let mut world = world.clone();
    world.nodes.reverse();
    world.marks.reverse();
    world.calls.iter_mut().for_each(|call| call.node = NODES - 1 - call.node);
    for store in [&mut world.store, &mut world.replica].into_iter().flatten() {
        store.records.reverse();
    }
    let messages: BTreeSet<_> = world.messages.iter().map(|message| message.turned()).collect();
    world.messages = messages;
    world
}
