//! Resources in the form in which calls meet them, and what is wrong with those that have none.
//!
//! Each kind is judged and compiled by itself, without looking at other resources, so that
//! changes may come in any grouping and order.

mod budget;
mod credential;
mod extent;
mod handling;
mod key;
mod locations;
mod model;
mod offering;
mod organization;
mod policy;
mod pool;
mod provider;
mod route;
mod team;
mod text;
mod trust;

pub use budget::Budget;
pub use extent::Use;
pub use handling::{Handling, Vouched};
pub use key::KeyRecord;
pub(crate) use key::{Indexed, Shared};
pub use offering::Offering;
pub use organization::Organization;
pub use policy::Policy;
pub use route::Route;

use crate::reason::Reason;

/// A resource's compiled form.
pub(crate) trait Piece: Clone {
    /// The resource as written.
    type Source;
    /// Whether the last good version stays in force beside the closed form (policies and budgets
    /// add up), or is replaced by it.
    const STAYS: bool = false;
    /// Most of them in one organization.
    const MOST: usize;

    /// Everything that is wrong with it by itself.
    fn faults(source: &Self::Source) -> Vec<Reason>;
    /// Approximate bytes of its variable parts.
    fn weight(source: &Self::Source) -> usize;
    /// The compiled form as of change `n`. Must not panic or widen for a faulty source.
    fn build(source: Self::Source, n: u64) -> Self;
    /// The form that allows nothing.
    fn close(self) -> Self;
    /// The closed form when nothing at all is known of it; `None`: nothing to close.
    fn closed_blindly() -> Option<Self> {
        None
    }
}
