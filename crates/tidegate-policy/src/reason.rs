//! What is wrong with a resource, in words that hold no secret and no content.

use std::borrow::Cow;
use std::fmt;

/// One thing that is wrong: where, and what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Reason {
    /// The field, as the management API names it, for example `targets[0].model`.
    pub field: Cow<'static, str>,
    /// What is wrong with it.
    pub message: String,
}

impl Reason {
    /// A reason about a field.
    pub fn new(field: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.is_empty() {
            // Of the resource as a whole.
            true => f.write_str(&self.message),
            false => write!(f, "{}: {}", self.field, self.message),
        }
    }
}

/// All reasons in one line, as acknowledgements carry them.
pub(crate) fn one_line(reasons: &[Reason]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
