//! The response cache: the answer of an earlier call, given again. Exact, and only where it is wished.
//!
//! What is kept is content, and content stays in this node's memory: no store, no disk, no other node, and no
//! longer than its time (`store`). `slot` says whether a call takes part and under which key; `replay` gives a
//! kept answer through the same code as a provider's, so that it speaks the caller's dialect and tells its own
//! id and cost; `keep` collects what is read of a complete answer.

mod keep;
mod key;
mod replay;
mod slot;
mod store;
mod tend;
mod wish;

pub(crate) use keep::{Keep, Keeping};
pub(crate) use replay::{answered, put};
pub(crate) use slot::{Seat, seat};
pub(crate) use store::ResponseCache;
pub(crate) use tend::tend;

/// What an answer says of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// The call took no part.
    Nothing,
    /// Given again, so many seconds after it was made.
    Hit(u64),
    /// Made for this call.
    Miss,
    /// Wished, but not to be had for this call.
    Bypass,
}
