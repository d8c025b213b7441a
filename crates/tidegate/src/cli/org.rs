//! `tidegate org …`

use clap::{Args, Subcommand};

use super::body::{Body, JsonArg};
use super::request::{Columns, PageArgs, Request};

const COLUMNS: Columns =
    &[("id", "/id"), ("slug", "/slug"), ("name", "/name"), ("paused", "/paused"), ("created", "/created_at")];

/// What can be said about an organization.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Name for people.
    #[arg(long)]
    name: Option<String>,
    /// IANA time zone of its budget windows.
    #[arg(long)]
    time_zone: Option<String>,
    /// First day of its week: monday, sunday or saturday.
    #[arg(long)]
    week_start: Option<String>,
    /// Longest time in seconds that a node may serve it without the control plane.
    #[arg(long)]
    max_staleness_seconds: Option<u32>,
    /// Pools whose nodes serve it, its home first (platform administrators); may be given several times.
    #[arg(long)]
    pool: Vec<String>,
    #[command(flatten)]
    json: JsonArg,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists organizations.
    List(PageArgs),
    /// Makes an organization.
    Create {
        /// Unique in the installation.
        slug: String,
        #[command(flatten)]
        flags: Flags,
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
        #[command(flatten)]
        flags: Flags,
    },
    /// Refuses every call of it until resumed.
    Pause {
        /// Its id.
        id: String,
    },
    /// Ends a pause.
    Resume {
        /// Its id.
        id: String,
    },
}

impl Flags {
    fn body(self) -> anyhow::Result<Body> {
        let mut body = Body::from(&self.json)?;
        body.set("name", self.name).set("time_zone", self.time_zone).set("week_start", self.week_start);
        body.set("max_staleness_seconds", self.max_staleness_seconds);
        body.set_list("pools", self.pool);
        Ok(body)
    }
}

impl Verb {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        let one = |id: &str| format!("/organizations/{id}");
        let paused = |id: &str, paused: bool| {
            Request::patch(one(id), Body::default().set("paused", Some(paused)).value(), COLUMNS)
        };
        Ok(match self {
            Self::List(page) => Request::list("/organizations", page, COLUMNS),
            Self::Create { slug, flags } => {
                Request::post("/organizations", flags.body()?.set("slug", Some(slug)).value(), COLUMNS)
            }
            Self::Get { id } => Request::get(one(&id), COLUMNS),
            Self::Update { id, flags } => Request::patch(one(&id), flags.body()?.change()?, COLUMNS),
            Self::Pause { id } => paused(&id, true),
            Self::Resume { id } => paused(&id, false),
        })
    }
}
