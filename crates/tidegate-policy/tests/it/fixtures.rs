//! A small fleet: one organization with a team and a key, a shared catalogue, and a feed for it.

use std::collections::BTreeMap;

use tidegate_policy::{Applied, CallFacts, Config, Incoming, Part, Plan, PlanRefusal, View, plan};
use tidegate_types::resource::*;
use tidegate_types::window::{Every, WeekStart, WindowSpec};
use tidegate_types::{
    BudgetId, CredentialId, Id, KeyId, ModelId, NanoUsd, OfferingId, OrganizationId, PicoUsd, PolicyId,
    PriceId, ProviderId, Revision, RouteId, Shard, TeamId, Timestamp,
};

pub(crate) const POOL: &str = "default";
pub(crate) const SYSTEM: OrganizationId = OrganizationId::SYSTEM;
pub(crate) const ORG: OrganizationId = OrganizationId::from_u128(0xA1);
pub(crate) const OTHER_ORG: OrganizationId = OrganizationId::from_u128(0xB2);
pub(crate) const TEAM: TeamId = TeamId::from_u128(0x7EA);
pub(crate) const KEY: KeyId = KeyId::from_u128(0x1);

/// 2026-11-21T10:00:00Z.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_seconds(1_795_255_200)
}

/// Applies resources with ascending change numbers per shard.
pub(crate) struct Feed {
    pub(crate) config: Config,
    n: BTreeMap<Shard, u64>,
}

impl Feed {
    pub(crate) fn new() -> Self {
        Self { config: Config::new(POOL), n: BTreeMap::new() }
    }

    /// The catalogue of [`catalogue`], organization [`ORG`] with [`TEAM`] and [`KEY`].
    pub(crate) fn standard() -> Self {
        let mut feed = Self::new();
        feed.send(catalogue());
        feed.send(vec![organization(ORG), team(ORG, TEAM), key(ORG, KEY)]);
        feed
    }

    pub(crate) fn versions(&mut self, resources: Vec<Resource>) -> Vec<Incoming> {
        resources.into_iter().map(|resource| self.version(resource)).collect()
    }

    pub(crate) fn version(&mut self, resource: Resource) -> Incoming {
        let key = resource.key();
        let revision = self.next(key.organization_id);
        Incoming::from(Versioned { key, revision, tightens: false, resource: Some(resource) })
    }

    pub(crate) fn tightening(&mut self, resource: Resource) -> Incoming {
        Incoming { tightens: true, ..self.version(resource) }
    }

    pub(crate) fn deletion(&mut self, resource: &Resource) -> Incoming {
        let key = resource.key();
        let revision = self.next(key.organization_id);
        Incoming::from(Versioned { key, revision, tightens: false, resource: None })
    }

    pub(crate) fn next(&mut self, organization: OrganizationId) -> Revision {
        let shard = Shard::of(organization);
        let n = self.n.entry(shard).or_default();
        *n += 1;
        Revision { shard, n: *n }
    }

    pub(crate) fn send(&mut self, resources: Vec<Resource>) -> Vec<Applied> {
        let versions = self.versions(resources);
        apply(&self.config, versions)
    }

    pub(crate) fn send_one(&mut self, resource: Resource) -> Applied {
        self.send(vec![resource]).pop().unwrap()
    }

    pub(crate) fn apply_one(&mut self, change: Incoming) -> Applied {
        apply(&self.config, vec![change]).pop().unwrap()
    }

    pub(crate) fn view(&self) -> View {
        self.config.view(KEY).unwrap()
    }

    pub(crate) fn plan(&self, facts: &CallFacts<'_>) -> Result<Plan, PlanRefusal> {
        plan(&self.view(), facts, now(), 0)
    }

    pub(crate) fn ask(&self, model: &str) -> Result<Plan, PlanRefusal> {
        self.plan(&CallFacts::of_model(model))
    }
}

/// Applies changes as one delta for each shard.
pub(crate) fn apply(config: &Config, changes: Vec<Incoming>) -> Vec<Applied> {
    let mut shards: BTreeMap<Shard, Vec<Incoming>> = BTreeMap::new();
    for change in changes {
        shards.entry(Shard::of(change.key.organization_id)).or_default().push(change);
    }
    shards.into_iter().map(|(shard, changes)| config.apply(shard, changes, Part::Delta)).collect()
}

