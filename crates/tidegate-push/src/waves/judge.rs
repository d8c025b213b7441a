//! What is to be done about a wave, from what the store says of it and of the nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_store::fleet::{Node, NodeState};
use tidegate_store::waves::{Figures, Move, Stage, Wave};
use tidegate_types::{NodeId, Revision, Shard, Timestamp};

/// A node that was heard of so lately may be a member.
const LIVE_MS: i64 = 10_000;
/// A member of which nothing is heard for so long has ended.
const SILENCE: Duration = Duration::from_secs(15);
/// Fewer failed answers of the members say nothing.
const FEWEST_FAILED: u64 = 3;
/// One failed answer of so many is no rise.
const TOLERATED: u64 = 20;

/// By what is judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) now: Timestamp,
    /// How long a stage is watched, once every member has applied it; zero: there are no waves.
    pub(super) soak: Duration,
    /// How long the store has been looked at without a break.
    pub(super) watched: Duration,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Wait,
    /// Every member has applied the stage; these are the nodes' figures.
    Applied(BTreeMap<NodeId, Figures>),
    Move(Move),
}

pub(super) fn judge(wave: &Wave, nodes: &[Node], rules: Rules) -> Verdict {
    if wave.staged.iter().all(|staged| staged.outdated) {
        let is_over = wave.stage == Stage::None && wave.staged.is_empty();
        return if is_over { Verdict::Wait } else { Verdict::Move(Move::End) };
    }
    match wave.stage {
        Stage::Halted if !wave.has_news() => Verdict::Wait,
        _ if rules.soak.is_zero() => Verdict::Move(Move::Release),
        Stage::None | Stage::Halted => begin(wave, nodes, rules, false),
        Stage::One | Stage::Tenth if wave.has_news() => begin(wave, nodes, rules, true),
        Stage::One | Stage::Tenth => under_way(wave, nodes, rules),
    }
}

fn under_way(wave: &Wave, nodes: &[Node], rules: Rules) -> Verdict {
    let members: Vec<&Node> = nodes.iter().filter(|node| wave.members.contains(&node.id)).collect();
    if let Some(reason) = members.iter().find_map(|node| fault(wave, node, rules)) {
        return Verdict::Move(Move::Halt(reason));
    }
    // Whoever leaves in order is no reason to halt, and has not been watched to the end.
    if members.len() < wave.members.len() || members.iter().any(|node| has_left(node)) {
        return begin(wave, nodes, rules, true);
    }
    let upto = Revision { shard: Shard::SYSTEM, n: wave.upto };
    let Some(applied_at) = wave.applied_at else {
        let applied = members.iter().all(|node| node.heartbeat.applied.includes(upto));
        return if applied { Verdict::Applied(figures(nodes)) } else { Verdict::Wait };
    };
    if let Some(reason) = rise(wave, nodes) {
        return Verdict::Move(Move::Halt(reason));
    }
    let end = applied_at.plus_millis(i64::try_from(rules.soak.as_millis()).unwrap_or(i64::MAX));
    // Heard of after the end: nothing that a member did in the meantime is unknown.
    let watched = members.iter().all(|node| node.last_seen.is_some_and(|seen| seen >= end));
    if !watched {
        return Verdict::Wait;
    }
    let live = live(nodes, rules.now);
    let tenth = live.len().div_ceil(10);
    if wave.stage == Stage::One && tenth > wave.members.len() {
        let members = first(wave, &live, tenth);
        let figures = figures(nodes);
        return Verdict::Move(Move::Begin { stage: Stage::Tenth, members, figures, back: false });
    }
    Verdict::Move(Move::Release)
}

/// Begins with one node; where there is nobody to be spared, everybody gets it.
fn begin(wave: &Wave, nodes: &[Node], rules: Rules, back: bool) -> Verdict {
    let live = live(nodes, rules.now);
    if live.len() < 2 {
        // Nobody was heard while the database was away.
        let alone = nodes.iter().filter(|node| !has_left(node)).count() < 2 || rules.watched > SILENCE;
        return if alone { Verdict::Move(Move::Release) } else { Verdict::Wait };
    }
    let members = first(wave, &live, 1);
    Verdict::Move(Move::Begin { stage: Stage::One, members, figures: figures(nodes), back })
}

