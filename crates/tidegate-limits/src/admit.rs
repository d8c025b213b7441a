//! What a call asks of the limiter before anything is sent, and what it gets.
//!
//! Knows nothing of stores: the same words are spoken by Redis and by memory.

use smallvec::SmallVec;
use tidegate_types::resource::KeyLimits;
use tidegate_types::{CallId, CredentialId, KeyId, ModelId, OrganizationId, TeamId, Timestamp};

use crate::Limiter;
use crate::budget::{HeldUnder, Hold};

/// Whose rate or concurrency is limited, within an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateScope {
    /// The organization as a whole.
    Organization,
    /// A team: shared by its keys.
    Team(TeamId),
    /// One virtual key.
    Key(KeyId),
    /// One credential at a provider.
    Credential(CredentialId),
    /// A model: shared by the organization's keys.
    Model(ModelId),
}

/// The limits of one scope. A limit of 0 refuses every call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScopeLimits {
    /// Whose limits.
    pub scope: RateScope,
    /// Requests and tokens per minute (burst: one minute's worth), calls in flight.
    pub limits: KeyLimits,
}

impl ScopeLimits {
    /// Whether nothing at all is limited.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.limits.requests_per_minute.is_none()
            && self.limits.tokens_per_minute.is_none()
            && self.limits.concurrency.is_none()
    }
}

/// A call that wants in: all of it is granted, or nothing.
#[derive(Debug, Clone)]
pub struct Admit {
    /// Whose call.
    pub organization_id: OrganizationId,
    /// The call.
    pub call_id: CallId,
    /// Limits that apply, any order; scopes without limits may be left out.
    pub scopes: SmallVec<[ScopeLimits; 3]>,
    /// Tokens (input estimate and granted output) reserved in every token bucket; the
    /// reservation is corrected by [`Release::tokens_used`]. More than a bucket can ever hold
    /// counts as the whole bucket, so that a big call passes when the bucket is full.
    pub tokens: u64,
    /// The first attempt's hold.
    pub hold: Option<Hold>,
}

/// State of one bucket, for the rate-limit headers of the caller's dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketState {
    /// Units per minute.
    pub limit: u32,
    /// Units left now, this call's already taken off.
    pub remaining: u32,
    /// Milliseconds until the bucket is full again.
    pub reset_ms: u64,
}

/// The tightest request bucket and the tightest token bucket (fewest units left) of all scopes.
/// `None`: no scope has such a limit, or (away) nobody can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// Requests: `x-ratelimit-*-requests`, `anthropic-ratelimit-requests-*`.
    pub requests: Option<BucketState>,
    /// Tokens: `x-ratelimit-*-tokens`, `anthropic-ratelimit-tokens-*`.
    pub tokens: Option<BucketState>,
}

/// A call that is in.
#[derive(Debug)]
pub struct Admitted {
    /// Slots and reserved tokens; give it back with [`Limiter::release`] when the call ends.
    pub permit: Permit,
    /// Where the first hold was placed.
    pub held: HeldUnder,
    /// For the answer's headers.
    pub rates: Rates,
    /// The store's time of the decision.
    pub at: Timestamp,
}

/// What a permit gives back.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) organization_id: OrganizationId,
    pub(crate) call_id: CallId,
    pub(crate) scopes: SmallVec<[ScopeLimits; 3]>,
    pub(crate) tokens: u64,
    /// Where its rates were taken from.
    pub(crate) source: Source,
}

/// Where a call's rates were taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Store,
    /// What this process has of the store's buckets in advance.
    Grant,
    /// This node's fair share, because the store is away.
    Share,
    /// Nothing was asked for.
    Here,
}

/// Proof that a call is in. Dropping it gives the slots back and lets the token reservation
/// stand; [`Limiter::release`] also corrects the tokens.
pub struct Permit {
    lease: Option<Lease>,
    limiter: Limiter,
}

impl Permit {
    pub(crate) const fn new(lease: Option<Lease>, limiter: Limiter) -> Self {
        Self { lease, limiter }
    }

    pub(crate) fn take(&mut self) -> Option<Lease> {
        self.lease.take()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.limiter.give_back(lease, None);
        }
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permit").field("lease", &self.lease).finish_non_exhaustive()
    }
}

/// The end of a call, as far as rates and slots are concerned.
#[derive(Debug)]
pub struct Release {
    /// What the call was admitted with.
    pub permit: Permit,
    /// Tokens really used, input and output; less than reserved is refunded, more is a debt.
    /// `None`: the reservation stands.
    pub tokens_used: Option<u64>,
}
