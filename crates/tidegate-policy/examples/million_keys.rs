//! What a node's configuration costs: memory and delta times with a million keys in the fleet,
//! ten thousand of them in one organization; view and plan times of an ordinary call.
//!
//! `cargo run --release -p tidegate-policy --example million_keys [keys]` (Linux: reads /proc).
#![expect(clippy::expect_used, reason = "a measurement, not a service")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use tidegate_policy::{CallFacts, Config, Incoming, Part, plan};
use tidegate_types::resource::{
    AbortBilling, AllowList, AuthScheme, Budget, Capabilities, Credential, CredentialScope, DialectName,
    Enforcement, HoldMode, KeyLimits, KeySecret, KeyStatus, Model, ModelKind, Offering, Organization, Policy,
    PolicyScope, Price, PriceTier, Privacy, Provider, Resource, Scope, SecretForm, Team, Unit, UnitPrice,
    Versioned, VirtualKey,
};
use tidegate_types::window::{Every, WeekStart, WindowSpec};
use tidegate_types::{
    BudgetId, CredentialId, KeyId, ModelId, NanoUsd, OfferingId, OrganizationId, PicoUsd, PolicyId, PriceId,
    ProviderId, Revision, Shard, TeamId, Timestamp,
};

const KEYS_PER_ORGANIZATION: u64 = 100;
const BIG: u64 = 10_000;
const MODELS: u64 = 300;
const NOW: Timestamp = Timestamp::from_seconds(1_795_255_200);

fn organization_id(number: u64) -> OrganizationId {
    OrganizationId::from_parts(1_790_000_000_000 + number, mixed(number))
}

fn key_id(number: u64) -> KeyId {
    KeyId::from_parts(1_790_000_000_000 + number, mixed(number ^ 0x5555))
}

fn team_id(number: u64) -> TeamId {
    TeamId::from_parts(1_790_000_000_000, u128::from(number) + 1)
}

/// Spread bits in place of randomness.
fn mixed(number: u64) -> u128 {
    let spread = u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    spread ^ (spread >> 61)
}

/// Numbers changes as the store does.
#[derive(Default)]
struct Feed(BTreeMap<Shard, u64>);

impl Feed {
    fn change(&mut self, resource: Resource) -> (Shard, Incoming) {
        let key = resource.key();
        let shard = Shard::of(key.organization_id);
        let n = self.0.entry(shard).or_default();
        *n += 1;
        let revision = Revision { shard, n: *n };
        (shard, Incoming::from(Versioned { key, revision, tightens: false, resource: Some(resource) }))
    }

    fn send(&mut self, config: &Config, resources: Vec<Resource>) {
        let mut shards: BTreeMap<Shard, Vec<Incoming>> = BTreeMap::new();
        for resource in resources {
            let (shard, change) = self.change(resource);
            shards.entry(shard).or_default().push(change);
        }
        for (shard, changes) in shards {
            let applied = config.apply(shard, changes, Part::Delta);
            assert!(applied.rejected.is_empty(), "{:?}", applied.rejected);
        }
    }

    /// Median and worst time of single-change deltas.
    fn time(&mut self, config: &Config, mut resource: impl FnMut(u64) -> Resource) -> (Duration, Duration) {
        let mut times: Vec<Duration> = (0..201)
            .map(|round| {
                let (shard, change) = self.change(resource(round));
                let start = Instant::now();
                let applied = config.apply(shard, vec![change], Part::Delta);
                let time = start.elapsed();
                assert!(applied.rejected.is_empty());
                time
            })
            .collect();
        times.sort_unstable();
        (times[100], times[200])
    }
}

fn organization(number: u64, keys: u64) -> Vec<Resource> {
    let organization_id = organization_id(number);
    let mut all = vec![Resource::Organization(Organization {
        id: organization_id,
        slug: format!("organization-{number}"),
        name: format!("Organization number {number}"),
        time_zone: "Europe/Berlin".into(),
        week_start: WeekStart::Monday,
        paused: false,
        max_staleness_seconds: None,
        label_key: [7; 32],
        limits: tidegate_types::resource::KeyLimits::default(),
        model_limits: Vec::new(),
        bound_issuers: Vec::new(),
        cache_purges: 0,
    })];
    all.extend((0..4).map(|team| {
        Resource::Team(Team {
            organization_id,
            id: team_id(team),
            name: format!("team {team}"),
            paused: false,
            limits: KeyLimits { requests_per_minute: Some(10_000), ..KeyLimits::default() },
        })
    }));
    all.push(Resource::Policy(policy(organization_id, 0)));
    all.push(Resource::Budget(budget(organization_id, 0, Scope::default())));
    let budgets = (0..3).map(|team| {
        let scope = Scope { team: Some(team_id(team)), ..Scope::default() };
        Resource::Budget(budget(organization_id, team + 1, scope))
    });
    all.extend(budgets);
    all.extend(
        (0..keys)
            .map(|key| Resource::Key(virtual_key(organization_id, number * KEYS_PER_ORGANIZATION + key))),
    );
    all
}

