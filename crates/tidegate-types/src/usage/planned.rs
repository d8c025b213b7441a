//! The plan of a call in its short form: who could have answered, in which order and why, and who was taken
//! out by which filter. Ids and enums only; names are looked up when it is shown.

use serde::{Deserialize, Serialize};

use super::event::CredentialType;
use crate::id::{CredentialId, ModelId, OfferingId};

/// Most candidates, and most removed ones, that a record keeps.
pub const MOST_PLANNED: usize = 8;

/// The plan of a call. Kept only where it says more than the attempts do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRecord {
    /// In the order of the plan, [`MOST_PLANNED`] at most.
    pub candidates: Vec<PlannedCandidate>,
    /// What the filters took out, [`MOST_PLANNED`] at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<RemovedCandidate>,
    /// Candidates beyond those.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_candidates: u32,
    /// Removed ones beyond those.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_removed: u32,
}

/// Somebody who could have answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedCandidate {
    /// The model at a provider.
    pub offering_id: OfferingId,
    /// The credential; absent for those of requests, and where nobody signs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_id: Option<CredentialId>,
    /// Who would have paid.
    pub credential_type: CredentialType,
    /// Why it is there.
    #[serde(flatten)]
    pub role: PlannedRole,
    /// Its place in the request's `order`, from 0; absent where that does not name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<u16>,
    /// How it fared at that moment.
    #[serde(default)]
    pub standing: Standing,
    /// A last resort for that: at least half of the candidates stood better.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ejected: bool,
    /// How it shares calls with other credentials of its order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<CallShare>,
    /// How many tenths of its share it got, for little of its provider's quota was left; 0: nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_tenths: Option<u8>,
}

/// The share of a credential among those of its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallShare {
    /// Its weight.
    pub weight: u32,
    /// The weights of all that share.
    pub of: u64,
}

/// Why a candidate is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum PlannedRole {
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
    /// Fallback of the route.
    Fallback {
        /// Its place, from 0.
        number: u32,
    },
    /// Fallback that the request names.
    Wished {
        /// Its place, from 0.
        number: u32,
    },
}

/// How a candidate fared when the call was planned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Well, or not known.
    #[default]
    Fine,
    /// Some of its calls failed.
    Degraded,
    /// Most of its calls failed.
    Down,
    /// Left alone for a while, after a refusal or a failure of its own.
    Cooling,
}

/// Somebody whom a filter took out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedCandidate {
    /// The model at a provider; absent when the model was taken out as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offering_id: Option<OfferingId>,
    /// The model, where that was taken out as a whole; absent where a name means none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<ModelId>,
    /// The credential; absent when the offering was taken out with every credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_id: Option<CredentialId>,
    /// What took it out.
    pub filter: FilterName,
}

/// The filters of a plan, as records name them. Their numbers are those of the wire and stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum FilterName {
    /// One that this version does not know.
    Other = 0,
    /// A fallback's name means nothing, or may not be asked for.
    Name = 1,
    /// The route names a model that does not exist.
    UnknownModel = 2,
    /// Nobody offers the model.
    NotOffered = 3,
    /// An allow list does not name the model.
    Model = 4,
    /// The route's target names other providers.
    RouteProviders = 5,
    /// `only` names other providers.
    Only = 6,
    /// An allow list does not name the provider.
    Provider = 7,
    /// Its home is not one that is asked for.
    Headquarters = 8,
    /// Its promises of data handling are too weak, unknown or expired.
    Zdr = 9,
    /// The same for a feature that the request uses.
    Feature = 10,
    /// Another kind of model.
    Kind = 11,
    /// It lacks something that the request uses.
    Lacks = 12,
    /// No price is known.
    NoPrice = 13,
    /// More output is asked for than can be had.
    Output = 14,
    /// The input cannot fit.
    Context = 15,
    /// It is disabled or missing.
    Disabled = 16,
    /// A tightening could not be applied.
    Closed = 17,
    /// Policies forbid system credentials.
    SystemCredentials = 18,
    /// There is no credential.
    NoCredential = 19,
    /// The credential is disabled.
    CredentialDisabled = 20,
    /// The own credential has no attested terms.
    Unattested = 21,
    /// The organization has a price of its own there.
    OwnPrice = 22,
    /// A budget that covers it could not be tightened.
    BudgetClosed = 23,
    /// Where it would be processed is not where the request wants it, or not known.
    Residency = 24,
}

impl FilterName {
    /// Every filter, in the order of their numbers.
    pub const ALL: [Self; 25] = [
        Self::Other,
        Self::Name,
        Self::UnknownModel,
        Self::NotOffered,
        Self::Model,
        Self::RouteProviders,
        Self::Only,
        Self::Provider,
        Self::Headquarters,
        Self::Zdr,
        Self::Feature,
        Self::Kind,
        Self::Lacks,
        Self::NoPrice,
        Self::Output,
        Self::Context,
        Self::Disabled,
        Self::Closed,
        Self::SystemCredentials,
        Self::NoCredential,
        Self::CredentialDisabled,
        Self::Unattested,
        Self::OwnPrice,
        Self::BudgetClosed,
        Self::Residency,
    ];

    /// The filter with this number; one that a newer node knows is [`Self::Other`].
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        usize::try_from(number).ok().and_then(|n| Self::ALL.get(n)).copied().unwrap_or(Self::Other)
    }

    /// Its name, the same as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Name => "name",
            Self::UnknownModel => "unknown_model",
            Self::NotOffered => "not_offered",
            Self::Model => "model",
            Self::RouteProviders => "route_providers",
            Self::Only => "only",
            Self::Provider => "provider",
            Self::Headquarters => "headquarters",
            Self::Zdr => "zdr",
            Self::Feature => "feature",
            Self::Kind => "kind",
            Self::Lacks => "lacks",
            Self::NoPrice => "no_price",
            Self::Output => "output",
            Self::Context => "context",
            Self::Disabled => "disabled",
            Self::Closed => "closed",
            Self::SystemCredentials => "system_credentials",
            Self::NoCredential => "no_credential",
            Self::CredentialDisabled => "credential_disabled",
            Self::Unattested => "unattested",
            Self::OwnPrice => "own_price",
            Self::BudgetClosed => "budget_closed",
            Self::Residency => "residency",
        }
    }
}

impl PlannedRole {
    /// Its name, the same as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::Drawn { .. } => "drawn",
            Self::Undrawn => "undrawn",
            Self::Fallback { .. } => "fallback",
            Self::Wished { .. } => "wished",
        }
    }
}

impl Standing {
    /// Its name, the same as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Cooling => "cooling",
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_keep_their_numbers_and_names_and_unknown_ones_are_others() {
        for (number, filter) in (0..).zip(FilterName::ALL) {
            assert_eq!(filter as u32, number);
            assert_eq!(FilterName::from_number(number), filter);
            assert_eq!(serde_json::to_value(filter).unwrap(), filter.as_str());
        }
        assert_eq!(FilterName::from_number(200), FilterName::Other);
    }
}
