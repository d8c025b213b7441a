//! What a later release wrote is not lost by a control plane of this one.

use sqlx::{AssertSqlSafe, PgPool};
use tidegate_store::{StoreError, keys, policies};
use tidegate_types::resource::{KeyStatus, Policy, VirtualKey};

use crate::fixture::{Fixture, NOW, commit};
use crate::samples;

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
