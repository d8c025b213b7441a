//! A Redis Cluster: it promises what one server does, each organization counts on the primary of its slot, and whoever
//! is named and does not answer is no hindrance.

use std::sync::Arc;

use tidegate_limits::{Board, Heard, LimitError, Limiter, Mode, RedisSettings, Unfit, survey_cluster};
use tidegate_testkit::cluster::{Cluster, Shape};
use tidegate_testkit::port;
use tidegate_testkit::redis::Server;
use tidegate_types::{OrganizationId, Secret};
use tokio_util::sync::CancellationToken;

use crate::support::{
    RealClock, TIMING, admit, begin, eventually, hard, hold, key, over_cluster, runs_over_cluster, spent,
};
use crate::{amounts, epochs, left, rates, rooms, semantics};

/// Scenarios and their names.
macro_rules! suite {
    ($($module:ident::$name:ident,)*) => {
        &[$((concat!(stringify!($module), ".rs ", stringify!($name)), $module::$name as fn())),*]
    };
}

/// Every scenario of the shared suite.
const SUITE: &[(&str, fn())] = suite![
    semantics::repeating_an_admission_does_nothing_twice,
    semantics::each_step_adds_to_its_attempts_hold_once,
    semantics::each_attempt_of_a_call_holds_its_own_money,
    semantics::a_settlement_counts_once_however_often_it_is_sent,
    semantics::an_unresolved_hold_stays_against_the_budget_until_it_is_settled_once_more,
    semantics::a_hold_past_deadline_and_grace_becomes_unresolved_and_a_late_settlement_corrects_it,
    semantics::a_step_with_a_later_deadline_keeps_its_hold_open,
    semantics::the_limit_of_the_highest_revision_binds_everybody,
    semantics::windows_of_a_budget_count_apart_and_a_lifetime_has_no_reset,
    semantics::a_hold_that_was_given_up_before_it_arrived_is_not_placed,
    semantics::the_cost_of_an_attempt_that_was_never_held_counts_once,
    semantics::organizations_do_not_share_counters,
    amounts::money_is_held_then_spent_and_the_rest_is_free_again,
    amounts::the_last_nano_dollar_can_be_spent_and_not_one_more,
    amounts::counting_is_exact_up_to_two_to_the_fifty_third,
    amounts::amounts_outside_the_range_are_refused_clearly,
    amounts::soft_budgets_only_count,
    rates::a_minutes_worth_of_requests_passes_at_once_and_then_they_come_at_the_rate,
    rates::a_refused_call_passes_after_the_time_it_was_told_to_wait,
    rates::tokens_are_reserved_refunded_and_owed,
    rates::a_call_bigger_than_the_bucket_passes_when_the_bucket_is_full,
    rates::slots_are_bounded_and_come_back,
    rates::a_refusal_by_one_limit_takes_nothing_from_the_others,
    rates::headers_tell_the_tightest_of_all_scopes,
    rates::a_limit_of_zero_refuses_everything,
    rooms::the_least_that_hard_budgets_have_left_is_known_after_each_hold,
    epochs::without_an_epoch_nothing_is_held_and_nothing_is_written,
    epochs::another_epoch_is_named_and_an_unknown_one_is_taken,
    epochs::opening_an_epoch_twice_changes_nothing_and_an_older_one_is_refused,
    epochs::a_new_epoch_begins_with_its_balances_and_its_open_holds,
    epochs::a_settlement_without_an_epoch_waits_for_one,
    epochs::closing_burns_only_the_epoch_that_is_named,
    epochs::an_epoch_of_a_thousand_budgets_opens_whole,
    left::what_an_earlier_process_left_is_found_and_nothing_else,
    left::what_was_left_is_ended_once_and_what_it_held_is_free,
    left::what_was_left_is_still_found_when_it_is_overdue,
    left::what_an_epoch_began_with_is_on_the_books_and_was_left_by_nobody,
];

