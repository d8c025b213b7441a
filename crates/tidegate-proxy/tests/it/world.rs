//! A gateway in memory: configuration filled by hand, a journal that is a list, counters in memory.

mod parts;
mod resources;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_limits::{Balance, Limiter, Timing};
use tidegate_policy::{Config, Incoming, Part};
use tidegate_proxy::{Gateway, Parts, Settings, SignIn, serve_connection};
use tidegate_secrets::virtual_key::{PepperBytes, Peppers, issue};
use tidegate_telemetry::{Metrics, SystemClock, entropy};
use tidegate_types::resource::*;
use tidegate_types::usage::{BillingEvent, CallRecord, EventKind};
use tidegate_types::{
    BudgetId, CredentialId, KeyId, NanoUsd, OrganizationId, Revision, Secret, Shard, TeamId, Timestamp,
};
use tidegate_upstream::{PrivateTarget, Upstreams};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

pub(crate) use self::parts::Journal;
use self::parts::{Keeper, Opener};
use self::resources::catalogue;
pub(crate) use self::resources::{budget, model, offering, organization, policy, provider, team};
use crate::away::Nobody;
use crate::client::{Reply, request, send};
use crate::provider::Provider as Peer;

pub(crate) const ORG: OrganizationId = OrganizationId::from_u128(0xA1);
pub(crate) const TEAM: TeamId = TeamId::from_u128(0x7EA);
pub(crate) const KEY: KeyId = KeyId::from_u128(0x1);
pub(crate) const MODEL: &str = "acme/chat";

/// Everything a test needs.
pub(crate) struct World {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) address: SocketAddr,
    pub(crate) journal: Arc<Journal>,
    pub(crate) limiter: Limiter,
    pub(crate) authority_away: Arc<AtomicBool>,
    pub(crate) key: String,
    pub(crate) metrics: Metrics,
    pub(crate) opened: Arc<Mutex<BTreeMap<CredentialId, Arc<SignIn>>>>,
    config: Arc<Config>,
    kept: KeySecret,
    accepting: AbortHandle,
    n: Mutex<BTreeMap<Shard, u64>>,
}

/// One provider of [`MODEL`].
#[derive(Clone, Copy)]
pub(crate) struct Offer<'a> {
    pub(crate) slug: &'static str,
    pub(crate) peer: &'a Peer,
    pub(crate) dialect: DialectName,
    pub(crate) abort_billing: AbortBilling,
}

/// An OpenAI-compatible provider whose billing stops at an abort.
pub(crate) fn openai<'a>(slug: &'static str, peer: &'a Peer) -> Offer<'a> {
    Offer { slug, peer, dialect: DialectName::OpenaiChat, abort_billing: AbortBilling::Stops }
}

/// An Anthropic provider whose billing stops at an abort.
pub(crate) fn anthropic<'a>(slug: &'static str, peer: &'a Peer) -> Offer<'a> {
    Offer { dialect: DialectName::AnthropicMessages, ..openai(slug, peer) }
}

