//! One of everything.

use tidegate_store::{
    Change, Store, SystemActor, budgets, credentials, keys, labels, models, offerings, policies,
};
use tidegate_store::{fleet, intake, join_tokens, providers, routes, wrapped};
use tidegate_types::resource::{
    AbortBilling, AllowList, AuthScheme, Budget, Capabilities, Credential, CredentialScope, DialectName,
    Enforcement, HoldMode, KeyLimits, KeySecret, KeyStatus, Model, ModelKind, Offering, Policy, PolicyScope,
    Price, PriceTier, Privacy, Provider, Route, Scope, SealedSecret, SecretForm, Selector, Unit, UnitPrice,
    VirtualKey,
};
use tidegate_types::usage::{
    AttemptRecord, BillingEvent, CallOutcome, CallRecord, CredentialType, EventKind, HeldBudget, MeterMethod,
    Outcome, RecordKey, Surface, Usage,
};
use tidegate_types::window::{Every, WindowSpec};
use tidegate_types::{
    BudgetId, CallId, LabelHash, NanoUsd, NodeId, OrganizationId, PicoUsd, Revision, Shard, TeamId, Timestamp,
};

use crate::fixture::{NOW, Tenant, commit, new_id};

pub(crate) fn key(organization_id: OrganizationId, team_id: TeamId, name: &str) -> VirtualKey {
    VirtualKey {
        organization_id,
        id: new_id(),
        team_id,
        name: name.to_owned(),
        status: KeyStatus::Active,
        secrets: vec![KeySecret { pepper_version: 1, hmac: [9; 32], until: None }],
        expires_at: Some(NOW.plus_millis(1_000)),
        allow: AllowList { ips: vec!["10.0.0.0/8".parse().unwrap()], ..AllowList::default() },
        limits: KeyLimits { requests_per_minute: Some(60), ..KeyLimits::default() },
        tags: [("project".to_owned(), "x".to_owned())].into(),
    }
}

pub(crate) fn credential(organization_id: OrganizationId) -> (Credential, credentials::Envelope) {
    let sealed = SealedSecret {
        pool: "default".to_owned(),
        pool_key_version: 1,
        secret_version: 1,
        bytes: vec![1; 40],
    };
    let credential = Credential {
        organization_id,
        id: new_id(),
        name: "main".to_owned(),
        scope: CredentialScope::Organization,
        provider: "openai".parse().unwrap(),
        form: SecretForm::ApiKey,
        enabled: true,
        position: 0,
        weight: None,
        sealed: vec![sealed],
        region: None,
        attestation: None,
    };
    let envelope = credentials::Envelope {
        secret_version: 1,
        data_key_version: 1,
        ciphertext: vec![2; 40],
        hint: "…abcd".to_owned(),
    };
    (credential, envelope)
}

pub(crate) fn provider(organization_id: OrganizationId) -> Provider {
    Provider {
        organization_id,
        id: new_id(),
        slug: "openai".parse().unwrap(),
        name: "OpenAI".to_owned(),
        base_url: "https://api.openai.com/v1".to_owned(),
        dialect: DialectName::OpenaiChat,
        auth: AuthScheme::Bearer,
        abort_billing: AbortBilling::Stops,
        enabled: true,
        headquarters: None,
        simulated: false,
        also: Vec::new(),
        quirks: Default::default(),
    }
}

pub(crate) fn model(organization_id: OrganizationId) -> Model {
    Model {
        organization_id,
        id: new_id(),
        name: "openai/gpt-5".parse().unwrap(),
        display_name: "GPT-5".to_owned(),
        aliases: vec![],
        kind: ModelKind::Language,
        context_window: 400_000,
        max_output_tokens: 128_000,
        capabilities: Capabilities::default(),
        released_at: None,
    }
}

pub(crate) fn price(pico: i64) -> Price {
    let prices = vec![UnitPrice { unit: Unit::InputToken, price: PicoUsd::new(pico) }];
    Price {
        id: new_id(),
        tiers: vec![PriceTier { from_input_tokens: 0, prices }],
        valid_from: NOW,
        recorded_at: NOW,
        source: "list".to_owned(),
    }
}