/// The providers, models and credentials of a plan's candidates, as `provider model credential`.
pub(crate) fn summary(plan: &Plan) -> Vec<String> {
    plan.candidates
        .iter()
        .map(|candidate| {
            let credential = candidate.credential.as_ref().map_or("none", |credential| &*credential.name);
            format!("{} {} {credential}", candidate.provider.slug, candidate.model.name)
        })
        .collect()
}

/// `openai/gpt-5` at openai and azure, `anthropic/claude-sonnet-4.5` at anthropic and bedrock, each
/// provider with a system credential; all facts good, prices different.
pub(crate) fn catalogue() -> Vec<Resource> {
    let mut all = Vec::new();
    for (place, slug) in ["openai", "azure", "anthropic", "bedrock"].into_iter().enumerate() {
        all.push(Resource::Provider(provider(SYSTEM, place as u128 + 1, slug)));
        all.push(Resource::Credential(credential(SYSTEM, place as u128 + 1, slug, CredentialScope::System)));
    }
    all.push(Resource::Model(Model {
        aliases: vec!["gpt-latest".into()],
        ..model(SYSTEM, 1, "openai/gpt-5")
    }));
    all.push(Resource::Model(model(SYSTEM, 2, "anthropic/claude-sonnet-4.5")));
    for (place, (name, slug, upstream, pico)) in [
        ("openai/gpt-5", "openai", "gpt-5-2025-08-07", 2_000),
        ("openai/gpt-5", "azure", "gpt-5", 3_000),
        ("anthropic/claude-sonnet-4.5", "anthropic", "claude-sonnet-4-5-20250929", 3_000),
        ("anthropic/claude-sonnet-4.5", "bedrock", "anthropic.claude-sonnet-4-5-v1:0", 3_000),
    ]
    .into_iter()
    .enumerate()
    {
        let mut offering = offering(SYSTEM, place as u128 + 1, name, slug, pico);
        offering.upstream_name = upstream.into();
        all.push(Resource::Offering(offering));
    }
    all
}

pub(crate) fn organization(id: OrganizationId) -> Resource {
    Resource::Organization(Organization {
        id,
        slug: format!("org-{:x}", id.to_u128()),
        name: "Org".into(),
        time_zone: "Europe/Berlin".into(),
        week_start: WeekStart::Monday,
        paused: false,
        max_staleness_seconds: None,
        label_key: [7; 32],
        limits: tidegate_types::resource::KeyLimits::default(),
        model_limits: Vec::new(),
        bound_issuers: Vec::new(),
        cache_purges: 0,
    })
}

pub(crate) fn team(organization_id: OrganizationId, id: TeamId) -> Resource {
    Resource::Team(Team {
        organization_id,
        id,
        name: format!("team {:x}", id.to_u128()),
        paused: false,
        limits: KeyLimits::default(),
    })
}

pub(crate) fn virtual_key(organization_id: OrganizationId, id: KeyId) -> VirtualKey {
    VirtualKey {
        organization_id,
        id,
        team_id: TEAM,
        name: format!("key {:x}", id.to_u128()),
        status: KeyStatus::Active,
        secrets: vec![KeySecret { pepper_version: 1, hmac: [9; 32], until: None }],
        expires_at: None,
        allow: AllowList::default(),
        limits: KeyLimits::default(),
        tags: BTreeMap::new(),
    }
}

pub(crate) fn key(organization_id: OrganizationId, id: KeyId) -> Resource {
    Resource::Key(virtual_key(organization_id, id))
}

pub(crate) fn provider(organization_id: OrganizationId, id: u128, slug: &str) -> Provider {
    Provider {
        organization_id,
        id: ProviderId::from_u128(id),
        slug: slug.parse().unwrap(),
        name: slug.into(),
        base_url: format!("https://api.{slug}.example/v1"),
        dialect: DialectName::OpenaiChat,
        auth: AuthScheme::Bearer,
        abort_billing: AbortBilling::Continues,
        enabled: true,
        headquarters: None,
        simulated: false,
        also: Vec::new(),
        quirks: Default::default(),
    }
}

