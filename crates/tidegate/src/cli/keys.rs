//! `tidegate keys …`: rotation of what keeps secrets (platform administrators). Virtual keys: `tidegate key`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::request::{Columns, Request};

const COLUMNS: Columns = &[
    ("kind", "/kind"),
    ("pool", "/pool"),
    ("state", "/state"),
    ("done", "/done"),
    ("total", "/total"),
    ("started", "/started_at"),
    ("finished", "/finished_at"),
    ("problem", "/problem"),
];

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// How far rotations are; with --output json also which root keys there are and who keeps them.
    Status,
    /// Begins a rotation; nothing stops for it.
    Rotate(Rotate),
}

/// What is to be rotated.
#[derive(Debug, Args)]
#[group(required = true, multiple = false, id = "kind")]
pub(crate) struct Rotate {
    /// The root key: everything is wrapped anew, under the key-encryption key that is configured now.
    #[arg(long, group = "kind")]
    kek: bool,
    /// Every organization's data key: stored secrets are encrypted anew.
    #[arg(long, group = "kind")]
    data_key: bool,
    /// The keys under which credentials travel to nodes.
    #[arg(long, group = "kind")]
    pool_key: bool,
    /// The pepper of virtual keys.
    #[arg(long, group = "kind")]
    pepper: bool,
}

impl Verb {
    #[expect(clippy::unnecessary_wraps, reason = "every noun has this face")]
    pub(super) fn request(self) -> anyhow::Result<Request> {
        const PATH: &str = "/encryption/rotations";
        Ok(match self {
            Self::Status => Request::get(PATH, COLUMNS),
            Self::Rotate(asked) => {
                let kind = match asked {
                    Rotate { kek: true, .. } => "kek",
                    Rotate { data_key: true, .. } => "data_key",
                    Rotate { pool_key: true, .. } => "pool_key",
                    Rotate { .. } => "pepper",
                };
                Request::post(PATH, json!({ "kind": kind }), COLUMNS)
            }
        })
    }
}
