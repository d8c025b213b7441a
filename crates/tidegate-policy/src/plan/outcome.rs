//! What a plan says.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;
use tidegate_pricing::Tariff;
use tidegate_types::resource::{Credential, KeyLimits, Model, Provider};
use tidegate_types::usage::CredentialType;
use tidegate_types::window::Window;
use tidegate_types::{CredentialId, KeyId, ModelName, ProviderSlug, TeamId};

use super::effective::EffectivePolicy;
use super::filter::Filter;
use super::order::Rank;
use crate::compiled::{Budget, Offering, Route};

/// A budget that a candidate's attempt counts towards, and the window it falls into.
#[derive(Debug, Clone)]
pub struct BudgetRef {
    /// The budget: limit, revision of the limit, hard or soft, how much to hold.
    pub budget: Arc<Budget>,
    /// The window that contains the plan's time.
    pub window: Window,
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
    /// Most output tokens here.
    pub max_output_tokens: u32,
    /// What the attempt counts towards.
    pub budgets: SmallVec<[BudgetRef; 4]>,
    /// Why it is there.
    pub role: Role,
    pub(super) rank: Rank,
}

/// A candidate that a filter took out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The model.
    pub model: ModelName,
    /// The provider; `None` when the model was taken out as a whole.
    pub provider: Option<ProviderSlug>,
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
    /// In the order in which they are tried; never empty.
    pub candidates: SmallVec<[Candidate; 4]>,
    /// What the filters took out.
    pub removed: SmallVec<[Removed; 4]>,
    /// Rate limits, the narrowest scope first.
    pub rates: SmallVec<[RateLimit; 2]>,
    /// What the policies together demand.
    pub policy: EffectivePolicy,
    /// Epoch of the organization's budget counters; 0 while none is known.
    pub epoch: u64,
}

impl Candidate {
    /// In words, for explanations.
    #[must_use]
    pub fn reason(&self) -> String {
        let credential = match (&self.credential, self.credential_type) {
            (None, _) => "no credential needed".to_owned(),
            (Some(credential), CredentialType::System) => format!("system credential {}", credential.id),
            (Some(credential), _) => format!("own credential {}", credential.id),
        };
        format!("{}; {credential}", self.role)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named => f.write_str("asked for by name"),
            Self::Drawn { weight, of } => write!(f, "drawn with weight {weight} of {of}"),
            Self::Undrawn => f.write_str("target that was not drawn"),
            Self::Fallback(place) => write!(f, "fallback {}", u16::from(*place) + 1),
        }
    }
}
