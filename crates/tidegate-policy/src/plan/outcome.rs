//! What a plan says.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use smallvec::SmallVec;
use tidegate_pricing::Tariff;
use tidegate_types::resource::{Credential, KeyLimits, LimitAt, Model, Provider};
use tidegate_types::usage::{CallShare, CredentialType};
use tidegate_types::window::Window;
use tidegate_types::{CredentialId, KeyId, ModelId, NanoUsd, OfferingId, ProviderSlug, TeamId, Timestamp};

use super::effective::EffectivePolicy;
use super::eject::Turn;
use super::filter::Filter;
use super::measured::{Condition, Pause, Quota, Vitals};
use super::order::Rank;
use super::wishes::Sort;
use crate::compiled::{Budget, Offering, Route, Vouched};

/// A budget that a candidate's attempt counts towards, and the window it falls into.
#[derive(Debug, Clone)]
pub struct BudgetRef {
    /// The budget: hard or soft, how much to hold.
    pub budget: Arc<Budget>,
    /// The window that contains the plan's time.
    pub window: Window,
    /// Its limit at the plan's time.
    pub limit: LimitAt,
}

/// Why a candidate is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The model was asked for by name.
    Named,
    /// Target of the route, drawn by its share.
    Drawn {
        /// Its weight.
        weight: u32,
        /// The weights of all targets that could answer.
        of: u64,
    },
    /// Target of the route that was not drawn.
    Undrawn,
    /// Fallback of the route, from 0.
    Fallback(u8),
    /// Fallback that the request names, from 0.
    Wished(u8),
}

/// Somebody who may answer the call.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Who is called.
    pub provider: Arc<Provider>,
    /// The model.
    pub model: Arc<Model>,
    /// The model at the provider.
    pub offering: Arc<Offering>,
    /// What it is signed in with; `None` where the provider asks for nothing.
    pub credential: Option<Arc<Credential>>,
    /// Who pays the provider.
    pub credential_type: CredentialType,
    /// What the attempt is held and charged by.
    pub tariff: Tariff,
    /// What its provider calls the model over this credential, where that is not the offering's name.
    pub custom_name: Option<Arc<str>>,
    /// Most output tokens here.
    pub max_output_tokens: u32,
    /// What the attempt counts towards.
    pub budgets: SmallVec<[BudgetRef; 4]>,
    /// Why it is there.
    pub role: Role,
    /// How its model fares at its provider.
    pub vitals: Vitals,
    /// Whether it is left alone at the moment.
    pub pause: Pause,
    /// What is left of its credential's quota.
    pub quota: Quota,
    /// How its credential shares calls with others; `None`: it does not.
    pub share: Option<CallShare>,
    /// A last resort: it ails, and at least half of the candidates do not.
    pub ejected: bool,
    /// By what it meets the demands on data handling; empty where nothing is demanded.
    pub vouched: Vouched,
    pub(super) rank: Rank,
    pub(super) turn: Turn,
}

/// A candidate that a filter took out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The model, or the name of a fallback that means none.
    pub model: Arc<str>,
    /// The provider; `None` when the model was taken out as a whole.
    pub provider: Option<ProviderSlug>,
    /// The model at that provider.
    pub offering_id: Option<OfferingId>,
    /// The model; `None` where the name means none.
    pub model_id: Option<ModelId>,
    /// The credential; `None` when the offering was taken out with every credential.
    pub credential: Option<CredentialId>,
    /// What took it out.
    pub filter: Filter,
}

/// Whose rate limit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateScope {
    /// The key's.
    Key(KeyId),
    /// The team's, shared by its keys.
    Team(TeamId),
    /// The organization's, shared by all of its keys.
    Organization,
    /// The organization's for one model.
    Model(ModelId),
}

/// Rate limits that a call must pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Whose.
    pub scope: RateScope,
    /// At least one of them is set.
    pub limits: KeyLimits,
}

