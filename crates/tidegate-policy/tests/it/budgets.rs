//! Budgets: which ones a candidate counts towards, and in which window.

use tidegate_policy::{CallFacts, Candidate, plan};
use tidegate_types::resource::*;
use tidegate_types::window::{Every, True, Window, WindowSpec};
use tidegate_types::{KeyId, LabelHash, NanoUsd, TeamId, Timestamp};

use crate::fixtures::*;

fn label(byte: u8) -> LabelHash {
    LabelHash::from_bytes([byte; 16])
}

fn selector(byte: u8) -> Option<Selector> {
    Some(Selector { hash: label(byte) })
}

fn ids(candidate: &Candidate) -> Vec<u128> {
    let mut ids: Vec<u128> = candidate.budgets.iter().map(|reference| bits(reference.budget.id)).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn a_budget_covers_what_matches_every_selector() {
    let mut feed = Feed::standard();
    let none = Scope::default();
    let scopes = [
        (1, none.clone()),
        (2, Scope { team: Some(TEAM), ..none.clone() }),
        (3, Scope { team: Some(TeamId::from_u128(4)), ..none.clone() }),
        (4, Scope { key: Some(KEY), ..none.clone() }),
        (5, Scope { key: Some(KeyId::from_u128(9)), ..none.clone() }),
        (6, Scope { end_user: selector(1), ..none.clone() }),
        (7, Scope { end_user: selector(2), ..none.clone() }),
        (8, Scope { tag: selector(3), ..none.clone() }),
        (9, Scope { tag: selector(4), end_user: selector(1), ..none.clone() }),
        (
            10,
            Scope {
                tag: selector(3),
                end_user: selector(1),
                team: Some(TEAM),
                key: Some(KEY),
                ..none.clone()
            },
        ),
        (11, Scope { model: Some("openai/gpt-5".parse().unwrap()), ..none.clone() }),
        (12, Scope { provider: Some("azure".parse().unwrap()), ..none.clone() }),
        (13, Scope { model: Some("acme/other".parse().unwrap()), key: Some(KEY), ..none.clone() }),
        (14, Scope { tag: selector(1), ..none }),
    ];
    for (id, scope) in scopes {
        assert!(feed.send_one(Resource::Budget(budget(id, scope))).rejected.is_empty());
    }
    let tags = [label(3), label(5)];
    let facts = CallFacts { end_user: Some(label(1)), tags: &tags, ..CallFacts::of_model("gpt-5") };
    let plan = feed.plan(&facts).unwrap();
    assert_eq!(plan.candidates[0].provider.slug.as_str(), "openai");
    assert_eq!(ids(&plan.candidates[0]), [1, 2, 4, 6, 8, 10, 11]);
    assert_eq!(ids(&plan.candidates[1]), [1, 2, 4, 6, 8, 10, 11, 12]);
    let unlabelled = feed.ask("gpt-5").unwrap();
    assert_eq!(ids(&unlabelled.candidates[0]), [1, 2, 4, 11]);
}

#[test]
fn own_credentials_count_only_where_the_budget_says_so() {
    let mut feed = Feed::standard();
    let counting = Budget { count_byok: true, ..budget(2, Scope::default()) };
    feed.send(vec![
        Resource::Credential(credential(ORG, 21, "openai", CredentialScope::Organization)),
        Resource::Budget(budget(1, Scope::default())),
        Resource::Budget(counting),
    ]);
    let plan = feed.ask("gpt-5").unwrap();
    assert_eq!(ids(&plan.candidates[0]), [2]);
    assert_eq!(ids(&plan.candidates[1]), [1, 2]);
}

#[test]
fn windows_follow_the_organizations_calendar() {
    let mut feed = Feed::standard();
    let fixed = WindowSpec::Fixed { start: now(), end: now().plus_millis(10) };
    let over = WindowSpec::Fixed { start: now().plus_millis(-10), end: now() };
    let windows = [
        (1, WindowSpec::Recurring { every: Every::Month }),
        (2, WindowSpec::Recurring { every: Every::Day }),
        (3, WindowSpec::Lifetime { lifetime: True }),
        (4, fixed),
        (5, over),
    ];
    for (id, window) in windows {
        feed.send_one(Resource::Budget(Budget { window, ..budget(id, Scope::default()) }));
    }
    let window_of = |at, id: u128| -> Option<Window> {
        let plan = plan(&feed.view(), &CallFacts::of_model("gpt-5"), at, 0).unwrap();
        let found = plan.candidates[0].budgets.iter().find(|reference| bits(reference.budget.id) == id);
        found.map(|reference| reference.window)
    };
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    // Berlin is an hour ahead of UTC in November.
    let month = Window { start: at("2026-10-31T23:00:00Z"), end: at("2026-11-30T23:00:00Z") };
    assert_eq!(window_of(now(), 1), Some(month));
    assert_eq!(window_of(now(), 2).map(|day| day.start), Some(at("2026-11-20T23:00:00Z")));
    assert_eq!(window_of(now(), 4), Some(Window { start: now(), end: now().plus_millis(10) }));
    assert_eq!(window_of(now(), 5), None, "a term that is over covers nothing");
    assert!(window_of(now(), 3).is_some());
    // The remembered window is not used beyond its end, nor before its start.
    let next = at("2026-12-01T00:00:00Z");
    assert_eq!(window_of(next, 1).map(|month| month.start), Some(at("2026-11-30T23:00:00Z")));
    assert_eq!(window_of(now(), 1), Some(month));
}

/// Limit, past and rank of the standard call's budget at a time.
fn limit_at(feed: &Feed, at: Timestamp) -> LimitAt {
    plan(&feed.view(), &CallFacts::of_model("gpt-5"), at, 0).unwrap().candidates[0].budgets[0].limit
}

#[test]
fn a_budget_carries_the_rank_of_its_limit() {
    let mut feed = Feed::standard();
    feed.send_one(Resource::Budget(budget(1, Scope::default())));
    let before = feed.ask("gpt-5").unwrap().candidates[0].budgets[0].clone();
    feed.send_one(Resource::Budget(Budget { limit: NanoUsd::new(5), ..budget(1, Scope::default()) }));
    let after = feed.ask("gpt-5").unwrap().candidates[0].budgets[0].clone();
    assert_eq!((before.budget.hard, before.budget.mode), (true, HoldMode::Strict));
    assert_eq!(after.limit.limit, NanoUsd::new(5));
    assert!(after.limit.rank > before.limit.rank);
}

#[test]
fn a_raise_falls_back_by_itself_at_its_end() {
    let mut feed = Feed::standard();
    let raise = |amount, until| Raise { amount: NanoUsd::new(amount), until, reason: "launch".into() };
    let (soon, later) = (now().plus_millis(10), now().plus_millis(20));
    feed.send_one(Resource::Budget(Budget { limit: NanoUsd::new(100), ..budget(1, Scope::default()) }));
    let plain = limit_at(&feed, now());
    let raises = vec![raise(5, later), raise(40, soon)];
    feed.send_one(Resource::Budget(Budget {
        limit: NanoUsd::new(100),
        raises,
        ..budget(1, Scope::default())
    }));
    let at = |ms| limit_at(&feed, now().plus_millis(ms));
    assert_eq!([0, 9, 10, 19, 20].map(|ms| at(ms).limit.get()), [145, 145, 105, 105, 100]);
    // Whoever knows of a later end outranks whoever does not.
    assert!(plain.rank < at(0).rank && at(0).rank < at(10).rank && at(10).rank < at(20).rank);
    feed.send_one(Resource::Budget(Budget { limit: NanoUsd::new(90), ..budget(1, Scope::default()) }));
    assert!(limit_at(&feed, now()).rank > plain.rank + 15, "a change outranks every end before it");
}

#[test]
fn past_spend_takes_room_in_its_own_window_only() {
    let mut feed = Feed::standard();
    let month = WindowSpec::Recurring { every: Every::Month };
    let start = "2026-10-31T23:00:00Z".parse().unwrap();
    let past = Some(Past { window_start: start, amount: NanoUsd::new(30) });
    feed.send_one(Resource::Budget(Budget {
        limit: NanoUsd::new(100),
        window: month,
        past,
        ..budget(1, Scope::default())
    }));
    let limit = limit_at(&feed, now());
    assert_eq!((limit.limit.get(), limit.past.get(), limit.countable().get()), (100, 30, 70));
    let next = limit_at(&feed, "2026-12-01T00:00:00Z".parse().unwrap());
    assert_eq!((next.past, next.countable().get()), (NanoUsd::ZERO, 100));
    let spent = Some(Past { window_start: start, amount: NanoUsd::new(130) });
    feed.send_one(Resource::Budget(Budget {
        limit: NanoUsd::new(100),
        window: month,
        past: spent,
        ..budget(1, Scope::default())
    }));
    assert_eq!(limit_at(&feed, now()).countable(), NanoUsd::ZERO);
}

#[test]
fn the_epoch_is_that_of_the_nodes_pool() {
    let mut feed = Feed::standard();
    assert_eq!(feed.ask("gpt-5").unwrap().epoch, 0);
    let epoch = |pool: &str, epoch| BudgetEpoch { organization_id: ORG, pool: pool.into(), epoch };
    feed.send(vec![Resource::BudgetEpoch(epoch("elsewhere", 9)), Resource::BudgetEpoch(epoch(POOL, 4))]);
    assert_eq!(feed.ask("gpt-5").unwrap().epoch, 4);
    let pool = PoolState { name: POOL.into(), live_nodes: 3 };
    feed.send_one(Resource::Pool(pool.clone()));
    assert_eq!(*feed.config.pool(), pool);
}
