//! The calls that are measured.

use std::time::{SystemTime, UNIX_EPOCH};

use smallvec::smallvec;
use tidegate_limits::{Admit, BudgetHold, Hold, Limiter, RateScope, ScopeLimits};
use tidegate_types::resource::KeyLimits;
use tidegate_types::window::Window;
use tidegate_types::{BudgetId, CallId, Clock, KeyId, NanoUsd, OrganizationId, TeamId, Timestamp};

/// Calls are of so many organizations in turn.
pub(crate) const ORGANIZATIONS: u128 = 8;

/// What a call is limited by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One budget.
    Budget,
    /// One budget, and a key's requests and tokens a minute.
    Usual,
    /// Four budgets, the rates of three scopes, and a key's calls in flight.
    Rich,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Budget => "a budget",
            Self::Usual => "a budget, a key's rates",
            Self::Rich => "4 budgets, 3 scopes' rates, a slot",
        }
    }
}

/// The machine's clock.
pub(crate) struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(0))
    }
}

/// A hold on a budget with this limit.
pub(crate) fn part(budget: u128, limit: i64, amount: i64) -> BudgetHold {
    BudgetHold {
        budget_id: BudgetId::from_u128(budget),
        window: Window {
            start: Timestamp::from_seconds(1_700_000_000),
            end: Timestamp::from_seconds(4_000_000_000),
        },
        limit: NanoUsd::new(limit),
        limit_revision: 1,
        amount: NanoUsd::new(amount),
        hard: true,
    }
}

pub(crate) fn call(n: u64, limiter: &Limiter, kind: Kind) -> Admit {
    let limits = KeyLimits {
        requests_per_minute: Some(4_000_000),
        tokens_per_minute: Some(4_000_000_000),
        concurrency: None,
    };
    let key = ScopeLimits { scope: RateScope::Key(KeyId::from_u128(1)), limits };
    let scopes = match kind {
        Kind::Budget => smallvec![],
        Kind::Usual => smallvec![key],
        Kind::Rich => smallvec![
            ScopeLimits { scope: RateScope::Organization, limits },
            ScopeLimits { scope: RateScope::Team(TeamId::from_u128(1)), limits },
            ScopeLimits { limits: KeyLimits { concurrency: Some(1_000_000), ..limits }, ..key }
        ],
    };
    let now = limiter.now();
    let call_id = CallId::from_parts(u64::try_from(now.as_millis()).unwrap_or(0), u128::from(n));
    let budgets = if kind == Kind::Rich { 1..=4 } else { 1..=1 };
    let hold = Hold {
        call_id,
        attempt: 0,
        step: 0,
        epoch: 1,
        deadline: now.plus_millis(600_000),
        budgets: budgets.map(|budget| part(budget, 1 << 52, 1_000_000)).collect(),
    };
    let organization_id = OrganizationId::from_u128(1 + u128::from(n) % ORGANIZATIONS);
    Admit { organization_id, call_id, scopes, tokens: 1000, hold: Some(hold) }
}