/// What to do with a call.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The route that was asked for.
    pub route: Option<Arc<Route>>,
    /// In the order in which they are tried, those that are ejected last; at least half are not.
    pub candidates: SmallVec<[Candidate; 1]>,
    /// What the filters took out.
    pub removed: SmallVec<[Removed; 1]>,
    /// Rate limits of key, team, organization and of each candidate's model, the narrowest scope first.
    pub rates: SmallVec<[RateLimit; 4]>,
    /// What the policies together demand.
    pub policy: EffectivePolicy,
    /// Epoch of the organization's budget counters; 0 while none is known.
    pub epoch: u64,
}

impl Candidate {
    /// Whether all of its evidence still holds at `now`: asked before each attempt, for a call may last.
    #[must_use]
    pub fn is_vouched_at(&self, now: Timestamp) -> bool {
        self.vouched.iter().all(|evidence| now < evidence.expires_at)
    }

    /// What the provider calls the model.
    #[must_use]
    pub fn upstream_name(&self) -> &str {
        self.custom_name.as_deref().unwrap_or(&self.offering.upstream_name)
    }

    /// In words, for explanations.
    #[must_use]
    pub fn reason(&self) -> String {
        let credential = match (&self.credential, self.credential_type) {
            (None, _) => "no credential needed".to_owned(),
            (Some(_), CredentialType::Client) => "credential of the request".to_owned(),
            (Some(credential), CredentialType::System) => format!("system credential {}", credential.id),
            (Some(credential), _) => format!("own credential {}", credential.id),
        };
        format!("{}; {credential}{}{}", self.role, self.sharing(), self.standing())
    }

    /// How it shares calls with other credentials, and what is left of its quota. Of the operator's neither is told:
    /// how many accounts it has, and how full they are, is its own.
    fn sharing(&self) -> String {
        let mut reason = String::new();
        if self.credential_type == CredentialType::System {
            return reason;
        }
        if let Some(CallShare { weight, of }) = self.share {
            let _ = write!(reason, "; shares calls with weight {weight} of {of}");
        }
        match self.quota {
            Quota::FULL => {}
            Quota::SPENT => reason.push_str("; nothing is left of its quota, says its provider"),
            little => {
                let _ =
                    write!(reason, "; little is left of its quota: {} tenths of its share", little.tenths());
            }
        }
        reason
    }

    pub(super) fn credential_bits(&self) -> u128 {
        self.credential.as_ref().map_or(0, |credential| credential.id.to_u128())
    }

    /// The same for those whom credentials do not concern.
    #[must_use]
    pub fn why(&self) -> String {
        format!("{}{}", self.role, self.standing())
    }

    /// Place in the request's order, and how it fares, where there is something to say.
    fn standing(&self) -> String {
        let mut reason = String::new();
        if let Some(place) = self.rank.place() {
            reason.push_str(&format!("; place {} in `order`", u32::from(place) + 1));
        }
        if self.pause != Pause::None {
            reason.push_str("; left alone for a while");
        }
        match self.vitals.condition {
            Condition::Fine => {}
            Condition::Degraded => reason.push_str("; degraded: some of its calls fail"),
            Condition::Down => reason.push_str("; down: most of its calls fail"),
        }
        match (self.ejected, self.turn.probes) {
            (true, _) => reason.push_str("; ejected: a last resort"),
            (false, true) => reason.push_str("; this call finds out whether it answers again"),
            (false, false) => {}
        }
        reason
    }

    /// What a call of this size would cost at most.
    #[must_use]
    pub const fn estimate(&self) -> NanoUsd {
        self.rank.estimate
    }

    /// What it is ranked by: USD, milliseconds, or tokens per second; `None`: unknown.
    #[must_use]
    pub fn metric(&self, sort: Sort) -> Option<f64> {
        match sort {
            Sort::Cost => Some(self.rank.estimate.get() as f64 / 1e9),
            Sort::Ttft => self.vitals.ttft_ms.map(f64::from),
            Sort::Tps => self.vitals.milli_tps.map(|milli| f64::from(milli) / 1e3),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named => f.write_str("asked for by name"),
            Self::Drawn { weight, of } => write!(f, "drawn with weight {weight} of {of}"),
            Self::Undrawn => f.write_str("target that was not drawn"),
            Self::Fallback(place) => write!(f, "fallback {}", u16::from(*place) + 1),
            Self::Wished(place) => write!(f, "fallback {} of the request", u16::from(*place) + 1),
        }
    }
}
