//! Settings that nobody may leave out: a release that does not know one must not act as if it were not there.
//!
//! A later release adds a name here with each such setting. Older nodes then reject the resource, and older control
//! planes neither change it nor pass it on as if they had understood it.

use super::Resource;

/// A policy says where calls may be processed, or by whose providers.
pub(super) const RESIDENCY: &str = "residency";

/// What this release knows.
pub const FEATURES: &[&str] = &[RESIDENCY];

/// Those of `required` that this release does not know.
pub fn unknown_features(required: &[String]) -> impl Iterator<Item = &str> {
    required.iter().map(String::as_str).filter(|feature| !FEATURES.contains(feature))
}

impl Resource {
    /// The features that one must know to apply, change or pass on this resource.
    #[must_use]
    pub fn requires(&self) -> &'static [&'static str] {
        match self {
            Self::Policy(policy) if policy.privacy.confines() => &[RESIDENCY],
            _ => &[],
        }
    }
}
