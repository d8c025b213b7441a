//! Where this crate's own tests make the code panic. In every other build these do nothing.

use crate::held::{OrgState, Raw};

/// A resource is being compiled.
pub(crate) fn compiling(raw: Raw) {
    #[cfg(test)]
    plants::compiling(raw);
    #[cfg(not(test))]
    let _ = raw;
}

/// A resource is being closed.
pub(crate) fn closing(raw: Raw) {
    #[cfg(test)]
    plants::closing(raw);
    #[cfg(not(test))]
    let _ = raw;
}

/// What is held of an organization becomes a snapshot, or the shared catalogue.
pub(crate) fn rebuilding(state: &OrgState) {
    #[cfg(test)]
    plants::rebuilding(state);
    #[cfg(not(test))]
    let _ = state;
}

/// Everything of a batch but its keys has been taken.
pub(crate) fn between() {
    #[cfg(test)]
    plants::between();
}

#[cfg(test)]
pub(crate) mod plants {
    use std::cell::RefCell;

    use tidegate_types::resource::ResourceKind;

    use super::{OrgState, Raw};

    /// What makes a thread panic.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub(crate) enum Plant {
        /// Compiling this resource.
        Compile(u128),
        /// Closing it.
        Close(u128),
        /// Building a snapshot that has this version of it.
        Version(ResourceKind, u128, u64),
        /// Building a snapshot that lacks it.
        Lack(ResourceKind, u128),
        /// The middle of a batch.
        Batch,
    }

    thread_local! {
        static PLANTED: RefCell<Vec<Plant>> = const { RefCell::new(Vec::new()) };
    }

    /// From now on on this thread, in place of what was planted before.
    pub(crate) fn plant(plants: &[Plant]) {
        PLANTED.with(|planted| *planted.borrow_mut() = plants.to_vec());
    }

    fn met(plant: impl Fn(&Plant) -> bool) {
        let met = PLANTED.with(|planted| planted.borrow().iter().any(plant));
        assert!(!met, "planted");
    }

    pub(super) fn compiling((_, _, id): Raw) {
        met(|plant| *plant == Plant::Compile(id));
    }

    pub(super) fn closing((_, _, id): Raw) {
        met(|plant| *plant == Plant::Close(id));
    }

    pub(super) fn rebuilding(state: &OrgState) {
        met(|plant| match *plant {
            Plant::Version(kind, id, n) => state.version(kind, id).is_some_and(|(held, _)| held == n),
            Plant::Lack(kind, id) => state.version(kind, id).is_none(),
            _ => false,
        });
    }

    pub(super) fn between() {
        met(|plant| *plant == Plant::Batch);
    }
}
