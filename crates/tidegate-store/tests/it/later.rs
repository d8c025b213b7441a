//! What a later release wrote is not lost by a control plane of this one.

use sqlx::{AssertSqlSafe, PgPool};
use tidegate_store::credits::{self, Allowance, Setup};
use tidegate_store::intake::ingest;
use tidegate_store::{Round, StoreError, budgets, keys, policies};
use tidegate_types::resource::{Budget, KeyStatus, Policy, Scope, VirtualKey};
use tidegate_types::usage::{EventKind, Outcome};
use tidegate_types::window::Every;
use tidegate_types::{NanoUsd, OrganizationId, Timestamp};

use crate::fixture::{Fixture, NOW, Tenant, commit, new_id};
use crate::samples::{self, billed, event, node, shipped};

struct Later {
    fixture: Fixture,
    superuser: PgPool,
    policy: Policy,
    key: VirtualKey,
}

impl Later {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let superuser = PgPool::connect(&fixture.database.superuser_url).await.unwrap();
        let (organization, team) = (fixture.acme.organization.id, fixture.acme.team.id);
        let (policy, key) = (samples::policy(organization, team), samples::key(organization, team, "one"));
        let mut change = fixture.store.change(&fixture.acme.actor, NOW).await.unwrap();
        policies::insert(&mut change, &policy).await.unwrap();
        keys::insert(&mut change, &key).await.unwrap();
        commit(change).await;
        Self { fixture, superuser, policy, key }
    }

    /// Changes documents as a later release might.
    async fn write(&self, set: &str) {
        let sql = format!("UPDATE config_resources SET {set} WHERE kind IN ('policy', 'key')");
        sqlx::query(AssertSqlSafe(sql)).execute(&self.superuser).await.unwrap();
    }

    async fn rename(&self) -> Result<(), StoreError> {
        let renamed = Policy { name: "renamed".to_owned(), ..self.policy.clone() };
        let mut change = self.fixture.store.change(&self.fixture.acme.actor, NOW).await.unwrap();
        policies::update(&mut change, &renamed, None, false).await?;
        commit(change).await;
        Ok(())
    }

    async fn stored(&self, kind: &str) -> serde_json::Value {
        let sql = "SELECT content FROM config_resources WHERE kind = $1 AND organization_id = $2";
        let query = sqlx::query_as(sql).bind(kind).bind(self.fixture.acme.organization.id.to_uuid());
        let (content,): (serde_json::Value,) = query.fetch_one(&self.superuser).await.unwrap();
        content
    }
}