pub(crate) fn offering(organization_id: OrganizationId) -> Offering {
    Offering {
        organization_id,
        id: new_id(),
        model: "openai/gpt-5".parse().unwrap(),
        provider: "openai".parse().unwrap(),
        upstream_name: "gpt-5".to_owned(),
        max_output_tokens: None,
        enabled: true,
        prices: vec![price(2500)],
        data_handling: None,
        locations: Vec::new(),
        output_visible: true,
        notes: [].into(),
    }
}

pub(crate) fn route(organization_id: OrganizationId) -> Route {
    Route {
        organization_id,
        id: new_id(),
        name: "fast".to_owned(),
        targets: vec![],
        fallbacks: vec![],
        attempt_timeout_ms: None,
        total_timeout_ms: None,
        cache: Default::default(),
        cache_purges: 0,
        prompt_cache_markers: None,
    }
}

pub(crate) fn policy(organization_id: OrganizationId, team_id: TeamId) -> Policy {
    Policy {
        organization_id,
        id: new_id(),
        name: "strict".to_owned(),
        scope: PolicyScope::Team { team_id },
        allow_models: vec!["openai/*".to_owned()],
        allow_providers: vec![],
        privacy: Privacy::default(),
        default_max_output_tokens: None,
        ceiling_price: Some(PicoUsd::new(5)),
        allow_system_credentials: None,
        allow_request_credentials: None,
        routes_may_shadow: None,
        max_attempts: None,
        cache: Default::default(),
        prompt_cache_markers: None,
    }
}

pub(crate) fn budget(organization_id: OrganizationId, team_id: TeamId) -> Budget {
    let end_user = Some(Selector { hash: LabelHash::from_bytes([3; 16]) });
    Budget {
        organization_id,
        id: new_id(),
        name: "cap".to_owned(),
        limit: "1.00".parse().unwrap(),
        window: WindowSpec::Recurring { every: Every::Month },
        scope: Scope { team: Some(team_id), end_user, ..Scope::default() },
        enforcement: Enforcement::Hard,
        mode: HoldMode::Strict,
        count_byok: false,
        alert_at_percent: vec![50, 90],
        raises: Vec::new(),
        past: None,
    }
}

pub(crate) async fn node(store: &Store) -> NodeId {
    let id = new_id();
    let enrolment = fleet::Enrolment {
        node_id: id,
        pool: "default",
        name: "n",
        certificate_serial: "01",
        certificate_expires_at: NOW.plus_millis(604_800_000),
        sealing_key: [5; 32],
    };
    fleet::enrol(store, &enrolment, NOW).await.unwrap();
    id
}

/// An event of attempt 0 of a call, with one budget held.
pub(crate) fn event(
    tenant: &Tenant,
    call_id: CallId,
    kind: EventKind,
    outcome: Outcome,
    cost: i64,
) -> BillingEvent {
    BillingEvent {
        call_id,
        attempt: 0,
        kind,
        step: 0,
        at: NOW,
        organization_id: tenant.organization.id,
        team_id: tenant.team.id,
        key_id: KEY,
        model_id: tidegate_types::ModelId::from_u128(12),
        provider_id: tidegate_types::ProviderId::from_u128(13),
        offering_id: tidegate_types::OfferingId::from_u128(14),
        credential_id: None,
        credential_type: CredentialType::System,
        price_id: None,
        ceiling_pico: None,
        epoch: 1,
        holds: vec![held(1000)],
        deadline: NOW.plus_millis(60_000),
        outcome,
        method: MeterMethod::Reported,
        usage: Usage { input_tokens: 10, output_tokens: 5, requests: 1, ..Usage::default() },
        cost: NanoUsd::new(cost),
        revision: Revision { shard: Shard::SYSTEM, n: 1 },
        end_user: Some(LabelHash::from_bytes([1; 16])),
        tags: vec![LabelHash::from_bytes([2; 16])],
        cached_percent: None,
        in_advance: false,
    }
}

pub(crate) const BUDGET: BudgetId = BudgetId::from_u128(77);
const KEY: tidegate_types::KeyId = tidegate_types::KeyId::from_u128(11);

