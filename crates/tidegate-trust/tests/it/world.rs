//! An organization with trust rules, an issuer, and a clock that is moved by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_store::testing::{HandClock, TestDatabase, new_id};
use tidegate_store::trust_rules::{self, Fetching};
use tidegate_store::{Actor, AuditNote, Change, Store, SystemActor, audit, keys, organizations, teams};
use tidegate_testkit::issuer::Issuer;
use tidegate_trust::TrustKeeper;
use tidegate_types::resource::{
    AllowList, IssuerKey, KeyLimits, KeyStatus, Organization, Team, TrustRule, VirtualKey,
};
use tidegate_types::window::WeekStart;
use tidegate_types::{Clock, KeyId, OrganizationId, TrustRuleId};
use tidegate_upstream::{PrivateTarget, Settings, Upstreams};

pub(crate) struct World {
    pub(crate) issuer: Issuer,
    clock: Arc<HandClock>,
    store: Store,
    keeper: TrustKeeper,
    actor: Actor,
    organization: OrganizationId,
    key: KeyId,
    _database: TestDatabase,
}

fn upstreams(private: Vec<PrivateTarget>) -> Upstreams {
    Upstreams::new(&Settings { private, ..Settings::default() }).unwrap()
}

impl World {
    pub(crate) async fn start() -> Self {
        let database = TestDatabase::create().await.unwrap();
        let store = database.store().await.unwrap();
        let issuer = Issuer::start().await.unwrap();
        let clock = HandClock::new();
        let organization: OrganizationId = new_id();
        let listed = PrivateTarget {
            cidr: "127.0.0.1/32".parse().unwrap(),
            ports: vec![issuer.port()],
            http: true,
            organizations: vec![organization],
        };
        let keeper = TrustKeeper::new(store.clone(), upstreams(vec![listed]), clock.clone());
        let actor = SystemActor::new("test").acting_for(organization);
        let world =
            Self { issuer, clock, store, keeper, actor, organization, key: new_id(), _database: database };
        world.provision().await;
        world
    }

    async fn provision(&self) {
        let organization = Organization {
            id: self.organization,
            slug: "acme".into(),
            name: "Acme".into(),
            time_zone: "UTC".into(),
            week_start: WeekStart::Monday,
            paused: false,
            max_staleness_seconds: None,
            label_key: [7; 32],
            limits: KeyLimits::default(),
            model_limits: Vec::new(),
            bound_issuers: Vec::new(),
            cache_purges: 0,
        };
        let team_id = new_id();
        let team = Team {
            organization_id: self.organization,
            id: team_id,
            name: "shop".into(),
            paused: false,
            limits: KeyLimits::default(),
        };
        let key = VirtualKey {
            organization_id: self.organization,
            id: self.key,
            team_id,
            name: "shop".into(),
            status: KeyStatus::Active,
            secrets: Vec::new(),
            expires_at: None,
            allow: AllowList::default(),
            limits: KeyLimits::default(),
            tags: BTreeMap::new(),
        };
        let mut change = self.change().await;
        organizations::insert(&mut change, &organization).await.unwrap();
        teams::insert(&mut change, &team).await.unwrap();
        keys::insert(&mut change, &key).await.unwrap();
        commit(change).await;
    }

    async fn change(&self) -> Change {
        self.store.change(&self.actor, self.clock.now()).await.unwrap()
    }

    pub(crate) fn forward(&self, seconds: i64) {
        self.clock.forward(seconds);
    }

    pub(crate) async fn rule(&self, name: &str, issuer: &str) -> TrustRuleId {
        let rule = TrustRule {
            organization_id: self.organization,
            id: new_id(),
            name: name.into(),
            key_id: self.key,
            issuer: issuer.into(),
            audience: name.into(),
            claims: BTreeMap::new(),
            principal_claim: None,
            longest_life_seconds: 3_600,
            discovered: true,
            keys: Vec::new(),
        };
        let mut change = self.change().await;
        trust_rules::insert(&mut change, &rule).await.unwrap();
        commit(change).await;
        rule.id
    }

    /// How many rules were due and asked for.
    pub(crate) async fn look(&self) -> usize {
        self.keeper.look().await.unwrap()
    }

    /// The same where the operator lists no private target.
    pub(crate) async fn strict_look(&self) -> usize {
        let keeper = TrustKeeper::new(self.store.clone(), upstreams(Vec::new()), self.clock.clone());
        keeper.look().await.unwrap()
    }

    pub(crate) async fn wanted(&self, rule: TrustRuleId, pool: &str) {
        let rules = [(self.organization, rule)];
        trust_rules::wanted(&self.store, pool, &rules, self.clock.now(), 30_000).await.unwrap();
    }

    pub(crate) async fn keys(&self, rule: TrustRuleId) -> Vec<IssuerKey> {
        let mut tx = self.store.begin(&self.actor).await.unwrap();
        trust_rules::get(&mut tx, rule).await.unwrap().value.keys
    }

    pub(crate) async fn state(&self, rule: TrustRuleId) -> Fetching {
        let mut tx = self.store.begin(&self.actor).await.unwrap();
        trust_rules::fetchings(&mut tx, &[rule]).await.unwrap().remove(0)
    }

    pub(crate) async fn audited(&self, action: &str) -> usize {
        let mut tx = self.store.begin(&self.actor).await.unwrap();
        let entries = audit::list(&mut tx, None, 100).await.unwrap();
        entries.data.iter().filter(|entry| entry.action == action).count()
    }
}

async fn commit(change: Change) {
    let note = AuditNote { action: "test", object: "test".into(), before: None, after: None };
    change.commit(note).await.unwrap();
}
