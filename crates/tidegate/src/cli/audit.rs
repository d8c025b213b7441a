//! `tidegate audit …`: who changed what.

use clap::Subcommand;

use super::request::{Columns, PageArgs, Request};

const COLUMNS: Columns =
    &[("n", "/n"), ("at", "/at"), ("actor", "/actor"), ("action", "/action"), ("object", "/object")];

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists entries, newest first.
    List(PageArgs),
    /// Checks the chain of hashes.
    Verify,
}

impl Verb {
    #[expect(clippy::unnecessary_wraps, reason = "every noun has this face")]
    pub(super) fn request(self) -> anyhow::Result<Request> {
        Ok(match self {
            Self::List(page) => Request::list("/audit", page, COLUMNS),
            Self::Verify => Request::get("/audit/verify", &[]),
        })
    }
}
