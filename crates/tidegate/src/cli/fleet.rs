//! `tidegate fleet …`: nodes and join tokens (platform administrators).

use clap::Subcommand;
use serde_json::{Value, json};

use super::body::Body;
use super::request::{Columns, PageArgs, Request};

const COLUMNS: Columns = &[
    ("id", "/id"),
    ("name", "/name"),
    ("pool", "/pool"),
    ("state", "/state"),
    ("live", "/live"),
    ("lag", "/lag"),
    ("rejections", "/rejections"),
    ("journal", "/journal_pending_records"),
    ("in flight", "/in_flight_calls"),
    ("limiter", "/limiter_mode"),
    ("last seen", "/last_seen"),
];

const WAVE: Columns = &[
    ("stage", "/stage"),
    ("since", "/since"),
    ("resources", "/resources"),
    ("members", "/members"),
    ("reason", "/reason"),
];

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists nodes: revisions, lag, rejections.
    List(PageArgs),
    /// Shows how far a change of the shared catalogue is on its way to the nodes.
    Wave,
    /// Lets a halted change of the shared catalogue go on, with one node.
    Resume,
    /// Prints a single-use token with which a new node joins.
    Join {
        /// The pool that it joins.
        #[arg(long)]
        pool: Option<String>,
        /// How long the token can be used.
        #[arg(long)]
        expires_in_seconds: Option<u32>,
    },
    /// Shuts a node out for ever.
    Revoke {
        /// Its id.
        id: String,
    },
    /// Declares that a node has shipped everything and will not return.
    Drained {
        /// Its id.
        id: String,
    },
}

impl Verb {
    #[expect(clippy::unnecessary_wraps, reason = "every noun has this face")]
    pub(super) fn request(self) -> anyhow::Result<Request> {
        Ok(match self {
            Self::List(page) => Request::list("/fleet", page, COLUMNS),
            Self::Wave => Request::get("/fleet/wave", WAVE),
            Self::Resume => Request::post("/fleet/wave/resume", json!({}), WAVE),
            Self::Join { pool, expires_in_seconds } => {
                let mut body = Body::default();
                let body: Value =
                    body.set("pool", pool).set("expires_in_seconds", expires_in_seconds).value();
                Request::post("/join-tokens", body, COLUMNS)
            }
            Self::Revoke { id } => Request::delete(format!("/fleet/{id}")),
            Self::Drained { id } => Request::post(format!("/fleet/{id}/drained"), json!({}), COLUMNS),
        })
    }
}
