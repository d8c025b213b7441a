//! A database with two organizations in it, and ids that count up.

use serde_json::json;
pub(crate) use tidegate_store::testing::new_id;
use tidegate_store::testing::{START, TestDatabase};
use tidegate_store::{Actor, AuditNote, Change, Committed, Store, SystemActor, organizations, teams};
use tidegate_types::resource::{KeyLimits, Organization, Team};
use tidegate_types::window::WeekStart;
use tidegate_types::{OrganizationId, Timestamp};

/// 2026-11-21T10:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(START);

pub(crate) struct Fixture {
    pub(crate) database: TestDatabase,
    pub(crate) store: Store,
    /// An organization with a team.
    pub(crate) acme: Tenant,
    /// Another one.
    pub(crate) umbrella: Tenant,
}

pub(crate) struct Tenant {
    pub(crate) organization: Organization,
    pub(crate) team: Team,
    pub(crate) actor: Actor,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::create().await.unwrap();
        let store = database.store().await.unwrap();
        let acme = tenant(&store, "acme").await;
        let umbrella = tenant(&store, "umbrella").await;
        Self { database, store, acme, umbrella }
    }
}

pub(crate) fn note(action: &'static str) -> AuditNote {
    AuditNote { action, object: "test".to_owned(), before: None, after: Some(json!({ "b": 1, "a": 2 })) }
}

pub(crate) async fn commit(change: Change) -> Committed {
    change.commit(note("test.change")).await.unwrap()
}

pub(crate) fn team(organization_id: OrganizationId, name: &str) -> Team {
    Team { organization_id, id: new_id(), name: name.to_owned(), paused: false, limits: KeyLimits::default() }
}

pub(crate) async fn tenant(store: &Store, slug: &str) -> Tenant {
    let organization = Organization {
        id: new_id(),
        slug: slug.to_owned(),
        name: slug.to_uppercase(),
        time_zone: "UTC".to_owned(),
        week_start: WeekStart::Monday,
        paused: false,
        max_staleness_seconds: None,
        label_key: [7; 32],
        limits: tidegate_types::resource::KeyLimits::default(),
        model_limits: Vec::new(),
        bound_issuers: Vec::new(),
        cache_purges: 0,
    };
    let actor = SystemActor::new("test").acting_for(organization.id);
    let team = team(organization.id, "core");
    let mut change = store.change(&actor, NOW).await.unwrap();
    organizations::insert(&mut change, &organization).await.unwrap();
    teams::insert(&mut change, &team).await.unwrap();
    commit(change).await;
    Tenant { organization, team, actor }
}
