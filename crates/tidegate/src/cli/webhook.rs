//! `tidegate webhook …`: where an organization wants to be told.

use clap::{Args, Subcommand};
use serde_json::json;

use super::body::{Body, JsonArg};
use super::request::{Columns, PageArgs, Request};

const COLUMNS: Columns =
    &[("id", "/id"), ("name", "/name"), ("url", "/url"), ("kinds", "/kinds"), ("enabled", "/enabled")];

const ISSUED: Columns =
    &[("id", "/id"), ("name", "/name"), ("url", "/url"), ("secret (shown this once)", "/secret")];

const DELIVERIES: Columns = &[
    ("notice", "/notice_id"),
    ("kind", "/kind"),
    ("at", "/at"),
    ("state", "/state"),
    ("attempts", "/attempts"),
    ("next", "/next_at"),
    ("status", "/last_status"),
    ("error", "/last_error"),
];

const NOTICES: Columns = &[("id", "/id"), ("kind", "/kind"), ("at", "/at"), ("data", "/data")];

/// What may be said about a webhook.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// budget.threshold, budget.exhausted, credential.failing or reconciliation.difference. May be repeated; every kind when absent.
    #[arg(long = "kind")]
    kinds: Vec<String>,
    /// Whether notices go there.
    #[arg(long)]
    enabled: Option<bool>,
    #[command(flatten)]
    json: JsonArg,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists webhooks.
    List(PageArgs),
    /// Adds one; shows the secret that signs, this once.
    Create {
        /// Unique in the organization.
        name: String,
        /// Where notices are posted.
        #[arg(long)]
        to: String,
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
        /// New name.
        #[arg(long)]
        name: Option<String>,
        /// New target.
        #[arg(long)]
        to: Option<String>,
        #[command(flatten)]
        flags: Flags,
    },
    /// Gives one a new secret; the old one signs as well for a while.
    Rotate {
        /// Its id.
        id: String,
        /// Seconds for which the old secret signs as well; a day when absent.
        #[arg(long)]
        grace_seconds: Option<u32>,
    },
    /// Sends a test notice to one.
    Test {
        /// Its id.
        id: String,
    },
    /// Lists what went to one, newest first.
    Deliveries {
        /// Its id.
        id: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Sends a notice again.
    Redeliver {
        /// The webhook's id.
        id: String,
        /// The notice's id.
        #[arg(long)]
        notice: String,
    },
    /// Lists notices, oldest first, also where no webhook was told.
    Notices(PageArgs),
    /// Removes one.
    Delete {
        /// Its id.
        id: String,
    },
}

impl Flags {
    fn body(self) -> anyhow::Result<Body> {
        let mut body = Body::from(&self.json)?;
        body.set("enabled", self.enabled).set_list("kinds", self.kinds);
        Ok(body)
    }
}

impl Verb {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        let one = |id: &str| format!("/webhooks/{id}");
        Ok(match self {
            Self::List(page) => Request::list("/webhooks", page, COLUMNS),
            Self::Create { name, to, flags } => {
                let mut body = flags.body()?;
                body.set("name", Some(name)).set("url", Some(to));
                Request::post("/webhooks", body.value(), ISSUED)
            }
            Self::Get { id } => Request::get(one(&id), COLUMNS),
            Self::Update { id, name, to, flags } => {
                Request::patch(one(&id), flags.body()?.set("name", name).set("url", to).change()?, COLUMNS)
            }
            Self::Rotate { id, grace_seconds } => {
                let mut body = Body::default();
                body.set("grace_seconds", grace_seconds);
                Request::post(format!("{}/rotate", one(&id)), body.value(), ISSUED)
            }
            Self::Test { id } => {
                Request::post(format!("{}/test", one(&id)), json!({}), &[("notice", "/notice_id")])
            }
            Self::Deliveries { id, page } => {
                Request::list(format!("{}/deliveries", one(&id)), page, DELIVERIES)
            }
            Self::Redeliver { id, notice } => Request::post(
                format!("{}/redeliver", one(&id)),
                json!({"notice_id": notice}),
                &[("notice", "/notice_id")],
            ),
            Self::Notices(page) => Request::list("/notices", page, NOTICES),
            Self::Delete { id } => Request::delete(one(&id)),
        })
    }
}
