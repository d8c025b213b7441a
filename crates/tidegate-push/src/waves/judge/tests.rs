use tidegate_store::fleet::{Heartbeat, Rejection};
use tidegate_store::waves::StagedResource;
use tidegate_types::resource::{ResourceKey, ResourceKind};
use tidegate_types::{OrganizationId, Position};

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_000_000);
const SOAK: Duration = Duration::from_secs(10);

fn key() -> ResourceKey {
    let id = "off_1".to_owned();
    ResourceKey { organization_id: OrganizationId::SYSTEM, kind: ResourceKind::Offering, id }
}

fn id(number: u128) -> NodeId {
    NodeId::from_u128(number)
}

/// Heard of at this moment, has everything up to 9.
fn node(number: u128) -> Node {
    let mut applied = Position::default();
    applied.advance(Revision { shard: Shard::SYSTEM, n: 9 });
    Node {
        id: id(number),
        pool: "default".to_owned(),
        name: format!("n{number}"),
        state: NodeState::Enrolled,
        enrolled_at: NOW,
        certificate_serial: String::new(),
        certificate_expires_at: NOW,
        sealing_key: [0; 32],
        last_seen: Some(NOW),
        heartbeat: Heartbeat { boot: 1, applied, answers: Some((100, 0)), ..Heartbeat::default() },
        missing_records: 0,
    }
}

fn fleet(count: u128) -> Vec<Node> {
    (1..=count).map(node).collect()
}

/// The first node has it, and the soak has passed.
fn wave(stage: Stage, nodes: &[Node]) -> Wave {
    Wave {
        stage,
        number: 1,
        members: vec![id(1)],
        upto: 9,
        began_at: Some(NOW),
        applied_at: Some(NOW.plus_millis(-10_000)),
        figures: figures(nodes),
        reason: String::new(),
        staged: vec![StagedResource { key: key(), n: 9, updated_at: NOW, outdated: false, overtaken: false }],
    }
}

fn verdict(wave: &Wave, nodes: &[Node]) -> Verdict {
    judge(wave, nodes, Rules { now: NOW, soak: SOAK, watched: SOAK * 10 })
}

fn halted(verdict: &Verdict, why: &str) -> bool {
    matches!(verdict, Verdict::Move(Move::Halt(reason)) if reason.contains(why))
}

#[test]
fn one_then_a_tenth_then_all() {
    let nodes = fleet(21);
    let began = verdict(&Wave { stage: Stage::None, ..wave(Stage::None, &nodes) }, &nodes);
    let Verdict::Move(Move::Begin { stage: Stage::One, members, back: false, .. }) = began else {
        panic!("{began:?}")
    };
    assert_eq!(members, [id(1)], "who had it goes on");
    let next = verdict(&wave(Stage::One, &nodes), &nodes);
    let Verdict::Move(Move::Begin { stage: Stage::Tenth, members, back: false, .. }) = next else {
        panic!("{next:?}")
    };
    assert_eq!((members.len(), members[0]), (3, id(1)));
    assert_eq!(verdict(&wave(Stage::Tenth, &nodes), &nodes), Verdict::Move(Move::Release));
    // Of few nodes a tenth is the first one, and one node has nobody to go first for.
    assert_eq!(verdict(&wave(Stage::One, &fleet(10)), &fleet(10)), Verdict::Move(Move::Release));
    assert_eq!(verdict(&wave(Stage::None, &fleet(1)), &fleet(1)), Verdict::Move(Move::Release));
}

#[test]
fn each_wave_has_another_first_node() {
    let nodes = fleet(10);
    let first = |number| {
        let wave = Wave { number, members: vec![], ..wave(Stage::None, &nodes) };
        match verdict(&wave, &nodes) {
            Verdict::Move(Move::Begin { members, .. }) => members[0],
            other => panic!("{other:?}"),
        }
    };
    let firsts: std::collections::BTreeSet<NodeId> = (0..30).map(first).collect();
    assert!(firsts.len() > 5, "{firsts:?}");
    let mut mixed = fleet(10);
    mixed.iter_mut().skip(1).for_each(|node| node.heartbeat.answers = None);
    let first = |number| verdict(&Wave { number, members: vec![], ..wave(Stage::None, &mixed) }, &mixed);
    for number in 0..30 {
        let began = first(number);
        let teller = matches!(&began, Verdict::Move(Move::Begin { members, .. }) if *members == [id(1)]);
        assert!(teller, "who tells what it answers goes first: {began:?}");
    }
}

#[test]
fn nobody_goes_on_before_the_end_of_the_soak_and_a_word_after_it() {
    let mut nodes = fleet(3);
    let young = Wave { applied_at: Some(NOW.plus_millis(-9_999)), ..wave(Stage::One, &nodes) };
    assert_eq!(verdict(&young, &nodes), Verdict::Wait);
    nodes[0].last_seen = Some(NOW.plus_millis(-1));
    assert_eq!(verdict(&wave(Stage::One, &nodes), &nodes), Verdict::Wait, "it may have died since");
    let not_applied = Wave { applied_at: None, ..wave(Stage::One, &nodes) };
    assert!(matches!(verdict(&not_applied, &nodes), Verdict::Applied(figures) if figures.len() == 3));
    let ahead = Wave { upto: 10, ..not_applied };
    assert_eq!(verdict(&ahead, &nodes), Verdict::Wait);
}

