//! An organization with webhooks, a clock that is moved by hand, and a receiver that notes what it hears.

use std::sync::Arc;

use serde_json::json;
use tidegate_notify::{Notifier, Settings};
use tidegate_secrets::envelope::{self, DataKey};
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::{keygen, places};
use tidegate_store::notices::{self, Notice, NoticeId, NoticeKind};
use tidegate_store::testing::{HandClock, TestDatabase, new_id};
use tidegate_store::webhooks::{self, Delivery, SealedKey, StoredWebhook, Webhook, WebhookId};
use tidegate_store::{Actor, AuditNote, Change, Store, SystemActor, organizations, wrapped};
use tidegate_testkit::receiver::Receiver;
use tidegate_types::resource::Organization;
use tidegate_types::window::WeekStart;
use tidegate_types::{Clock, OrganizationId};
use tidegate_upstream::{PrivateTarget, Upstreams};

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(crate) struct World {
    pub(crate) receiver: Receiver,
    pub(crate) clock: Arc<HandClock>,
    store: Store,
    kek: KeyEncryptionKey,
    data_key: DataKey,
    actor: Actor,
    organization: OrganizationId,
    _database: TestDatabase,
}

impl World {
    /// A receiver that gives these answers one after the other, the last one for ever.
    pub(crate) async fn start(answers: &[&'static str]) -> Self {
        let database = TestDatabase::create().await.unwrap();
        let store = database.store().await.unwrap();
        let kek = KeyEncryptionKey::from_secret(&keygen::key_encryption_key()).unwrap();
        let organization = Organization {
            id: new_id(),
            slug: "acme".into(),
            name: "Acme".into(),
            time_zone: "UTC".into(),
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
        let (data_key, place) = (DataKey::generate(), places::data_key(organization.id, 1));
        let bytes = kek.wrap_key(&place, &data_key).unwrap();
        let world = Self {
            receiver: Receiver::start(answers).await.unwrap(),
            clock: HandClock::new(),
            store,
            kek,
            data_key,
            actor,
            organization: organization.id,
            _database: database,
        };
        let mut change = world.change().await;
        organizations::insert(&mut change, &organization).await.unwrap();
        wrapped::insert_data_key(&mut change, &wrapped::Wrapped { version: 1, bytes }).await.unwrap();
        commit(change).await;
        world
    }

    async fn change(&self) -> Change {
        self.store.change(&self.actor, self.clock.now()).await.unwrap()
    }

    fn sealed(&self, id: WebhookId, secret: &str, secret_version: u32) -> SealedKey {
        let place = places::webhook(self.organization, id.to_u128(), secret_version);
        let bytes = envelope::seal(&self.data_key, &place, secret.as_bytes()).unwrap();
        SealedKey { secret_version, data_key_version: 1, bytes }
    }

    pub(crate) async fn webhook(&self, name: &str, url: &str) -> WebhookId {
        let id = new_id();
        let webhook = Webhook { id, name: name.into(), url: url.into(), kinds: vec![], enabled: true };
        let mut change = self.change().await;
        webhooks::insert(&mut change, &webhook, &self.sealed(id, SECRET, 1)).await.unwrap();
        commit(change).await;
        id
    }

    pub(crate) async fn rotate(&self, id: WebhookId, secret: &str, grace_seconds: i64) {
        let until = self.clock.now().plus_millis(grace_seconds * 1000);
        let mut change = self.change().await;
        webhooks::rotate(&mut change, id, 1, &self.sealed(id, secret, 2), until).await.unwrap();
        commit(change).await;
    }

    pub(crate) async fn raise(&self, subject: &str) -> NoticeId {
        let notice = Notice {
            organization_id: self.organization,
            kind: NoticeKind::BudgetThreshold,
            subject: subject.into(),
            data: json!({"subject": subject}),
        };
        let mut change = self.change().await;
        let id = notices::raise_one(&mut change, notice).await.unwrap().unwrap();
        commit(change).await;
        id
    }

    pub(crate) async fn stored(&self, id: WebhookId) -> StoredWebhook {
        let mut tx = self.store.begin(&self.actor).await.unwrap();
        webhooks::get(&mut tx, id).await.unwrap()
    }

    /// Deliveries to all webhooks.
    pub(crate) async fn deliveries(&self) -> Vec<Delivery> {
        let mut tx = self.store.begin(&self.actor).await.unwrap();
        let mut all = Vec::new();
        for hook in webhooks::list(&mut tx, None, 100).await.unwrap().data {
            all.extend(webhooks::deliveries(&mut tx, hook.webhook.id, None, 100).await.unwrap().data);
        }
        all
    }

    /// One that may call the receiver.
    pub(crate) fn notifier(&self) -> Notifier {
        self.notifier_with(vec![PrivateTarget {
            cidr: "127.0.0.1/32".parse().unwrap(),
            ports: vec![self.receiver.port()],
            http: true,
            organizations: vec![self.organization],
        }])
    }

    /// One that may call public https only.
    pub(crate) fn closed_notifier(&self) -> Notifier {
        self.notifier_with(Vec::new())
    }

    fn notifier_with(&self, private: Vec<PrivateTarget>) -> Notifier {
        let upstreams =
            Upstreams::new(&tidegate_upstream::Settings { private, ..Default::default() }).unwrap();
        Notifier::new(self.store.clone(), self.kek.clone(), upstreams, self.clock.clone())
            .with(Settings { at_once: 25, ..Settings::default() })
    }
}

async fn commit(change: Change) {
    let note = AuditNote { action: "test.change", object: "test".into(), before: None, after: None };
    change.commit(note).await.unwrap();
}
