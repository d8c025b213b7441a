//! The wire between the planes: generated messages and services, and their conversion to and from
//! the words of `tidegate-types`.
//!
//! Whatever arrives is untrusted: a conversion says which field of which message is wrong, an
//! unknown name is an error and never a default, and nothing panics.

mod error;
mod fields;
mod kinds;
mod names;
mod resource;
mod usage_choices;
mod usage_decision;
mod usage_encode;
mod usage_plan;
mod usage_records;
mod versioned;

pub use error::{ConvertError, Problem};
pub use kinds::{KINDS_PASSED_OVER, NAMES_KINDS, key_of_unknown_kind, known_kinds, knows_more, reading};
pub use usage_decision::decision_of;
pub use usage_encode::{encode_call, encode_event};
pub use versioned::{
    SUPPORTED_FEATURES, digest_from_wire, positions_from_wire, positions_to_wire, versioned_from_wire,
};

/// Version of the protocol that [`config::Hello`] names.
pub const PROTOCOL_VERSION: u32 = 1;

/// Largest message in bytes that either side accepts.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// `tidegate.config.v1`: the feed.
#[expect(missing_docs, reason = "generated from proto/, where the comments are")]
#[expect(clippy::allow_attributes, reason = "generated code")]
pub mod config {
    include!("gen/tidegate.config.v1.rs");
}

/// `tidegate.usage.v1`: billing events and call records.
#[expect(missing_docs, reason = "generated from proto/, where the comments are")]
#[expect(clippy::allow_attributes, reason = "generated code")]
pub mod usage {
    include!("gen/tidegate.usage.v1.rs");
}

/// `tidegate.budget.v1`: budget epochs.
#[expect(missing_docs, reason = "generated from proto/, where the comments are")]
#[expect(clippy::allow_attributes, clippy::too_many_lines, reason = "generated code")]
pub mod budget {
    include!("gen/tidegate.budget.v1.rs");
}

/// `tidegate.enroll.v1`: how a node gets its identity.
#[expect(missing_docs, reason = "generated from proto/, where the comments are")]
#[expect(clippy::allow_attributes, clippy::too_many_lines, reason = "generated code")]
pub mod enroll {
    include!("gen/tidegate.enroll.v1.rs");
}

/// `tidegate.query.v1`: what nodes ask for their callers.
#[expect(missing_docs, reason = "generated from proto/, where the comments are")]
#[expect(clippy::allow_attributes, clippy::too_many_lines, reason = "generated code")]
pub mod query {
    include!("gen/tidegate.query.v1.rs");
}