#[tokio::test]
async fn a_setting_of_a_later_release_is_named_and_never_written_over() {
    let later = Later::new().await;
    for (set, named) in [
        (r#"content = jsonb_set(content, '{privacy,processors}', '["eu"]')"#, "privacy.processors"),
        ("content = content || '{\"may_train\": false}'", "may_train"),
        (r#"content = jsonb_set(content, '{scope,region}', '"eu"')"#, "scope.region"),
        ("requires = '{tomorrow}'", "tomorrow"),
    ] {
        let before = later.stored("policy").await;
        later.write(set).await;
        let refused = later.rename().await;
        assert!(matches!(&refused, Err(StoreError::Later(what)) if what == named), "{set}: {refused:?}");
        assert_eq!(later.stored("policy").await["name"], before["name"], "{set}");
        let back = "content = (content #- '{privacy,processors}' #- '{scope,region}') - 'may_train'::text, requires = NULL";
        later.write(back).await;
    }
    // Positive control; and what says nothing cannot be lost.
    later.write(r#"content = content || '{"tomorrow": null, "others": [], "more": {"deep": ""}}'"#).await;
    later.rename().await.unwrap();
    assert_eq!(later.stored("policy").await["name"], "renamed");
}

#[tokio::test]
async fn what_takes_everything_away_needs_to_know_nothing_of_it() {
    let later = Later::new().await;
    later.write("content = content || '{\"tomorrow\": true}', requires = '{tomorrow}'").await;
    let mut change = later.fixture.store.change(&later.fixture.acme.actor, NOW).await.unwrap();
    let paused = VirtualKey { status: KeyStatus::Paused, ..later.key.clone() };
    let refused = keys::update(&mut change, &paused, None, true).await;
    assert!(
        matches!(&refused, Err(StoreError::Later(_))),
        "it would come back as something else: {refused:?}"
    );
    drop(change);
    let mut change = later.fixture.store.change(&later.fixture.acme.actor, NOW).await.unwrap();
    let revoked = VirtualKey { status: KeyStatus::Revoked, ..later.key.clone() };
    keys::update(&mut change, &revoked, None, true).await.unwrap();
    policies::delete(&mut change, later.policy.id, None).await.unwrap();
    commit(change).await;
    assert_eq!(later.stored("key").await["status"], "revoked");
}

/// Budgets of a kind that only a later release can read, or what they were.
async fn budgets_are(superuser: &PgPool, tenant: &Tenant, enforcement: &str) {
    let sql = "UPDATE config_resources SET content = jsonb_set(content, '{enforcement}', to_jsonb($1::text))
               WHERE kind = 'budget' AND organization_id = $2";
    let query = sqlx::query(sql).bind(enforcement).bind(tenant.organization.id.to_uuid());
    query.execute(superuser).await.unwrap();
}

#[tokio::test]
async fn a_value_that_only_a_later_release_can_read_is_told_as_such() {
    let f = Fixture::new().await;
    let superuser = PgPool::connect(&f.database.superuser_url).await.unwrap();
    let made = samples::budget(f.acme.organization.id, f.acme.team.id);
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    budgets::insert(&mut change, &made).await.unwrap();
    commit(change).await;
    budgets_are(&superuser, &f.acme, "gentle").await;
    let later = |error: Option<StoreError>| matches!(error, Some(StoreError::Later(what)) if what == "a value of this budget");
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    assert!(later(budgets::get(&mut change, made.id).await.err()));
    assert!(later(budgets::list(&mut change, None, 10).await.err()));
    assert!(later(budgets::update(&mut change, &made, None, false).await.err()));
}

/// Who was passed over in a round, all of them for what a later release wrote.
fn passed_over(round: &Round) -> Vec<OrganizationId> {
    assert!(round.passed_over.values().all(|error| matches!(error, StoreError::Later(_))), "{round:?}");
    round.passed_over.keys().copied().collect()
}

/// A budget that counts what was spent before it was made.
async fn counts_past(f: &Fixture, tenant: &Tenant) -> Budget {
    let scope = Scope { team: Some(tenant.team.id), ..Scope::default() };
    let budget = Budget { scope, ..samples::budget(tenant.organization.id, tenant.team.id) };
    let mut change = f.store.change(&tenant.actor, NOW).await.unwrap();
    let past = budgets::count_past(&mut change, &budget).await.unwrap();
    let budget = Budget { past, ..budget };
    budgets::insert(&mut change, &budget).await.unwrap();
    commit(change).await;
    budget
}

#[tokio::test]
async fn an_organization_with_more_unreadable_budgets_than_a_round_counts_holds_up_no_other_ones_counts() {
    let f = Fixture::new().await;
    let superuser = PgPool::connect(&f.database.superuser_url).await.unwrap();
    let node = node(&f.store).await;
    for tenant in [&f.acme, &f.umbrella] {
        counts_past(&f, tenant).await;
    }
    assert!(f.acme.organization.id < f.umbrella.organization.id);
    budgets_are(&superuser, &f.acme, "gentle").await;
    for (table, id, name) in [
        ("budgets", "budget_id", "name"),
        ("config_resources", "uid", "id"),
        ("budget_pasts", "budget_id", ""),
    ] {
        let sql = format!(
            "INSERT INTO {table} SELECT (jsonb_populate_record(one, jsonb_build_object(
                 '{id}', md5(number::text)::uuid, '{name}', md5(number::text)::uuid))).*
             FROM {table} one, generate_series(1, 1000) number
             WHERE organization_id = $1 AND coalesce(to_jsonb(one) ->> 'kind', 'budget') = 'budget'"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(f.acme.organization.id.to_uuid());
        assert_eq!(query.execute(&superuser).await.unwrap().rows_affected(), 1_000);
    }
    let late = event(&f.umbrella, new_id(), EventKind::Final, Outcome::Completed, 11);
    ingest(&f.store, node, &shipped(node, 1, [late].map(billed)), NOW).await.unwrap();
    let counted = budgets::recount_pasts(&f.store, NOW.plus_millis(60_000)).await.unwrap();
    assert_eq!((counted.done, passed_over(&counted)), (1, vec![f.acme.organization.id]));
}

#[tokio::test]
async fn what_one_organization_has_of_a_later_release_stops_no_other_ones_counts() {
    let f = Fixture::new().await;
    let superuser = PgPool::connect(&f.database.superuser_url).await.unwrap();
    let node = node(&f.store).await;
    let tenants = [&f.acme, &f.umbrella];
    let made = [counts_past(&f, &f.acme).await, counts_past(&f, &f.umbrella).await];
    // Whichever of the two comes first.
    for (round, broken) in [(1, 0), (2, 1)] {
        budgets_are(&superuser, tenants[broken], "gentle").await;
        let late = tenants.map(|tenant| event(tenant, new_id(), EventKind::Final, Outcome::Completed, 11));
        ingest(&f.store, node, &shipped(node, round, late.map(billed)), NOW).await.unwrap();
        let at = NOW.plus_millis(i64::try_from(round).unwrap() * 60_000);
        let counted = budgets::recount_pasts(&f.store, at).await.unwrap();
        assert_eq!(
            (counted.done, passed_over(&counted)),
            (1, vec![tenants[broken].organization.id]),
            "round {round}"
        );
        let (other, id) = (tenants[1 - broken], made[1 - broken].id);
        let mut tx = f.store.begin(&other.actor).await.unwrap();
        let past = budgets::get(&mut tx, id).await.unwrap().value.past;
        assert_eq!(past.map(|past| past.amount.get()), Some(11 * i64::try_from(round).unwrap()));
        budgets_are(&superuser, tenants[broken], "hard").await;
    }
}

#[tokio::test]
async fn what_one_organization_has_of_a_later_release_stops_no_other_ones_allowance() {
    let f = Fixture::new().await;
    let superuser = PgPool::connect(&f.database.superuser_url).await.unwrap();
    let tenants = [&f.acme, &f.umbrella];
    let allowance = Allowance { amount: NanoUsd::new(1_000), every: Every::Month, ends_with_top_up: true };
    for tenant in tenants {
        let mut change = f.store.change(&tenant.actor, NOW).await.unwrap();
        let setup = Setup { markup_bps: 0, allowance: Some(allowance) };
        credits::set_up(&mut change, &setup, None).await.unwrap();
        commit(change).await;
    }
    // The first of December, the first of January.
    for (at, broken) in [(1_796_083_200, 0), (1_798_761_600, 1)] {
        let at = Timestamp::from_seconds(at);
        budgets_are(&superuser, tenants[broken], "gentle").await;
        let rolled = credits::roll(&f.store, at).await.unwrap();
        assert_eq!((rolled.done, passed_over(&rolled)), (1, vec![tenants[broken].organization.id]));
        let mut tx = f.store.begin(&tenants[1 - broken].actor).await.unwrap();
        let left = credits::get(&mut tx, at).await.unwrap().unwrap();
        assert_eq!(left.allowance_left.get(), 1_000, "the other one's has begun");
        budgets_are(&superuser, tenants[broken], "hard").await;
    }
}