pub(crate) fn model(organization_id: OrganizationId, id: u128, name: &str) -> Model {
    Model {
        organization_id,
        id: ModelId::from_u128(id),
        name: name.parse().unwrap(),
        display_name: name.into(),
        aliases: Vec::new(),
        kind: ModelKind::Language,
        context_window: 200_000,
        max_output_tokens: 32_000,
        capabilities: Capabilities { tools: true, vision: true, reasoning: true, structured_output: true },
        released_at: None,
    }
}

pub(crate) fn price(id: u128, pico: i64) -> Price {
    let unit = |unit| UnitPrice { unit, price: PicoUsd::new(pico) };
    Price {
        id: PriceId::from_u128(id),
        tiers: vec![PriceTier {
            from_input_tokens: 0,
            prices: vec![unit(Unit::InputToken), unit(Unit::OutputToken)],
        }],
        valid_from: Timestamp::from_seconds(0),
        recorded_at: Timestamp::from_seconds(0),
        source: "test".into(),
    }
}

pub(crate) fn handling(retention: Retention, training: Training) -> DataHandling {
    DataHandling {
        retention,
        training,
        source: "test".into(),
        read_at: Timestamp::from_seconds(0),
        expires_at: now().plus_millis(3_600_000),
        also: Vec::new(),
    }
}

pub(crate) fn offering(
    organization_id: OrganizationId,
    id: u128,
    model: &str,
    provider: &str,
    pico: i64,
) -> Offering {
    Offering {
        organization_id,
        id: OfferingId::from_u128(id),
        model: model.parse().unwrap(),
        provider: provider.parse().unwrap(),
        upstream_name: model.split('/').next_back().unwrap().into(),
        max_output_tokens: None,
        enabled: true,
        prices: vec![price(id, pico)],
        data_handling: Some(handling(Retention::None, Training::Never)),
        locations: Vec::new(),
        output_visible: true,
        notes: BTreeMap::new(),
    }
}

pub(crate) fn credential(
    organization_id: OrganizationId,
    id: u128,
    provider: &str,
    scope: CredentialScope,
) -> Credential {
    Credential {
        organization_id,
        id: CredentialId::from_u128(id),
        name: format!("cred{id}"),
        scope,
        provider: provider.parse().unwrap(),
        form: SecretForm::ApiKey,
        enabled: true,
        position: 0,
        weight: None,
        sealed: Vec::new(),
        region: None,
        attestation: None,
    }
}

pub(crate) fn policy(id: u128, scope: PolicyScope) -> Policy {
    Policy {
        organization_id: ORG,
        id: PolicyId::from_u128(id),
        name: format!("policy {id}"),
        scope,
        allow_models: Vec::new(),
        allow_providers: Vec::new(),
        privacy: Privacy::default(),
        default_max_output_tokens: None,
        ceiling_price: None,
        allow_system_credentials: None,
        allow_request_credentials: None,
        routes_may_shadow: None,
        max_attempts: None,
        cache: Default::default(),
        prompt_cache_markers: None,
    }
}

pub(crate) fn target(model: &str, weight: u32) -> RouteTarget {
    RouteTarget { model: model.parse().unwrap(), weight, providers: Vec::new() }
}

pub(crate) fn route(id: u128, name: &str, targets: Vec<RouteTarget>, fallbacks: Vec<RouteTarget>) -> Route {
    Route {
        organization_id: ORG,
        id: RouteId::from_u128(id),
        name: name.into(),
        targets,
        fallbacks,
        attempt_timeout_ms: None,
        total_timeout_ms: None,
        cache: Default::default(),
        cache_purges: 0,
        prompt_cache_markers: None,
    }
}

pub(crate) fn budget(id: u128, scope: Scope) -> Budget {
    Budget {
        organization_id: ORG,
        id: BudgetId::from_u128(id),
        name: format!("budget {id}"),
        limit: NanoUsd::new(1_000_000_000),
        window: WindowSpec::Recurring { every: Every::Month },
        scope,
        enforcement: Enforcement::Hard,
        mode: HoldMode::Strict,
        count_byok: false,
        alert_at_percent: vec![50, 100],
        raises: Vec::new(),
        past: None,
    }
}

/// The bits of an id, for short assertions.
pub(crate) fn bits<K: tidegate_types::id::IdKind>(id: Id<K>) -> u128 {
    id.to_u128()
}
