//! Bytes that somebody said or drew. They cannot be printed by accident.

use std::fmt;

use bytes::Bytes;

/// A file.
#[derive(Clone, Default)]
pub(crate) struct Blob(pub(crate) Bytes);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}