/// A lifetime window: its end is beyond any calendar.
pub(crate) fn held(amount: i64) -> HeldBudget {
    HeldBudget {
        budget_id: BUDGET,
        window_start: Timestamp::from_micros(0),
        window_end: Timestamp::from_micros(i64::MAX),
        amount: NanoUsd::new(amount),
    }
}

pub(crate) fn call_record(tenant: &Tenant, call_id: CallId, refused: bool) -> CallRecord {
    let attempt = AttemptRecord {
        provider_id: tidegate_types::ProviderId::from_u128(13),
        offering_id: tidegate_types::OfferingId::from_u128(14),
        credential_id: None,
        credential_type: CredentialType::System,
        status: 200,
        started_ms: 1,
        duration_ms: 2,
        outcome: None,
        evidence: vec![],
    };
    CallRecord {
        call_id,
        at: NOW,
        organization_id: tenant.organization.id,
        team_id: tenant.team.id,
        key_id: KEY,
        surface: Surface::OpenaiChat,
        stream: true,
        model_id: Some(tidegate_types::ModelId::from_u128(12)),
        route_id: None,
        status: 200,
        outcome: CallOutcome::Answered,
        attempts: if refused { vec![] } else { vec![attempt] },
        usage: Usage::default(),
        cost: NanoUsd::new(7),
        ttft_ms: Some(3),
        duration_ms: 10,
        overhead_us: 90,
        end_user: None,
        session: None,
        app: None,
        tags: vec![],
        revision: Revision { shard: Shard::SYSTEM, n: 1 },
        zdr: tidegate_types::resource::ZdrTier::None,
        inference_regions: None,
        plan: None,
        trace: None,
        cached_from: None,
    }
}

/// Gives records their places in a lane, from `first` on.
pub(crate) fn shipped(
    node_id: NodeId,
    first: u64,
    records: impl IntoIterator<Item = intake::Record>,
) -> Vec<intake::Shipped> {
    let place = |sequence| RecordKey { node_id, boot: 1, lane: 0, sequence };
    (first..)
        .zip(records)
        .map(|(sequence, record)| intake::Shipped { key: place(sequence), record })
        .collect()
}

pub(crate) fn billed(event: BillingEvent) -> intake::Record {
    let cost = event.cost;
    intake::Record::Event { event, cost }
}

/// Writes one of every resource for a tenant, as its own.
pub(crate) async fn insert_all(change: &mut Change, tenant: &Tenant) -> VirtualKey {
    let (organization, team) = (tenant.organization.id, tenant.team.id);
    let added = key(organization, team, "app");
    keys::insert(change, &added).await.unwrap();
    let (credential, envelope) = credential(organization);
    credentials::insert(change, &credential, &envelope).await.unwrap();
    providers::insert(change, &provider(organization)).await.unwrap();
    models::insert(change, &model(organization)).await.unwrap();
    offerings::insert(change, &offering(organization)).await.unwrap();
    routes::insert(change, &route(organization)).await.unwrap();
    policies::insert(change, &policy(organization, team)).await.unwrap();
    budgets::insert(change, &budget(organization, team)).await.unwrap();
    labels::put(change, LabelHash::from_bytes([3; 16]), "end_user", "ada").await.unwrap();
    wrapped::insert_data_key(change, &wrapped::Wrapped { version: 1, bytes: vec![1] }).await.unwrap();
    added
}

/// One of everything above organizations.
pub(crate) async fn insert_platform(store: &Store) {
    let system = SystemActor::new("test").acting_for(OrganizationId::SYSTEM);
    let mut change = store.change(&system, NOW).await.unwrap();
    join_tokens::insert(&mut change, &[4; 32], "default", NOW.plus_millis(900_000)).await.unwrap();
    let key = wrapped::Wrapped { version: 1, bytes: vec![1] };
    assert!(wrapped::insert_pool_key(&mut change, "default", &key).await.unwrap());
    assert!(wrapped::insert_pepper(&mut change, &key).await.unwrap());
    let authority =
        wrapped::Authority { version: 1, certificate: vec![1], wrapped_key: vec![2], created_at: NOW };
    assert!(wrapped::insert_authority(&mut change, &authority).await.unwrap());
    assert!(!wrapped::insert_authority(&mut change, &authority).await.unwrap());
    commit(change).await;
}
