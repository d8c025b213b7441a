//! The resources that a gateway of tests begins with, to be put as they are or changed.

use std::collections::BTreeMap;

use tidegate_telemetry::SystemClock;
use tidegate_types::resource::*;
use tidegate_types::window::{True, WeekStart, WindowSpec};
use tidegate_types::{
    BudgetId, Clock, ModelId, OfferingId, OrganizationId, PicoUsd, PriceId, ProviderId, Timestamp,
};

use super::{MODEL, ORG, Offer, TEAM};
use crate::stage::credential;

pub(crate) fn organization() -> Resource {
    Resource::Organization(Organization {
        id: ORG,
        slug: "org".into(),
        name: "Org".into(),
        time_zone: "UTC".into(),
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

pub(crate) fn team(limits: KeyLimits) -> Resource {
    Resource::Team(Team { organization_id: ORG, id: TEAM, name: "test team".into(), paused: false, limits })
}

/// A lifetime budget of the organization.
pub(crate) fn budget(id: u128, limit: &str) -> Budget {
    Budget {
        organization_id: ORG,
        id: BudgetId::from_u128(id),
        name: format!("budget {id}"),
        limit: limit.parse().unwrap(),
        window: WindowSpec::Lifetime { lifetime: True },
        scope: Scope::default(),
        enforcement: Enforcement::Hard,
        mode: HoldMode::Strict,
        count_byok: true,
        alert_at_percent: Vec::new(),
        raises: Vec::new(),
        past: None,
    }
}

/// The organization's policy.
pub(crate) fn policy() -> Policy {
    Policy {
        organization_id: ORG,
        id: tidegate_types::PolicyId::from_u128(1),
        name: "policy".into(),
        scope: PolicyScope::Organization,
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

/// [`MODEL`].
pub(crate) fn model() -> Model {
    Model {
        organization_id: OrganizationId::SYSTEM,
        id: ModelId::from_u128(1),
        name: MODEL.parse().unwrap(),
        display_name: "Chat".into(),
        aliases: Vec::new(),
        kind: ModelKind::Language,
        context_window: 1_000_000,
        max_output_tokens: 10_000,
        capabilities: Capabilities { tools: true, vision: true, reasoning: true, structured_output: true },
        released_at: None,
    }
}

/// [`MODEL`] at each provider: 1 nano-USD per input token, 2 per output token.
pub(super) fn catalogue(offers: &[Offer<'_>]) -> Vec<Resource> {
    let system = OrganizationId::SYSTEM;
    let mut all = vec![Resource::Model(model())];
    for (place, offer) in offers.iter().enumerate() {
        let place = place as u128 + 1;
        all.push(Resource::Provider(provider(place, offer)));
        all.push(Resource::Credential(credential(system, place, CredentialScope::System, offer.slug)));
        all.push(Resource::Offering(offering(place, offer.slug)));
    }
    all
}

/// A provider of the catalogue.
pub(crate) fn provider(place: u128, offer: &Offer<'_>) -> Provider {
    Provider {
        organization_id: OrganizationId::SYSTEM,
        id: ProviderId::from_u128(place),
        slug: offer.slug.parse().unwrap(),
        name: offer.slug.into(),
        base_url: format!("http://{}/v1", offer.peer.address),
        dialect: offer.dialect,
        auth: match offer.dialect {
            DialectName::AnthropicMessages => AuthScheme::XApiKey,
            _ => AuthScheme::Bearer,
        },
        abort_billing: offer.abort_billing,
        enabled: true,
        headquarters: None,
        simulated: true,
        also: Vec::new(),
        quirks: Quirks { max_completion_tokens: offer.slug == "sim-openai", ..Quirks::default() },
    }
}

pub(crate) fn offering(place: u128, slug: &str) -> Offering {
    let unit = |unit, pico| UnitPrice { unit, price: PicoUsd::new(pico) };
    Offering {
        organization_id: OrganizationId::SYSTEM,
        id: OfferingId::from_u128(place),
        model: MODEL.parse().unwrap(),
        provider: slug.parse().unwrap(),
        upstream_name: format!("chat-at-{slug}"),
        max_output_tokens: None,
        enabled: true,
        prices: vec![Price {
            id: PriceId::from_u128(place),
            tiers: vec![PriceTier {
                from_input_tokens: 0,
                prices: vec![unit(Unit::InputToken, 1_000), unit(Unit::OutputToken, 2_000)],
            }],
            valid_from: Timestamp::from_micros(0),
            recorded_at: Timestamp::from_micros(0),
            source: "test".into(),
        }],
        locations: Vec::new(),
        data_handling: Some(DataHandling {
            retention: Retention::None,
            training: Training::Never,
            source: "test".into(),
            read_at: Timestamp::from_micros(0),
            expires_at: SystemClock.now().plus_millis(86_400_000),
            also: Vec::new(),
        }),
        output_visible: true,
        notes: BTreeMap::new(),
    }
}