fn live(nodes: &[Node], now: Timestamp) -> Vec<&Node> {
    let is_live = |node: &&Node| {
        !has_left(node) && node.last_seen.is_some_and(|seen| now.millis_since(seen) <= LIVE_MS)
    };
    nodes.iter().filter(is_live).collect()
}

const fn has_left(node: &Node) -> bool {
    !matches!(node.state, NodeState::Enrolled) || node.heartbeat.draining
}

/// So many of them: who had it already, then who tells what it answers, in an order that is another one with each wave.
fn first(wave: &Wave, live: &[&Node], count: usize) -> Vec<NodeId> {
    // Counted up when a wave begins: the same order in all of its stages.
    let number = wave.number + u64::from(wave.stage != Stage::One);
    let mut order = live.to_vec();
    // One that does not is of a release from before waves, or connected to such a control plane.
    let silent = |node: &Node| node.heartbeat.answers.is_none();
    order.sort_by_key(|node| {
        (!wave.members.contains(&node.id), silent(node), mixed(node.id, number), node.id)
    });
    order.iter().take(count).map(|node| node.id).collect()
}

/// Bits that say nothing, the same at every control plane.
fn mixed(id: NodeId, number: u64) -> u64 {
    let bits = id.to_uuid().as_u128();
    let mut mixed = (bits as u64) ^ ((bits >> 64) as u64) ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for _ in 0..2 {
        mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    }
    mixed ^ (mixed >> 29)
}

fn figures(nodes: &[Node]) -> BTreeMap<NodeId, Figures> {
    let of = |node: &Node| Figures { boot: node.heartbeat.boot, answers: node.heartbeat.answers };
    nodes.iter().filter(|node| !has_left(node)).map(|node| (node.id, of(node))).collect()
}

/// What a member does that halts the wave.
fn fault(wave: &Wave, node: &Node, rules: Rules) -> Option<String> {
    let refused = |said: &&tidegate_store::fleet::Rejection| {
        wave.staged.iter().any(|staged| staged.key == said.key && staged.n == said.n)
    };
    if let Some(said) = node.heartbeat.rejections.iter().find(refused) {
        let (kind, id) = (said.key.kind.as_str(), &said.key.id);
        return Some(format!("node {} rejects {kind} {id}: {}", node.name, said.reason));
    }
    if has_left(node) {
        return None;
    }
    let before = wave.figures.get(&node.id).map(|figures| figures.boot);
    if before.is_some_and(|boot| boot != node.heartbeat.boot) {
        return Some(format!("node {} ended and started again", node.name));
    }
    let silent = node.last_seen.map_or(i64::MAX, |seen| rules.now.millis_since(seen));
    let limit = i64::try_from(SILENCE.as_millis()).unwrap_or(i64::MAX);
    (silent > limit && rules.watched > SILENCE)
        .then(|| format!("node {} was not heard of for {} seconds", node.name, SILENCE.as_secs()))
}

/// Whether the members answer with more 5xx than before, and than the others at the same time.
fn rise(wave: &Wave, nodes: &[Node]) -> Option<String> {
    let since = |node: &Node| {
        let before = wave.figures.get(&node.id).filter(|before| before.boot == node.heartbeat.boot)?;
        let ((all, failed), (all_before, failed_before)) = (node.heartbeat.answers?, before.answers?);
        Some((all.saturating_sub(all_before), failed.saturating_sub(failed_before)))
    };
    let (mut members, mut others) = ((0_u64, 0_u64), (0_u64, 0_u64));
    for node in nodes {
        let Some((all, failed)) = since(node) else { continue };
        let sum = if wave.members.contains(&node.id) { &mut members } else { &mut others };
        *sum = (sum.0.saturating_add(all), sum.1.saturating_add(failed));
    }
    let (all, failed) = members;
    let above_others = failed.saturating_mul(others.0) > others.1.saturating_mul(all).saturating_mul(2);
    let is_rise =
        failed >= FEWEST_FAILED && failed.saturating_mul(TOLERATED) > all && (others.0 == 0 || above_others);
    is_rise.then(|| {
        format!(
            "{failed} of {all} answers of the nodes that have it were 5xx, and {} of {} of the others",
            others.1, others.0
        )
    })
}

#[cfg(test)]
mod tests;
