//! Why a node does not start, or ends.

use std::io;

use crate::journal::JournalError;

/// What went wrong. Texts hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A file or socket.
    #[error("{doing}: {source}")]
    Io {
        /// Verb and object.
        doing: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// Another process uses the state folder.
    #[error("the state folder is in use by another process")]
    InUse,
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// No identity, and nothing to get one by.
    #[error("this node has no identity yet: give it a join token or a service account's token")]
    NoJoinToken,
    /// A journal was not shipped to its end.
    #[error("the journal is not shipped: {0}")]
    Unshipped(String),
    /// A copy of the configuration that this node does not begin by.
    #[error("begin by the copy of the configuration: {0}")]
    Copy(String),
    /// The control plane's answer to a join token or renewal.
    #[error("enrol: {0}")]
    Enrolment(String),
    /// Something kept in the state folder cannot be used.
    #[error("read {what} in the state folder: {problem}")]
    State {
        /// Which file.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A certificate, key or address that was given cannot be used.
    #[error("{what}: {problem}")]
    Setting {
        /// Which setting.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl NodeError {
    /// Names what was done when a system call failed.
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }

    /// Names what the control plane answered.
    pub(crate) fn enrolment(problem: impl Into<Problem>) -> Self {
        Self::Enrolment(problem.into().0)
    }

    /// Names why a copy is not begun by.
    pub(crate) fn copy(problem: impl Into<Problem>) -> Self {
        Self::Copy(problem.into().0)
    }

    /// Names the file of the state folder that cannot be used.
    pub(crate) fn state(what: &'static str, problem: impl Into<Problem>) -> Self {
        Self::State { what, problem: problem.into().0 }
    }

    /// Names the setting that cannot be used.
    pub(crate) fn setting(what: &'static str, problem: impl Into<Problem>) -> Self {
        Self::Setting { what, problem: problem.into().0 }
    }
}

/// The text of what is wrong, from anything that can be shown.
pub(crate) struct Problem(String);

impl<T: std::fmt::Display> From<T> for Problem {
    fn from(problem: T) -> Self {
        Self(problem.to_string())
    }
}
