//! Why a message is not what the other side may send.

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It must be there.
    #[error("is missing")]
    Missing,
    /// It does not have the form of an id, slug, network, ….
    #[error("is malformed: {0}")]
    Malformed(String),
    /// It names a value that this version does not know.
    #[error("is an unknown name")]
    UnknownName,
    /// The number does not fit.
    #[error("is out of range")]
    OutOfRange,
    /// Bytes of another length are expected.
    #[error("has {found} bytes instead of {expected}")]
    Length {
        /// Bytes that are expected.
        expected: usize,
        /// Bytes that came.
        found: usize,
    },
    /// It must not be there together with what else the message says.
    #[error("contradicts the rest of the message")]
    Contradiction,
    /// The resource demands features that this version does not have.
    #[error("demands a feature that is not supported here")]
    UnsupportedFeature,
}

/// A field of a message is wrong. Holds no content of secrets: these are bytes, whose length only is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}.{field} {problem}")]
pub struct ConvertError {
    /// The message's name in `proto/`.
    pub message: &'static str,
    /// The field's name in `proto/`.
    pub field: &'static str,
    /// What is wrong.
    pub problem: Problem,
}