pub(crate) fn settings(addresses: &[String]) -> RedisSettings {
    // Nobody listens where the URL points: it is not asked.
    let url = Secret::new("redis://127.0.0.1:1");
    RedisSettings { cluster: Some(addresses.to_vec()), timing: TIMING, ..RedisSettings::new(url, 9) }
}

/// A limiter at every primary.
pub(crate) async fn limiter(cluster: &Cluster, stop: &CancellationToken) -> Limiter {
    let limiter = begin(settings(&cluster.addresses()), stop).await;
    eventually("every primary is reached", async || limiter.mode() == Mode::Healthy).await;
    limiter
}

/// The slot of an organization's keys.
pub(crate) fn slot(cluster: &Cluster, organization: OrganizationId) -> usize {
    cluster.slot(&format!("tg:{{{}}}:e", organization.ulid())).unwrap()
}

/// Organizations whose slots such a primary has.
pub(crate) fn organizations(cluster: &Cluster, primary: usize, many: usize) -> Vec<OrganizationId> {
    let all = (1..).map(|n: u128| OrganizationId::from_u128(n << 90 | n));
    all.filter(|id| cluster.owner(slot(cluster, *id)) == primary).take(many).collect()
}

#[test]
fn what_one_server_promises_a_cluster_promises_too() {
    let texts = [
        ("semantics.rs", include_str!("semantics.rs")),
        ("amounts.rs", include_str!("amounts.rs")),
        ("rates.rs", include_str!("rates.rs")),
        ("rooms.rs", include_str!("rooms.rs")),
        ("epochs.rs", include_str!("epochs.rs")),
        ("left.rs", include_str!("left.rs")),
    ];
    let mut all: Vec<String> = Vec::new();
    for (file, text) in texts {
        for test in text.split("#[tokio::test]").skip(1) {
            let name = test.split("async fn ").nth(1).and_then(|rest| rest.split('(').next()).unwrap();
            all.push(format!("{file} {name}"));
        }
    }
    let mut here: Vec<&str> = SUITE.iter().map(|(name, _)| *name).collect();
    all.sort();
    here.sort_unstable();
    assert_eq!(here, all, "none is left out");
    over_cluster(Some(Arc::new(Cluster::start(&Shape::default()).unwrap())));
    for (name, scenario) in SUITE {
        let before = runs_over_cluster();
        scenario();
        assert!(runs_over_cluster() >= before + 2, "{name} ran over something else");
    }
    over_cluster(None);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_primary_counts_for_the_organizations_of_its_slots() {
    let cluster = Cluster::start(&Shape::default()).unwrap();
    let stop = CancellationToken::new();
    let limiter = limiter(&cluster, &stop).await;
    assert_eq!((limiter.stats().primaries, limiter.stats().primaries_away), (3, 0));
    for (index, primary) in cluster.primaries.iter().enumerate() {
        let told = primary.command(&["INFO", "server"]).unwrap();
        for organization in organizations(&cluster, index, 4) {
            assert!(told.contains(&limiter.store_run_id(organization).unwrap()));
            limiter.open_epoch(organization, 1, &[], &[]).await.unwrap();
            let hold = hold(&limiter, &[hard(1, 100, 60)]);
            let scopes = [key(Some(9), Some(900), Some(2))];
            let mut asked = admit(hold.call_id, &scopes, 10, Some(hold.clone()));
            asked.organization_id = organization;
            let admitted = limiter.admit(&asked).await.unwrap();
            limiter.settle(hold.settlement(organization, 1, spent(7)));
            limiter.release(tidegate_limits::Release { permit: admitted.permit, tokens_used: Some(3) });
            limiter.idle().await;
            let pattern = format!("tg:{{{}}}:*", organization.ulid());
            let holders =
                cluster.primaries.iter().map(|at| !at.command(&["KEYS", &pattern]).unwrap().is_empty());
            let holders: Vec<bool> = holders.collect();
            assert_eq!(
                holders,
                (0..3).map(|at| at == index).collect::<Vec<_>>(),
                "on one primary, and on that one"
            );
        }
    }
    // What is no organization's has a primary as well.
    assert_eq!(limiter.tell(Board::News, &[b"note"], &mut Heard::default()).await.unwrap(), [b"note"]);
    let minute = std::time::Duration::from_secs(60);
    assert_eq!((limiter.claim("a", minute).await, limiter.claim("a", minute).await), (Ok(true), Ok(false)));
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_named_node_that_answers_is_enough_and_until_then_it_is_waited_for() {
    let cluster = Cluster::start(&Shape::default()).unwrap();
    let dead = || format!("127.0.0.1:{}", port::free().unwrap());
    let stop = CancellationToken::new();
    let named = [dead(), cluster.addresses()[1].clone(), dead()];
    let reached = begin(settings(&named), &stop).await;
    eventually("every primary is reached", async || reached.mode() == Mode::Healthy).await;

    // A name of which nobody answers yet: capped calls are refused, and what is to be told is kept.
    let mut later = Server::start().unwrap();
    let at = format!("127.0.0.1:{}", later.port());
    later.stop();
    let waiting = begin(settings(&[at]), &stop).await;
    let (organization, hold) = (OrganizationId::from_u128(5), hold(&waiting, &[hard(1, 9, 1)]));
    assert_eq!((waiting.mode(), waiting.store_run_id(organization)), (Mode::Away, None));
    assert_eq!(waiting.hold(organization, &hold).await, Err(LimitError::Away));
    waiting.settle(hold.settlement(organization, 1, spent(1)));
    assert_eq!(waiting.stats().queued, 1);
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_cluster_and_what_is_one_are_told_apart_at_the_start() {
    let shape = Shape { primaries: 1, ..Shape::default() };
    let (cluster, single) = (Cluster::start(&shape).unwrap(), Server::start().unwrap());
    let started =
        async |settings| Limiter::redis(settings, Arc::new(RealClock), CancellationToken::new()).await.err();
    // A busy machine may not answer within the second that a start waits.
    let plain = || RedisSettings::new(Secret::new(cluster.primaries[0].url()), 1);
    let mode = LimitError::Unfit(Unfit::Mode("cluster".to_owned()));
    eventually("a node of a cluster is no server", async || started(plain()).await.as_ref() == Some(&mode))
        .await;
    assert!(mode.to_string().contains("redis.cluster.addresses"), "{mode}");
    let at = || settings(&[format!("127.0.0.1:{}", single.port())]);
    let none = LimitError::Unfit(Unfit::NoCluster);
    eventually("a server is no cluster", async || started(at()).await.as_ref() == Some(&none)).await;
    assert!(none.to_string().contains("redis.cluster"), "{none}");
    cluster.primaries[0].command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).unwrap();
    let evicts = Some(LimitError::Unfit(Unfit::Eviction("allkeys-lru".to_owned())));
    let named = || settings(&cluster.addresses());
    eventually("one that may evict is refused", async || started(named()).await == evicts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_may_evict_is_its_organizations_outage_and_nobody_elses() {
    let cluster = Cluster::start(&Shape::default()).unwrap();
    let policy = |to| cluster.primaries[1].command(&["CONFIG", "SET", "maxmemory-policy", to]).unwrap();
    policy("allkeys-lru");
    let stop = CancellationToken::new();
    let limiter = begin(settings(&cluster.addresses()), &stop).await;
    eventually("two are reached", async || limiter.stats().primaries_away == 1).await;
    assert_eq!(limiter.mode(), Mode::Partly);
    let place = async |primary| {
        let organization = organizations(&cluster, primary, 1)[0];
        limiter.open_epoch(organization, 1, &[], &[]).await?;
        limiter.hold(organization, &hold(&limiter, &[hard(1, 9, 1)])).await.map(|_| ())
    };
    let placed = [place(0).await, place(1).await, place(2).await];
    assert_eq!(placed, [Ok(()), Err(LimitError::Away), Ok(())]);
    policy("noeviction");
    eventually("it is taken when it is as it should be", async || place(1).await == Ok(())).await;
    assert_eq!((limiter.mode(), limiter.stats().slots_unserved), (Mode::Healthy, 0));
    stop.cancel();
}

#[test]
fn what_says_of_a_cluster_what_cannot_be_is_refused_before_anybody_is_asked() {
    settings(&["redis-0.example:6379".to_owned(), "[::1]:7000".to_owned()]).check().unwrap();
    let unfit = LimitError::Unfit(Unfit::Cluster);
    assert!(unfit.to_string().contains("redis.cluster"), "{unfit}");
    for addresses in [vec![], vec!["a".to_owned()], vec!["a:b".to_owned()], vec!["x@a:1".to_owned()]] {
        assert_eq!(settings(&addresses).check().unwrap_err(), unfit, "{addresses:?}");
    }
    for url in ["redis://a:1/3", "unix:///run/redis.sock"] {
        let other = RedisSettings { url: Secret::new(url), ..settings(&["a:1".to_owned()]) };
        assert_eq!(other.check().unwrap_err(), unfit, "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_names_and_a_user_of_few_rights_hold_for_every_node() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_string_lossy().into_owned()
    };
    let (certificate, key_file) = (file("c", &made.cert.pem()), file("k", &made.signing_key.serialize_pem()));
    let tls_port = port::free().unwrap().to_string();
    let flags = ["--tls-port", &tls_port, "--tls-cert-file", &certificate, "--tls-key-file", &key_file];
    let more = ["--tls-ca-cert-file", &certificate, "--tls-auth-clients", "no", "--tls-cluster", "yes"];
    let names = ["--cluster-announce-hostname", "localhost", "--cluster-preferred-endpoint-type", "hostname"];
    let arguments = [&flags[..], &more, &names].concat().into_iter().map(str::to_owned).collect();
    let cluster = Cluster::start(&Shape { primaries: 1, arguments, ..Shape::default() }).unwrap();
    let node = &cluster.primaries[0];
    let allowed = "+evalsha +script|load +info +time +zrangebyscore +hkeys +xadd +xrange +get +set +mget +del +hget +hmget \
                   +hset +hgetall +hexists +hincrby +persist +pexpire +pexpireat +zadd +zrem +zcount +zscore +zremrangebyscore \
                   +cluster|slots +cluster|info";
    let words = ["ACL", "SETUSER", "gate", "on", ">pass", "~tg:*"];
    node.command(&words.into_iter().chain(allowed.split_whitespace()).collect::<Vec<_>>()).unwrap();
    let with = |user: &str| RedisSettings {
        url: Secret::new(format!("rediss://{user}@127.0.0.1:1")),
        ca: Some(made.cert.pem().into_bytes()),
        ..settings(&[format!("localhost:{tls_port}")])
    };
    let stop = CancellationToken::new();
    let reached = begin(with("gate:pass"), &stop).await;
    eventually("it is reached by its name", async || reached.mode() == Mode::Healthy).await;
    let organization = OrganizationId::from_u128(3);
    reached.open_epoch(organization, 1, &[], &[]).await.unwrap();
    reached.hold(organization, &hold(&reached, &[hard(1, 9, 1)])).await.unwrap();
    let denied = node.command(&["ACL", "LOG"]).unwrap();
    assert!(!denied.contains("gate"), "{denied}");
    eventually("a wrong password is told as such", async || {
        let seen = survey_cluster(&with("gate:wrong"), &RealClock).await.unwrap();
        seen.seeds[0].1.as_ref().is_err_and(|why| why.contains("password"))
    })
    .await;
    assert_eq!(begin(with("gate:wrong"), &stop).await.mode(), Mode::Away);
    // Without the right to ask who has which slot there is no cluster.
    node.command(&["ACL", "SETUSER", "gate", "-cluster|slots"]).unwrap();
    let refused = async || {
        Limiter::redis(with("gate:pass"), Arc::new(RealClock), stop.clone()).await.err()
            == Some(LimitError::Unfit(Unfit::Command("CLUSTER SLOTS or CLUSTER INFO")))
    };
    eventually("it says what it lacks", refused).await;
    stop.cancel();
}
