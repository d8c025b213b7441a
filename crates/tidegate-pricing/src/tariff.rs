//! What an attempt is charged by: a listed price, or the policy's ceiling where none is known.

use std::sync::Arc;

use tidegate_types::resource::Price;
use tidegate_types::usage::Usage;
use tidegate_types::{NanoUsd, PicoUsd, PriceId};

use crate::cost::{all_input, rounded_up, times};

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

    /// The most that may be charged within these counts.
    #[must_use]
    pub fn bound(&self, max_input_tokens: u64, max_output_tokens: u64) -> NanoUsd {
        match self {
            Self::Listed(price) => crate::bound(price, max_input_tokens, max_output_tokens),
            Self::Ceiling(ceiling) => ceiling_bound(*ceiling, max_input_tokens, max_output_tokens),
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
    ceiling_bound(ceiling, all_input(usage), usage.output_tokens.max(usage.reasoning_tokens))
}

/// The most that may be charged within these counts where every token costs `ceiling`.
#[must_use]
pub fn ceiling_bound(ceiling: PicoUsd, max_input_tokens: u64, max_output_tokens: u64) -> NanoUsd {
    let pico = ceiling.get().max(0);
    rounded_up(times(max_input_tokens, pico).saturating_add(times(max_output_tokens, pico)))
}
