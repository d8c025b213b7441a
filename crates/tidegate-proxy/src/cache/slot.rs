//! Whether a call takes part in the cache, and where its answer would lie.

use std::time::Duration;

use http::HeaderMap;
use tidegate_dialect::read::{FindingKind, Way};
use tidegate_policy::{CacheUse, Plan};
use tidegate_types::resource::Operation;
use tidegate_types::{KeyId, ModelId, OrganizationId, RouteId, TeamId};
use tidegate_upstream::forwarded;

use super::Told;
use super::key::{Asked, CacheKey};
use super::wish::{CACHE, Wish};
use crate::authenticate::Caller;
use crate::face::Face;
use crate::gateway::Gateway;
use crate::read_call::Call;
use crate::refusal::Refused;

/// Whose call made an answer, and as of which purges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) organization: OrganizationId,
    pub(crate) team: TeamId,
    pub(crate) key: KeyId,
    pub(crate) purges: u64,
    pub(crate) route: Option<(RouteId, u64)>,
}

/// Where a call's answer lies, or would.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(super) key: CacheKey,
    pub(super) owner: Owner,
    /// The model that is meant: an answer of another one is not kept.
    pub(super) model: ModelId,
    pub(super) life: Duration,
    pub(super) most: usize,
    pub(super) percent: u8,
    pub(super) wish: Wish,
}

/// How a call stands to the cache.
#[derive(Debug)]
pub(crate) enum Seat {
    /// It takes no part.
    None,
    /// It would, but cannot.
    Bypass,
    /// It takes part.
    Here(Box<Slot>),
}

impl Seat {
    pub(crate) fn slot(&self) -> Option<&Slot> {
        match self {
            Self::Here(slot) => Some(slot),
            Self::None | Self::Bypass => None,
        }
    }

    /// What the answer of a provider says of it.
    pub(crate) const fn told(&self) -> Told {
        match self {
            Self::None => Told::Nothing,
            Self::Bypass => Told::Bypass,
            Self::Here(_) => Told::Miss,
        }
    }
}

/// Finds it. For a call that nobody wished to be answered from the cache, this is one look at its headers.
pub(crate) fn seat(
    gateway: &Gateway,
    caller: &Caller,
    call: &Call,
    face: &Face<'_>,
    plan: &Plan,
    headers: &HeaderMap,
) -> Result<Seat, Refused> {
    let rules = &plan.policy.caching;
    if (rules.may != CacheUse::Always && !headers.contains_key(&CACHE)) || !gateway.cache.is_on() {
        return Ok(Seat::None);
    }
    let wish = Wish::of(headers)?;
    if !wish.on.unwrap_or(rules.may == CacheUse::Always) {
        return Ok(Seat::None);
    }
    let (true, Some(first)) =
        (rules.may != CacheUse::Never && can_repeat(call, face), plan.candidates.first())
    else {
        return Ok(Seat::Bypass);
    };
    let view = &caller.view;
    let organization = view.organization().organization();
    let owner = Owner {
        organization: view.organization_id(),
        team: view.team_id(),
        key: view.key_id(),
        purges: organization.cache_purges,
        route: plan.route.as_ref().map(|route| (route.id, route.cache_purges)),
    };
    let asked = Asked {
        organization: owner.organization,
        purges: owner.purges,
        sharing: rules.sharing,
        team: owner.team,
        key: owner.key,
        surface: face.surface,
        through: face.route,
        route: owner.route,
        model: first.model.id,
        markers: call.body.gateway.caching,
        forwarded: &forwarded(headers, call.body.surface, true),
        body: &call.body,
    };
    Ok(match CacheKey::of(&organization.label_key, &asked) {
        None => Seat::Bypass,
        Some(key) => Seat::Here(Box::new(Slot {
            key,
            owner,
            model: first.model.id,
            life: Duration::from_secs(u64::from(rules.ttl_seconds)),
            most: gateway.cache.most_of_one(rules.max_entry_bytes),
            percent: rules.charge_percent,
            wish,
        })),
    })
}

/// Whether the same request would sensibly get the same answer: not where tools of the provider look at the
/// world, where something is kept there or billed beyond its list price, where links expire (images, videos),
/// where the body is no JSON (transcriptions), nor with credentials of the request's own.
fn can_repeat(call: &Call, face: &Face<'_>) -> bool {
    let operation = matches!(
        face.surface.operation(),
        Operation::Language | Operation::Embedding | Operation::Reranking | Operation::Speech
    );
    let body = &call.body;
    operation
        && body.way == Way::Usual
        && !body.counting
        && body.features.is_empty()
        && body.gateway.byok.is_empty()
        && body.finding(&[FindingKind::Retains, FindingKind::Bills]).is_none()
}