#[test]
fn a_rejection_a_crash_and_silence_halt_and_a_drain_does_not() {
    let nodes = fleet(3);
    let one = wave(Stage::One, &nodes);
    let with = |change: &dyn Fn(&mut Node)| {
        let mut nodes = nodes.clone();
        change(&mut nodes[0]);
        verdict(&one, &nodes)
    };
    let reject = |n| {
        with(&|node| {
            let reason = "no such field".to_owned();
            node.heartbeat.rejections = vec![Rejection { key: key(), n, reason }];
        })
    };
    assert!(halted(&reject(9), "node n1 rejects offering off_1: no such field"), "{:?}", reject(9));
    assert_eq!(reject(8), Verdict::Move(Move::Release), "an earlier version of it");
    assert!(halted(&with(&|node| node.heartbeat.boot = 2), "started again"));
    let silent = |node: &mut Node| node.last_seen = Some(NOW.plus_millis(-15_001));
    assert!(halted(&with(&silent), "not heard of"));
    let mut unheard = nodes.clone();
    silent(&mut unheard[0]);
    let blind = judge(&one, &unheard, Rules { now: NOW, soak: SOAK, watched: SOAK });
    assert_eq!(blind, Verdict::Wait, "the database may have been away");
    let all_silent: Vec<Node> = nodes
        .iter()
        .cloned()
        .map(|mut node| {
            silent(&mut node);
            node
        })
        .collect();
    let begins =
        |watched| judge(&wave(Stage::None, &nodes), &all_silent, Rules { now: NOW, soak: SOAK, watched });
    assert_eq!(begins(SOAK), Verdict::Wait, "nor is it a fleet of nobody, to which everything goes at once");
    assert_eq!(begins(SOAK * 2), Verdict::Move(Move::Release));
    for left in [with(&|node| node.heartbeat.draining = true), with(&|node| node.state = NodeState::Drained)]
    {
        let Verdict::Move(Move::Begin { stage: Stage::One, members, back: true, .. }) = left else {
            panic!("{left:?}")
        };
        assert!(!members.contains(&id(1)));
    }
}

#[test]
fn only_a_rise_of_failed_answers_halts() {
    let before = fleet(3);
    let one = wave(Stage::One, &before);
    let with = |member: Option<(u64, u64)>, others: Option<(u64, u64)>| {
        let mut nodes = before.clone();
        nodes[0].heartbeat.answers = member;
        nodes[1].heartbeat.answers = others;
        verdict(&one, &nodes)
    };
    let released = Verdict::Move(Move::Release);
    assert!(halted(&with(Some((120, 3)), Some((200, 0))), "3 of 20 answers"));
    assert!(halted(&with(Some((103, 3)), None), "3 of 3 answers"), "others need not tell");
    assert_eq!(with(Some((102, 2)), Some((200, 0))), released, "too few to say anything");
    assert_eq!(with(Some((200, 5)), Some((200, 0))), released, "one of twenty");
    assert_eq!(with(Some((120, 5)), Some((200, 20))), released, "others fail as well");
    assert!(halted(&with(Some((120, 9)), Some((200, 20))), "9 of 20"), "but not so often");
    assert_eq!(with(None, Some((200, 0))), released, "a release that does not count");
}

#[test]
fn what_is_written_meanwhile_begins_anew_and_a_halted_wave_waits_for_it() {
    let nodes = fleet(3);
    let mut news = wave(Stage::Tenth, &nodes);
    news.staged[0].n = 10;
    assert!(matches!(
        verdict(&news, &nodes),
        Verdict::Move(Move::Begin { stage: Stage::One, back: true, members, .. }) if members == [id(1)]
    ));
    let mut renewed = wave(Stage::One, &nodes);
    renewed.staged[0].overtaken = true;
    let again = verdict(&renewed, &nodes);
    assert!(matches!(again, Verdict::Move(Move::Begin { stage: Stage::One, back: true, .. })), "{again:?}");
    assert_eq!(verdict(&wave(Stage::Halted, &nodes), &nodes), Verdict::Wait);
    let mended = Wave { stage: Stage::Halted, ..news };
    assert!(matches!(verdict(&mended, &nodes), Verdict::Move(Move::Begin { back: false, .. })));
    let mut passed = wave(Stage::One, &nodes);
    passed.staged[0].outdated = true;
    assert_eq!(verdict(&passed, &nodes), Verdict::Move(Move::End), "somebody wrote past it");
    passed.staged.clear();
    assert_eq!(verdict(&Wave { stage: Stage::None, ..passed }, &nodes), Verdict::Wait);
}
