//! Resources and events, as small as they may be.

use tidegate_telemetry::entropy;
use tidegate_types::resource::{
    AllowList, Budget, Enforcement, HoldMode, KeyLimits, KeySecret, KeyStatus, Offering, Organization, Price,
    PriceTier, Scope, Team, Unit, UnitPrice, VirtualKey,
};
use tidegate_types::usage::{
    BillingEvent, CallOutcome, CallRecord, CredentialType, EventKind, HeldBudget, MeterMethod, Outcome,
    Surface, Usage,
};
use tidegate_types::window::{True, WeekStart, WindowSpec};
use tidegate_types::{
    BudgetId, KeyId, ModelId, NanoUsd, OfferingId, OrganizationId, PicoUsd, PriceId, ProviderId, Revision,
    Shard, TeamId, Timestamp,
};

use crate::plane::now;

pub(crate) fn organization(slug: &str) -> Organization {
    Organization {
        id: entropy::new_id(now()),
        slug: slug.to_owned(),
        name: slug.to_owned(),
        time_zone: "UTC".to_owned(),
        week_start: WeekStart::Monday,
        paused: false,
        max_staleness_seconds: None,
        label_key: [7; 32],
        limits: tidegate_types::resource::KeyLimits::default(),
        model_limits: Vec::new(),
        bound_issuers: Vec::new(),
        cache_purges: 0,
    }
}

pub(crate) fn team(organization_id: OrganizationId) -> Team {
    let limits = KeyLimits::default();
    Team { organization_id, id: entropy::new_id(now()), name: "team".to_owned(), paused: false, limits }
}

pub(crate) fn key(organization_id: OrganizationId, team_id: TeamId, name: &str) -> VirtualKey {
    VirtualKey {
        organization_id,
        id: entropy::new_id(now()),
        team_id,
        name: name.to_owned(),
        status: KeyStatus::Active,
        secrets: vec![KeySecret { pepper_version: 1, hmac: [9; 32], until: None }],
        expires_at: None,
        allow: AllowList::default(),
        limits: KeyLimits::default(),
        tags: Default::default(),
    }
}

pub(crate) fn budget(organization_id: OrganizationId) -> Budget {
    Budget {
        organization_id,
        id: entropy::new_id(now()),
        name: "all".to_owned(),
        limit: NanoUsd::new(1_000_000_000),
        window: WindowSpec::Lifetime { lifetime: True },
        scope: Scope::default(),
        enforcement: Enforcement::Hard,
        mode: HoldMode::Strict,
        count_byok: true,
        alert_at_percent: vec![],
        raises: Vec::new(),
        past: None,
    }
}

/// 1 nano-USD per input token, 2 per output token.
pub(crate) fn offering() -> Offering {
    let unit = |unit, nano: i64| UnitPrice { unit, price: PicoUsd::new(nano * 1000) };
    let prices = vec![unit(Unit::InputToken, 1), unit(Unit::OutputToken, 2)];
    let price = Price {
        id: entropy::new_id(now()),
        tiers: vec![PriceTier { from_input_tokens: 0, prices }],
        valid_from: Timestamp::from_seconds(1_700_000_000),
        recorded_at: Timestamp::from_seconds(1_700_000_000),
        source: "test".to_owned(),
    };
    Offering {
        organization_id: OrganizationId::SYSTEM,
        id: entropy::new_id(now()),
        model: "acme/one".parse().unwrap(),
        provider: "acme".parse().unwrap(),
        upstream_name: "one".to_owned(),
        max_output_tokens: None,
        enabled: true,
        prices: vec![price],
        data_handling: None,
        locations: Vec::new(),
        output_visible: true,
        notes: Default::default(),
    }
}

/// An attempt of a call with 100 input and 50 output tokens: 200 nano-USD at [`offering`]'s price.
#[derive(Clone)]
pub(crate) struct Attempt {
    pub(crate) organization_id: OrganizationId,
    pub(crate) team_id: TeamId,
    pub(crate) key_id: KeyId,
    pub(crate) price_id: Option<PriceId>,
    pub(crate) budget_id: BudgetId,
    pub(crate) epoch: u64,
}

pub(crate) const COST: NanoUsd = NanoUsd::new(200);
pub(crate) const HELD: NanoUsd = NanoUsd::new(500);

impl Attempt {
    pub(crate) fn intent(&self) -> BillingEvent {
        let at = now();
        let window_end = Timestamp::from_micros(i64::MAX);
        let window_start = Timestamp::from_micros(0);
        BillingEvent {
            call_id: entropy::new_id(at),
            attempt: 0,
            kind: EventKind::Intent,
            step: 0,
            at,
            organization_id: self.organization_id,
            team_id: self.team_id,
            key_id: self.key_id,
            model_id: ModelId::from_u128(1),
            provider_id: ProviderId::from_u128(2),
            offering_id: OfferingId::from_u128(3),
            credential_id: None,
            credential_type: CredentialType::System,
            price_id: self.price_id,
            ceiling_pico: None,
            epoch: self.epoch,
            holds: vec![HeldBudget { budget_id: self.budget_id, window_start, window_end, amount: HELD }],
            deadline: at.plus_millis(600_000),
            outcome: Outcome::Open,
            method: MeterMethod::Nothing,
            usage: Usage::default(),
            cost: NanoUsd::ZERO,
            revision: Revision { shard: Shard::of(self.organization_id), n: 1 },
            end_user: None,
            tags: vec![],
            cached_percent: None,
            in_advance: false,
        }
    }

    pub(crate) fn end(intent: &BillingEvent, cost: NanoUsd) -> BillingEvent {
        BillingEvent {
            kind: EventKind::Final,
            outcome: Outcome::Completed,
            method: MeterMethod::Reported,
            usage: Usage { input_tokens: 100, output_tokens: 50, requests: 1, ..Usage::default() },
            cost,
            ..intent.clone()
        }
    }

    pub(crate) fn call(end: &BillingEvent) -> CallRecord {
        CallRecord {
            call_id: end.call_id,
            at: end.at,
            organization_id: end.organization_id,
            team_id: end.team_id,
            key_id: end.key_id,
            surface: Surface::OpenaiChat,
            stream: false,
            model_id: Some(end.model_id),
            route_id: None,
            status: 200,
            outcome: CallOutcome::Answered,
            attempts: vec![],
            usage: end.usage,
            cost: end.cost,
            ttft_ms: Some(5),
            duration_ms: 10,
            overhead_us: 100,
            end_user: None,
            session: None,
            app: None,
            tags: vec![],
            revision: end.revision,
            zdr: tidegate_types::resource::ZdrTier::None,
            inference_regions: None,
            plan: None,
            trace: None,
            cached_from: None,
        }
    }
}
