//! What can be wrong with a request or an upstream's answer. Never carries content.

use crate::json::JsonError;

/// Why a client's body is refused; each is a 400 that names a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not JSON at all.
    #[error("the body is not valid JSON: {0}")]
    NotJson(#[from] JsonError),
    /// The same key twice in one object.
    #[error("`{path}` appears more than once")]
    Duplicate {
        /// JSON path of the second one.
        path: String,
    },
    /// A key that some servers would read as a registered one.
    #[error("`{path}` is not `{known}`; write it exactly so")]
    LooksLike {
        /// As written.
        path: String,
        /// The registered field.
        known: &'static str,
    },
    /// A required field is absent.
    #[error("`{path}` is required")]
    Missing {
        /// JSON path.
        path: String,
    },
    /// A field has the wrong type or range.
    #[error("`{path}` must be {expected}")]
    Wrong {
        /// JSON path.
        path: String,
        /// What it must be, for example `a string`.
        expected: &'static str,
    },
    /// The target's dialect cannot carry the field.
    #[error("`{field}` cannot be sent to this provider: {why}")]
    Untranslatable {
        /// JSON path in the client's body.
        field: String,
        /// Why not.
        why: &'static str,
    },
}

impl RequestError {
    /// JSON path of the offending field; `None` when the body is not JSON.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::NotJson(_) => None,
            Self::Duplicate { path }
            | Self::LooksLike { path, .. }
            | Self::Missing { path }
            | Self::Wrong { path, .. }
            | Self::Untranslatable { field: path, .. } => Some(path),
        }
    }
}

/// Why an upstream's answer cannot be given to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerFault {
    /// Not what the dialect says.
    #[error("the provider's answer is malformed: {0}")]
    Malformed(&'static str),
    /// Something that the client's dialect cannot carry.
    #[error("the provider's answer has a part that cannot be carried over: {0}")]
    Untranslatable(&'static str),
    /// A line or an event is longer than is read.
    #[error("the provider's event is too long")]
    TooLong,
    /// The provider reported an error inside its stream.
    #[error("the provider reported an error in its stream")]
    Reported,
}
