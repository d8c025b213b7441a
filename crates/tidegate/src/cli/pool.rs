//! `tidegate pool …`: pools of nodes (platform administrators).

use clap::Subcommand;
use serde_json::json;

use super::request::{Columns, PageArgs, Request};

const COLUMNS: Columns = &[("name", "/name"), ("live nodes", "/live_nodes"), ("created", "/created_at")];

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists pools.
    List(PageArgs),
    /// Makes a pool; then join its nodes (`fleet join --pool`) and place organizations (`org update --pool`).
    Create {
        /// Unique in the installation.
        name: String,
    },
}

impl Verb {
    #[expect(clippy::unnecessary_wraps, reason = "every noun has this face")]
    pub(super) fn request(self) -> anyhow::Result<Request> {
        Ok(match self {
            Self::List(page) => Request::list("/pools", page, COLUMNS),
            Self::Create { name } => Request::post("/pools", json!({"name": name}), COLUMNS),
        })
    }
}