impl World {
    /// A gateway in front of these providers, tried in the order of their slugs.
    pub(crate) async fn start(offers: &[Offer<'_>]) -> Self {
        Self::with(offers, Settings::default()).await
    }

    pub(crate) async fn with(offers: &[Offer<'_>], settings: Settings) -> Self {
        let ports: Vec<u16> = offers.iter().map(|offer| offer.peer.address.port()).chain([1]).collect();
        Self::over(offers, settings, upstreams(ports)).await
    }

    /// The same with a way out that several worlds share: making one reads the machine's certificates.
    pub(crate) async fn over(offers: &[Offer<'_>], settings: Settings, upstreams: Upstreams) -> Self {
        let clock = Arc::new(SystemClock);
        let limiter = Limiter::memory("run".into(), clock.clone(), Timing::default());
        let peppers = Arc::new(Peppers::new(&[PepperBytes { version: 1, bytes: [3; 32] }]).unwrap());
        let (key, kept) = issue(KEY, [5; 32], &peppers);
        let journal = Arc::new(Journal::default());
        let config = Arc::new(Config::new("default"));
        let authority_away = Arc::<AtomicBool>::default();
        let metrics = Metrics::default();
        let opened = Arc::<Mutex<_>>::default();
        let gateway = Gateway::new(Parts {
            settings,
            config: config.clone(),
            limiter: limiter.clone(),
            upstreams,
            records: journal.clone(),
            authority: Arc::new(Opener { limiter: limiter.clone(), away: authority_away.clone() }),
            questions: Arc::new(Nobody),
            vault: Arc::new(Keeper { peppers, opened: opened.clone() }),
            clock: clock.clone(),
            entropy: entropy::random_u128,
            metrics: metrics.clone(),
            ready: Arc::new(AtomicBool::new(true)),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = gateway.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((socket, peer)) = listener.accept().await {
                socket.set_nodelay(true).unwrap();
                tokio::spawn(serve_connection(served.clone(), socket, peer.ip()));
            }
        });
        let world = Self {
            gateway,
            address,
            journal,
            limiter,
            authority_away,
            key: key.expose().to_owned(),
            metrics,
            opened,
            config,
            kept,
            accepting: accepting.abort_handle(),
            n: Mutex::default(),
        };
        world.put(catalogue(offers));
        world.put(vec![organization(), team(KeyLimits::default()), Resource::Key(world.virtual_key())]);
        world
    }

    /// Ends the gateway and all that runs in it: for tests that start thousands.
    pub(crate) async fn end(self) {
        self.accepting.abort();
        self.gateway.drain(Duration::ZERO).await;
    }

    /// Changes the configuration.
    pub(crate) fn put(&self, resources: Vec<Resource>) {
        for resource in resources {
            let key = resource.key();
            let shard = Shard::of(key.organization_id);
            let n = {
                let mut n = self.n.lock();
                let n = n.entry(shard).or_default();
                *n += 1;
                *n
            };
            let revision = Revision { shard, n };
            let version = Versioned { key, revision, tightens: false, resource: Some(resource) };
            let applied = self.config.apply(shard, vec![Incoming::from(version)], Part::Delta);
            assert!(applied.rejected.is_empty(), "{applied:?}");
        }
    }

    /// The key as the configuration has it.
    pub(crate) fn virtual_key(&self) -> VirtualKey {
        VirtualKey {
            organization_id: ORG,
            id: KEY,
            team_id: TEAM,
            name: "test key".into(),
            status: KeyStatus::Active,
            secrets: vec![self.kept.clone()],
            expires_at: None,
            allow: AllowList::default(),
            limits: KeyLimits::default(),
            tags: BTreeMap::new(),
        }
    }

    /// The first provider is this one from now on, and its credential opens to this.
    pub(crate) fn sign_in_at(&self, provider: Provider, form: SecretForm, secret: &serde_json::Value) {
        let opened = SignIn::open(form, &Secret::new(secret.to_string())).unwrap();
        self.opened.lock().insert(CredentialId::from_u128(1), Arc::new(opened));
        self.put(vec![Resource::Provider(provider)]);
    }
    /// The first provider has output that is billed and not seen.
    pub(crate) fn hide_output(&self) {
        self.put(vec![Resource::Offering(Offering { output_visible: false, ..offering(1, "a") })]);
    }
    /// Nothing is known of what the first provider keeps.
    pub(crate) fn forget_facts(&self) {
        self.put(vec![Resource::Offering(Offering { data_handling: None, ..offering(1, "a") })]);
    }
    /// The first provider has no price.
    pub(crate) fn forget_price(&self) {
        self.put(vec![Resource::Offering(Offering { prices: Vec::new(), ..offering(1, "a") })]);
    }

    /// Posts to a path with the key.
    pub(crate) async fn post(&self, path: &str, body: &str) -> Reply {
        let bearer = format!("Bearer {}", self.key);
        send(self.address, &request("POST", path, &[("authorization", &bearer)], body)).await
    }
    /// The same with further headers.
    pub(crate) async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let bearer = format!("Bearer {}", self.key);
        let headers: Vec<_> =
            [("authorization", &*bearer)].into_iter().chain(headers.iter().copied()).collect();
        send(self.address, &request("POST", path, &headers, body)).await
    }

    pub(crate) async fn chat(&self, body: &str) -> Reply {
        self.post("/v1/chat/completions", body).await
    }

    pub(crate) async fn messages(&self, body: &str) -> Reply {
        self.post("/v1/messages", body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        let bearer = format!("Bearer {}", self.key);
        send(self.address, &request("GET", path, &[("authorization", &bearer)], "")).await
    }

    /// Waits until `calls` call records are written; the last one.
    pub(crate) async fn recorded(&self, calls: usize) -> CallRecord {
        self.until(|| self.journal.calls.lock().len() >= calls).await;
        self.journal.calls.lock()[calls - 1].clone()
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, holds: impl Fn() -> bool) {
        for _ in 0..12_000 {
            if holds() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never so: {:?}", self.journal.events.lock());
    }

    /// The final events.
    pub(crate) fn finals(&self) -> Vec<BillingEvent> {
        self.journal.events.lock().iter().filter(|event| event.kind == EventKind::Final).cloned().collect()
    }

    /// Every intent has exactly one final event, and nothing is held any more.
    pub(crate) async fn assert_settled(&self, budget: Option<BudgetId>) {
        self.until(|| {
            let events = self.journal.events.lock();
            let of = |kind| {
                let mut all: Vec<_> = events
                    .iter()
                    .filter(|e| e.kind == kind && e.step == 0)
                    .map(|e| (e.call_id, e.attempt))
                    .collect();
                all.sort();
                all
            };
            of(EventKind::Intent) == of(EventKind::Final)
        })
        .await;
        if let Some(budget) = budget {
            let balance = self.balance(budget).await;
            assert_eq!(balance.held, NanoUsd::ZERO, "{balance:?}");
        }
    }

    /// What a lifetime budget has used.
    pub(crate) async fn balance(&self, budget: BudgetId) -> Balance {
        let window = tidegate_types::window::Window {
            start: Timestamp::from_micros(0),
            end: Timestamp::from_micros(i64::MAX),
        };
        self.limiter.balances(ORG, &[(budget, window)]).await.unwrap()[0]
    }
}

/// A way out to whichever provider of this machine a test starts.
pub(crate) fn upstreams_to_all() -> Upstreams {
    upstreams((1..=u16::MAX).collect())
}

fn upstreams(ports: Vec<u16>) -> Upstreams {
    let target =
        PrivateTarget { cidr: "127.0.0.0/8".parse().unwrap(), ports, http: true, organizations: Vec::new() };
    Upstreams::new(&tidegate_upstream::Settings { private: vec![target], ..Default::default() }).unwrap()
}
