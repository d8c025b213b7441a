//! `tidegate team …`, and the flags of rate limits that teams and keys share.

use clap::{Args, Subcommand};

use super::body::{Body, JsonArg};
use super::request::{Columns, PageArgs, Request};

const COLUMNS: Columns =
    &[("id", "/id"), ("name", "/name"), ("paused", "/paused"), ("created", "/created_at")];

/// Rate limits.
#[derive(Debug, Args)]
pub(crate) struct LimitFlags {
    /// Calls per minute.
    #[arg(long)]
    requests_per_minute: Option<u32>,
    /// Input and output tokens per minute.
    #[arg(long)]
    tokens_per_minute: Option<u32>,
    /// Calls in flight.
    #[arg(long)]
    concurrency: Option<u32>,
}

impl LimitFlags {
    pub(super) fn put_into(self, body: &mut Body) {
        let mut limits = Body::default();
        limits.set("requests_per_minute", self.requests_per_minute);
        limits.set("tokens_per_minute", self.tokens_per_minute).set("concurrency", self.concurrency);
        body.set_object("limits", limits);
    }
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists teams.
    List(PageArgs),
    /// Makes a team.
    Create {
        /// Unique in the organization.
        name: String,
        #[command(flatten)]
        limits: LimitFlags,
        #[command(flatten)]
        json: JsonArg,
    },
    /// Shows one.
    Get {
        /// Its id.
        id: String,
    },
    /// Changes one.
    Update {
        /// Its id.
        id: String,
        /// New name.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        limits: LimitFlags,
        #[command(flatten)]
        json: JsonArg,
    },
    /// Refuses every call of its keys until resumed.
    Pause {
        /// Its id.
        id: String,
    },
    /// Ends a pause.
    Resume {
        /// Its id.
        id: String,
    },
    /// Removes one that owns nothing any more.
    Delete {
        /// Its id.
        id: String,
    },
}

impl Verb {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        let one = |id: &str| format!("/teams/{id}");
        let paused = |id: &str, paused: bool| {
            Request::patch(one(id), Body::default().set("paused", Some(paused)).value(), COLUMNS)
        };
        Ok(match self {
            Self::List(page) => Request::list("/teams", page, COLUMNS),
            Self::Create { name, limits, json } => {
                let mut body = Body::from(&json)?;
                limits.put_into(body.set("name", Some(name)));
                Request::post("/teams", body.value(), COLUMNS)
            }
            Self::Get { id } => Request::get(one(&id), COLUMNS),
            Self::Update { id, name, limits, json } => {
                let mut body = Body::from(&json)?;
                limits.put_into(body.set("name", name));
                Request::patch(one(&id), body.change()?, COLUMNS)
            }
            Self::Pause { id } => paused(&id, true),
            Self::Resume { id } => paused(&id, false),
            Self::Delete { id } => Request::delete(one(&id)),
        })
    }
}
