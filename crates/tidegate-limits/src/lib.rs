//! Rates, concurrency and budgets: the only crate that knows Redis.
//!
//! [`Limiter::admit`] takes everything that a call needs in one step (one script call), all or
//! nothing; [`Limiter::settle`] and [`Limiter::release`] give back off the caller's path. Redis
//! and memory keep the same semantics, proven by one shared suite. Knows nothing of prices,
//! snapshots, HTTP; counts in nano-USD, tokens and calls.

mod admit;
mod budget;
mod epoch;
mod error;
mod expiry;
mod left;
mod limiter;
mod memory;
mod rate;
mod redis;
mod settings;
mod stats;

pub use admit::{Admit, Admitted, BucketState, Permit, RateScope, Rates, Release, ScopeLimits};
pub use budget::{Balance, BudgetHold, End, HeldUnder, Hold, MAX_AMOUNT, Settlement};
pub use error::{LimitError, RateKind, Refusal, Refused, Unfit};
pub use left::{Ended, LeftHold, Process};
pub use limiter::{Limiter, UnderWay};
pub use redis::{Board, ClusterSurvey, Heard, Survey, survey, survey_cluster, survey_sentinels};
pub use settings::{GrantSettings, RedisSettings, SentinelSettings, Timing};
pub use stats::{Mode, Passed, Stats};
