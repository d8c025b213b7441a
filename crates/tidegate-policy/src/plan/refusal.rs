//! Why a call has no plan, in words that name what is wrong.

use smallvec::SmallVec;
use tidegate_types::resource::{Areas, ZdrTier};
use tidegate_types::usage::RefusalCause;

use super::filter::{Asker, Filter};
use super::outcome::Removed;

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Nothing that the key may see has this name.
    #[error("the model '{asked}' does not exist or is not available to this key{}", suggestion(nearest))]
    UnknownModel {
        /// As asked.
        asked: String,
        /// The nearest names that the key may see.
        nearest: Vec<String>,
    },
    /// The path names neither a route nor a provider.
    #[error("'{asked}' is neither a route of the organization nor a provider")]
    UnknownThrough {
        /// As in the path.
        asked: String,
    },
    /// Several models have this name.
    #[error("the model name '{asked}' is ambiguous; write one of: {}", names.join(", "))]
    Ambiguous {
        /// As asked.
        asked: String,
        /// Their full names.
        names: Vec<String>,
    },
    /// An allow list is in the way.
    #[error("'{name}' is not allowed: {filter}")]
    NotAllowed {
        /// The model or route.
        name: String,
        /// The list.
        filter: Filter,
    },
    /// A key for routes asked for a model, or a key for some routes for another one.
    #[error("'{name}' is not allowed: the key's allow list names other routes")]
    RouteNotAllowed {
        /// The model or route.
        name: String,
    },
    /// No price is known.
    #[error("the model '{name}' has no price, and no policy names a ceiling price")]
    NotPriced {
        /// The model or route.
        name: String,
    },
    /// The request asks for what the model cannot do.
    #[error("the model '{name}' cannot serve this request: {filter}")]
    Unable {
        /// The model or route.
        name: String,
        /// What it lacks.
        filter: Filter,
    },
    /// Nobody meets the demanded data handling.
    #[error("no provider of '{name}' meets the data handling tier {}", demanded.as_str())]
    NoZdrProvider {
        /// The model or route.
        name: String,
        /// The tier.
        demanded: ZdrTier,
    },
    /// Nobody is left.
    #[error("no provider is available for '{name}': {filter}")]
    NoProvider {
        /// The model or route.
        name: String,
        /// What took out the last one.
        filter: Filter,
    },
    /// A tightening could not be applied.
    #[error("{what} could not be applied on this node, so the call is refused")]
    Closed {
        /// Policy, budget or route.
        what: String,
    },
}

/// A call without a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct PlanRefusal {
    /// What is wrong.
    pub why: Why,
    /// What the filters took out.
    pub removed: Vec<Removed>,
}

impl PlanRefusal {
    /// The data-handling tier that was demanded, where anything was taken out for its sake.
    #[must_use]
    pub fn demanded(&self) -> Option<ZdrTier> {
        self.removed.iter().find_map(|removed| match removed.filter {
            Filter::Zdr { demanded, .. } | Filter::Feature { demanded, .. } => Some(demanded),
            _ => None,
        })
    }

    /// The areas that were allowed, where anything was taken out for their sake.
    #[must_use]
    pub fn regions(&self) -> Option<Areas> {
        self.removed.iter().find_map(|removed| match removed.filter {
            Filter::Residency { allowed, .. } => Some(allowed),
            _ => None,
        })
    }

    /// The cause, as refusals and call records name it.
    #[must_use]
    pub const fn cause(&self) -> RefusalCause {
        match self.why {
            Why::UnknownModel { .. } | Why::UnknownThrough { .. } | Why::Ambiguous { .. } => {
                RefusalCause::UnknownModel
            }
            Why::NotAllowed { .. } | Why::RouteNotAllowed { .. } | Why::Closed { .. } => {
                RefusalCause::NotAllowed
            }
            Why::NotPriced { .. } => RefusalCause::NotPriced,
            Why::Unable { .. } => RefusalCause::BadRequest,
            Why::NoZdrProvider { .. } | Why::NoProvider { .. } => RefusalCause::NoProvider,
        }
    }

    /// The request field that is to blame, for bodies that have a place for it.
    #[must_use]
    pub const fn param(&self) -> Option<&'static str> {
        match &self.why {
            Why::UnknownModel { .. } | Why::Ambiguous { .. } | Why::NotPriced { .. } => Some("model"),
            Why::NotAllowed { .. } | Why::RouteNotAllowed { .. } => Some("model"),
            Why::Unable { filter: Filter::Output { .. }, .. } => Some("max_tokens"),
            Why::Unable { filter: Filter::Headquarters(Asker::Request), .. } => {
                Some("providerOptions.gateway.headquarters")
            }
            Why::Unable { filter: Filter::Residency { by: Asker::Request, .. }, .. } => {
                Some("providerOptions.gateway.inferenceRegion")
            }
            Why::NoProvider { filter: Filter::Only, .. } => Some("providerOptions.gateway.only"),
            _ => None,
        }
    }
}

impl From<Why> for PlanRefusal {
    fn from(why: Why) -> Self {
        Self { why, removed: Vec::new() }
    }
}

/// Judges what the filters took out: the one that came furthest says what stood in the way.
pub(crate) fn nobody_left(name: &str, removed: SmallVec<[Removed; 1]>) -> PlanRefusal {
    let furthest = removed.iter().map(|removed| &removed.filter).max_by_key(|filter| filter.stage());
    let filter = furthest.cloned().unwrap_or(Filter::NotOffered);
    let name = name.to_owned();
    let why = match filter {
        Filter::Model(_) | Filter::Provider(_) => Why::NotAllowed { name, filter },
        Filter::Zdr { demanded, .. } => Why::NoZdrProvider { name, demanded },
        Filter::NoPrice => Why::NotPriced { name },
        Filter::Feature { .. }
        | Filter::Kind
        | Filter::Lacks(_)
        | Filter::Output { .. }
        | Filter::Context { .. }
        | Filter::Headquarters(_)
        | Filter::Residency { .. } => Why::Unable { name, filter },
        Filter::Closed => Why::Closed { what: format!("a restriction of '{name}'") },
        Filter::BudgetClosed(id) => Why::Closed { what: format!("budget {id}") },
        _ => Why::NoProvider { name, filter },
    };
    PlanRefusal { why, removed: removed.into_vec() }
}

fn suggestion(nearest: &[String]) -> String {
    if nearest.is_empty() { String::new() } else { format!("; did you mean {}?", nearest.join(", ")) }
}