fn policy(organization_id: OrganizationId, round: u64) -> Policy {
    Policy {
        organization_id,
        id: PolicyId::from_u128(1),
        name: "default".into(),
        scope: PolicyScope::Organization,
        allow_models: vec!["creator-1/*".into(), format!("creator-2/model-{round}")],
        allow_providers: Vec::new(),
        privacy: Privacy::default(),
        default_max_output_tokens: Some(4_096),
        ceiling_price: None,
        allow_system_credentials: None,
        allow_request_credentials: None,
        routes_may_shadow: None,
        max_attempts: None,
        cache: Default::default(),
        prompt_cache_markers: None,
    }
}

fn budget(organization_id: OrganizationId, number: u64, scope: Scope) -> Budget {
    Budget {
        organization_id,
        id: BudgetId::from_u128(u128::from(number) + 1),
        name: format!("budget {number}"),
        limit: NanoUsd::new(1_000_000_000_000),
        window: WindowSpec::Recurring { every: Every::Month },
        scope,
        enforcement: Enforcement::Hard,
        mode: HoldMode::Strict,
        count_byok: false,
        alert_at_percent: vec![50, 90, 100],
        raises: Vec::new(),
        past: None,
    }
}

fn virtual_key(organization_id: OrganizationId, number: u64) -> VirtualKey {
    let allow = AllowList { models: vec!["creator-1/*".into()], ..AllowList::default() };
    VirtualKey {
        organization_id,
        id: key_id(number),
        team_id: team_id(number % 4),
        name: format!("production backend {number}"),
        status: KeyStatus::Active,
        secrets: vec![KeySecret { pepper_version: 1, hmac: [number as u8; 32], until: None }],
        expires_at: None,
        allow: if number.is_multiple_of(3) { allow } else { AllowList::default() },
        limits: KeyLimits { requests_per_minute: Some(600), tokens_per_minute: None, concurrency: Some(20) },
        tags: BTreeMap::from([
            ("environment".into(), "production".into()),
            ("project".into(), format!("p{}", number % 50)),
        ]),
    }
}

fn catalogue() -> Vec<Resource> {
    let mut all = Vec::new();
    for number in 0..8u64 {
        all.push(Resource::Provider(Provider {
            organization_id: OrganizationId::SYSTEM,
            id: ProviderId::from_u128(u128::from(number)),
            slug: format!("provider-{number}").parse().expect("slug"),
            name: format!("Provider {number}"),
            base_url: format!("https://api.provider-{number}.example/v1"),
            dialect: DialectName::OpenaiChat,
            auth: AuthScheme::Bearer,
            abort_billing: AbortBilling::Continues,
            enabled: true,
            headquarters: None,
            simulated: false,
            also: Vec::new(),
            quirks: Default::default(),
        }));
        all.push(Resource::Credential(Credential {
            organization_id: OrganizationId::SYSTEM,
            id: CredentialId::from_u128(u128::from(number)),
            name: format!("credential {number}"),
            scope: CredentialScope::System,
            provider: format!("provider-{number}").parse().expect("slug"),
            form: SecretForm::ApiKey,
            enabled: true,
            position: 0,
            weight: None,
            sealed: Vec::new(),
            region: None,
            attestation: None,
        }));
    }
    for number in 0..MODELS {
        all.push(Resource::Model(Model {
            organization_id: OrganizationId::SYSTEM,
            id: ModelId::from_u128(u128::from(number)),
            name: format!("creator-{}/model-{number}", number % 5).parse().expect("name"),
            display_name: format!("Model {number}"),
            aliases: vec![format!("m{number}")],
            kind: ModelKind::Language,
            context_window: 200_000,
            max_output_tokens: 32_000,
            capabilities: Capabilities {
                tools: true,
                vision: true,
                reasoning: true,
                structured_output: true,
            },
            released_at: None,
        }));
        all.extend((0..number % 4 + 1).map(|place| Resource::Offering(offering(number, place))));
    }
    all
}

