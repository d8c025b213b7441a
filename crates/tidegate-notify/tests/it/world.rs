//! An organization with webhooks, a clock that is moved by hand, and a receiver that notes what it hears.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tidegate_notify::{Notifier, Settings};
use tidegate_secrets::envelope::{self, DataKey};
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::{keygen, places};
use tidegate_store::notices::{self, Notice, NoticeId, NoticeKind};
use tidegate_store::testing::TestDatabase;
use tidegate_store::webhooks::{self, Delivery, SealedKey, StoredWebhook, Webhook, WebhookId};
use tidegate_store::{Actor, AuditNote, Change, Store, SystemActor, organizations, wrapped};
use tidegate_types::id::IdKind;
use tidegate_types::resource::Organization;
use tidegate_types::window::WeekStart;
use tidegate_types::{Clock, Id, OrganizationId, Timestamp};
use tidegate_upstream::{PrivateTarget, Upstreams};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const START: i64 = 1_795_255_200;

/// A clock that stands still until it is moved.
pub(crate) struct Hand(AtomicI64);

impl Hand {
    pub(crate) fn forward(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::SeqCst))
    }
}

static NEXT: AtomicU64 = AtomicU64::new(1);

fn new_id<K: IdKind>() -> Id<K> {
    Id::from_parts(START.unsigned_abs() * 1000, u128::from(NEXT.fetch_add(1, Ordering::Relaxed)))
}

pub(crate) struct World {
    pub(crate) receiver: Receiver,
    pub(crate) clock: Arc<Hand>,
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
        };
        let actor = SystemActor::new("test").acting_for(organization.id);
        let (data_key, place) = (DataKey::generate(), places::data_key(organization.id, 1));
        let bytes = kek.wrap_key(&place, &data_key).unwrap();
        let world = Self {
            receiver: Receiver::start(answers).await,
            clock: Arc::new(Hand(AtomicI64::new(START))),
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

/// One request as the receiver heard it.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Heard {
    pub(crate) fn header(&self, name: &str) -> String {
        self.headers.iter().find(|(found, _)| found == name).unwrap().1.clone()
    }
}

pub(crate) struct Receiver {
    address: std::net::SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    /// Ends with the receiver.
    _tasks: JoinSet<()>,
}

impl Receiver {
    pub(crate) async fn start(answers: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (noted, answers) = (heard.clone(), answers.to_vec());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(serve(socket, answers.clone(), noted.clone()));
            }
        });
        Self { address, heard, _tasks: tasks }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

/// Answers the n-th request that anybody sent with the n-th answer.
async fn serve(mut socket: TcpStream, answers: Vec<&'static str>, heard: Arc<Mutex<Vec<Heard>>>) {
    loop {
        let mut bytes = Vec::new();
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if socket.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
        let mut lines = text.lines();
        let target = lines.next().unwrap().to_owned();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length").unwrap().1.parse::<usize>();
        let length = head + length.unwrap();
        while bytes.len() < length {
            socket.read_buf(&mut bytes).await.unwrap();
        }
        let body = String::from_utf8(bytes[head..length].to_vec()).unwrap();
        let place = {
            let mut heard = heard.lock().unwrap();
            heard.push(Heard { target, headers, body });
            heard.len() - 1
        };
        let answer = answers.get(place).or(answers.last()).unwrap();
        let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
