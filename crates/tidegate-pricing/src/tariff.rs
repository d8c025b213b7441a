//! What an attempt is charged by: a listed price, or the policy's ceiling where none is known.

use std::sync::Arc;

use tidegate_types::resource::{ModelKind, Price, Unit};
use tidegate_types::usage::Usage;
use tidegate_types::{NanoUsd, PicoUsd, PriceId};

use crate::cost::{all_input, all_output, rounded_up, times};

/// Chosen at admission; the same tariff holds, bounds and charges the attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tariff {
    /// The offering's price.
    Listed(Arc<Price>),
    /// The policy's ceiling price for each input and output token.
    Ceiling(PicoUsd),
}

impl Tariff {
    /// The charge for `usage`.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> NanoUsd {
        match self {
            Self::Listed(price) => crate::cost(price, usage),
            Self::Ceiling(ceiling) => ceiling_cost(*ceiling, usage),
        }
    }

    /// The most that may be charged for a usage that `most` covers (see [`crate::bound`]).
    #[must_use]
    pub fn bound(&self, most: &Usage) -> NanoUsd {
        match self {
            Self::Listed(price) => crate::bound(price, most),
            Self::Ceiling(ceiling) => {
                let Usage { input_tokens, output_tokens, .. } = *most;
                ceiling_cost(*ceiling, &Usage { input_tokens, output_tokens, ..Usage::default() })
            }
        }
    }

    /// Whether calls of such a model can be charged by it. A ceiling is for tokens only.
    #[must_use]
    pub fn covers(&self, kind: ModelKind) -> bool {
        match self {
            Self::Listed(price) => crate::covers(price, kind),
            Self::Ceiling(_) => matches!(kind, ModelKind::Language | ModelKind::Embedding),
        }
    }

    /// Whether a usage has anything of what it prices.
    #[must_use]
    pub fn meters(&self, usage: &Usage) -> bool {
        match self {
            Self::Listed(price) => crate::meters(price, usage),
            Self::Ceiling(_) => all_input(usage) > 0 || all_output(usage) > 0,
        }
    }

    /// Whether it has a price of this unit; a ceiling is that of every token.
    #[must_use]
    pub fn names(&self, unit: Unit) -> bool {
        match self {
            Self::Listed(price) => crate::names(price, unit),
            Self::Ceiling(_) => unit.is_token(),
        }
    }

    /// The listed price's id, as billing events carry it.
    #[must_use]
    pub fn price_id(&self) -> Option<PriceId> {
        match self {
            Self::Listed(price) => Some(price.id),
            Self::Ceiling(_) => None,
        }
    }

    /// The ceiling in pico-USD per token, as billing events carry it.
    #[must_use]
    pub fn ceiling_pico(&self) -> Option<i64> {
        match self {
            Self::Listed(_) => None,
            Self::Ceiling(ceiling) => Some(ceiling.get()),
        }
    }
}

/// The charge for `usage` where every input and output token costs `ceiling`.
#[must_use]
pub fn ceiling_cost(ceiling: PicoUsd, usage: &Usage) -> NanoUsd {
    let pico = ceiling.get().max(0);
    rounded_up(times(all_input(usage), pico).saturating_add(times(all_output(usage), pico)))
}