fn offering(model: u64, place: u64) -> Offering {
    let id = u128::from(model * 8 + place);
    let unit = |unit, pico| UnitPrice { unit, price: PicoUsd::new(pico) };
    Offering {
        organization_id: OrganizationId::SYSTEM,
        id: OfferingId::from_u128(id),
        model: format!("creator-{}/model-{model}", model % 5).parse().expect("name"),
        provider: format!("provider-{}", (model + place) % 8).parse().expect("slug"),
        upstream_name: format!("model-{model}-2026-01-01"),
        max_output_tokens: None,
        enabled: true,
        prices: vec![Price {
            id: PriceId::from_u128(id),
            tiers: vec![PriceTier {
                from_input_tokens: 0,
                prices: vec![unit(Unit::InputToken, 1_000 + place as i64), unit(Unit::OutputToken, 5_000)],
            }],
            valid_from: Timestamp::from_seconds(0),
            recorded_at: Timestamp::from_seconds(0),
            source: "example".into(),
        }],
        data_handling: None,
        locations: Vec::new(),
        output_visible: true,
        notes: BTreeMap::new(),
    }
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.split_whitespace().next().and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn load(feed: &mut Feed, config: &Config, keys: u64) {
    // The first organization is the big one; the numbers of its keys come after all others'.
    let small = (keys - BIG) / KEYS_PER_ORGANIZATION;
    for chunk in (1..=small).collect::<Vec<_>>().chunks(50) {
        feed.send(
            config,
            chunk.iter().flat_map(|number| organization(*number, KEYS_PER_ORGANIZATION)).collect(),
        );
    }
    feed.send(config, organization(0, 0));
    for chunk in (0..BIG).collect::<Vec<_>>().chunks(1_000) {
        let keys = chunk.iter().map(|key| Resource::Key(virtual_key(organization_id(0), keys * 2 + key)));
        feed.send(config, keys.collect());
    }
}

fn main() {
    let keys: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let (config, mut feed) = (Config::new("default"), Feed::default());
    let before = resident_mb();
    feed.send(&config, catalogue());
    let start = Instant::now();
    load(&mut feed, &config, keys);
    let took = start.elapsed();
    let counts = config.counts();
    let held = resident_mb() - before;
    println!("{counts:?}");
    println!("memory          {held} MB, {} bytes per key all told", held * 1_048_576 / counts.keys as u64);
    println!("load            {took:.1?} (making and hashing the resources included)");

    let report = |what: &str, (median, worst): (Duration, Duration)| {
        println!("{what:<15} median {median:.1?}, worst {worst:.1?}")
    };
    let small = organization_id(5);
    report("key, small org", feed.time(&config, |_| Resource::Key(virtual_key(small, 501))));
    let big = organization_id(0);
    report("key, 10k keys", feed.time(&config, |round| Resource::Key(virtual_key(big, keys * 2 + round))));
    report("policy, 10k keys", feed.time(&config, |round| Resource::Policy(policy(big, round))));
    let per_key = (0..BIG).map(|key| {
        let scope = Scope { key: Some(key_id(keys * 2 + key)), ..Scope::default() };
        Resource::Budget(budget(big, key + 10, scope))
    });
    feed.send(&config, per_key.collect());
    report(
        "1 of 10k budgets",
        feed.time(&config, |round| Resource::Budget(budget(big, round + 10, Scope::default()))),
    );
    report("catalogue", feed.time(&config, |round| Resource::Offering(offering(round % MODELS, 0))));
    measure_calls(&config);
}

fn measure_calls(config: &Config) {
    let rounds = 200_000u32;
    let key = key_id(503);
    let start = Instant::now();
    for _ in 0..rounds {
        black_box(config.view(black_box(key)));
    }
    println!("view            {} ns", nanos(start, rounds));
    let view = config.view(key).expect("a key that was loaded");
    for model in ["creator-1/model-56", "creator-1/model-101", "creator-1/model-11", "m11"] {
        let facts =
            CallFacts { input_bytes: 2_000, max_output_tokens: Some(500), ..CallFacts::of_model(model) };
        let candidates = plan(&view, &facts, NOW, 0).expect("a plan").candidates.len();
        let start = Instant::now();
        for draw in 0..rounds {
            let _plan = black_box(plan(&view, black_box(&facts), NOW, u64::from(draw)));
        }
        println!(
            "plan            {} ns with {candidates} candidates, asked as {model}",
            nanos(start, rounds)
        );
    }
    let facts = CallFacts::of_model("creator-1/modle-11");
    let start = Instant::now();
    for _ in 0..1_000 {
        let _refusal = black_box(plan(&view, black_box(&facts), NOW, 0));
    }
    println!("unknown model   {} ns", nanos(start, 1_000));
}

fn nanos(start: Instant, rounds: u32) -> u128 {
    start.elapsed().as_nanos() / u128::from(rounds)
}
