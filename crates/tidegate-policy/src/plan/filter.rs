//! The filters: each says why a model, an offering or a credential is not a candidate.

use std::fmt;
use std::sync::Arc;

use tidegate_types::BudgetId;
use tidegate_types::resource::{Areas, ZdrTier};

use super::refusal::Why;

/// Whose allow list it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allower {
    /// The key's.
    Key,
    /// That of the policy with this name.
    Policy(Arc<str>),
}

/// Who says where a call may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asker {
    /// The request.
    Request,
    /// The policy with this name.
    Policy(Arc<str>),
}

/// Why something is not a candidate, in the order in which it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// A fallback's name means nothing, or the key may not ask for it.
    Name(Box<Why>),
    /// The route names a model that does not exist.
    UnknownModel,
    /// Nobody offers the model.
    NotOffered,
    /// An allow list does not name the model.
    Model(Allower),
    /// The route's target names other providers.
    RouteProviders,
    /// The request names other providers in `only`.
    Only,
    /// An allow list does not name the provider.
    Provider(Allower),
    /// The provider's home is not one that is allowed, or not known.
    Headquarters(Asker),
    /// Where the model would run is not where it may, or not known.
    Residency {
        /// Who does not allow it.
        by: Asker,
        /// Where all policies and the request allow it.
        allowed: Areas,
        /// Where it may run; `None`: unknown.
        runs: Option<Areas>,
    },
    /// The provider's promises are too weak, unknown or expired.
    Zdr {
        /// What is demanded.
        demanded: ZdrTier,
        /// What is known to be kept.
        promised: ZdrTier,
    },
    /// The provider's promises for a feature that the request makes use of are too weak, unknown or expired.
    Feature {
        /// The feature, as requests name it.
        name: Arc<str>,
        /// What is demanded.
        demanded: ZdrTier,
        /// What is known to be kept.
        promised: ZdrTier,
    },
    /// Another kind of model.
    Kind,
    /// The model lacks something that the request uses.
    Lacks(&'static str),
    /// No price is known of what the call is billed by, and no policy names a ceiling price.
    NoPrice,
    /// More output is asked for than can be had.
    Output {
        /// The most.
        most: u32,
    },
    /// The input cannot fit.
    Context {
        /// Tokens of input and output together.
        window: u32,
    },
    /// The offering or its provider is disabled or missing.
    Disabled,
    /// A tightening of the model could not be applied.
    Closed,
    /// Policies forbid system credentials, and there is no own one.
    SystemCredentials,
    /// There is no credential for the provider.
    NoCredential,
    /// The credential is disabled.
    CredentialDisabled,
    /// The organization's own credential has no attested data-handling terms.
    Unattested,
    /// The organization has a price of its own for its credentials there.
    OwnPrice,
    /// A budget that covers it could not be tightened.
    BudgetClosed(BudgetId),
}

impl Filter {
    /// Place in the order of filters: what a later one took out had passed all earlier ones.
    pub(crate) const fn stage(&self) -> u8 {
        match self {
            Self::Name(_) | Self::UnknownModel => 0,
            Self::NotOffered => 1,
            Self::Model(_) => 2,
            Self::RouteProviders => 3,
            Self::Only => 4,
            Self::Provider(_) => 5,
            Self::Zdr { .. } | Self::Feature { .. } => 6,
            Self::Kind => 7,
            Self::Lacks(_) => 8,
            Self::NoPrice => 9,
            Self::Output { .. } => 10,
            Self::Context { .. } => 11,
            Self::Disabled => 12,
            Self::Headquarters(_) => 13,
            Self::Closed => 14,
            Self::NoCredential => 15,
            Self::SystemCredentials => 16,
            Self::CredentialDisabled => 17,
            Self::Unattested => 18,
            Self::OwnPrice => 19,
            Self::Residency { .. } => 20,
            Self::BudgetClosed(_) => 21,
        }
    }
}

impl fmt::Display for Allower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("the key's allow list"),
            Self::Policy(name) => write!(f, "policy '{name}'"),
        }
    }
}

impl Asker {
    /// The setting that says so, as people find it.
    fn setting(&self, name: &str) -> String {
        match self {
            Self::Policy(policy) => format!("`privacy.{name}` of policy '{policy}'"),
            Self::Request if name == "inference_regions" => "the request's `inferenceRegion`".to_owned(),
            Self::Request => format!("the request's `{name}`"),
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(why) => write!(f, "{why}"),
            Self::UnknownModel => f.write_str("there is no such model"),
            Self::NotOffered => f.write_str("no provider offers it"),
            Self::Model(allower) => write!(f, "{allower} does not allow this model"),
            Self::RouteProviders => f.write_str("the route names other providers"),
            Self::Only => f.write_str("`only` names other providers"),
            Self::Provider(allower) => write!(f, "{allower} does not allow this provider"),
            Self::Headquarters(by) => {
                write!(f, "its home is not one that {} allows, or not known", by.setting("headquarters"))
            }
            Self::Residency { by, allowed, runs } => {
                let by = by.setting("inference_regions");
                match allowed.is_empty() {
                    true => write!(f, "{by} and the other demands have no area in common; ")?,
                    false => write!(f, "{by} allows inference in {allowed} only; ")?,
                }
                match runs {
                    Some(areas) => write!(f, "it runs in {areas}"),
                    None => f.write_str("where it runs is not known"),
                }
            }
            Self::Zdr { demanded, promised } => {
                write!(f, "data handling {} is demanded, {} is known", demanded.as_str(), promised.as_str())
            }
            Self::Feature { name, demanded, promised } => write!(
                f,
                "data handling {} is demanded, {} is known of its `{name}`",
                demanded.as_str(),
                promised.as_str()
            ),
            Self::Kind => f.write_str("it is another kind of model"),
            Self::Lacks(what) => write!(f, "it cannot do {what}"),
            Self::NoPrice => f.write_str("it has no price of what the call is billed by"),
            Self::Output { most } => write!(f, "it writes at most {most} output tokens"),
            Self::Context { window } => write!(f, "its context window of {window} tokens is too small"),
            Self::Disabled => f.write_str("the offering or its provider is disabled"),
            Self::Closed => f.write_str("a restriction of it could not be applied, so it is refused"),
            Self::SystemCredentials => {
                f.write_str("policies forbid system credentials, and there is no own one")
            }
            Self::NoCredential => f.write_str("there is no credential for the provider"),
            Self::CredentialDisabled => f.write_str("the credential is disabled"),
            Self::Unattested => f.write_str("the own credential has no attested data-handling terms"),
            Self::OwnPrice => f.write_str("the organization has a price of its own for its credentials"),
            Self::BudgetClosed(id) => write!(f, "budget {id} could not be applied, so it refuses"),
        }
    }
}
