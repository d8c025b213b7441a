//! `tidegate member …`

use clap::Subcommand;
use serde_json::json;

use super::body::Body;
use super::request::{Columns, PageArgs, Request};

const COLUMNS: Columns =
    &[("id", "/id"), ("email", "/email"), ("name", "/name"), ("role", "/role"), ("created", "/created_at")];

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists members.
    List(PageArgs),
    /// Adds a person; prints a single-use sign-in link.
    Create {
        /// E-mail address.
        email: String,
        /// owner, admin, member, viewer or billing.
        #[arg(long)]
        role: String,
        /// Name for people.
        #[arg(long)]
        name: Option<String>,
    },
    /// Shows one.
    Get {
        /// Its id.
        id: String,
    },
    /// Gives another role.
    Update {
        /// Its id.
        id: String,
        /// owner, admin, member, viewer or billing.
        #[arg(long)]
        role: String,
    },
    /// Prints a new single-use sign-in link (a forgotten password).
    Link {
        /// Its id.
        id: String,
    },
    /// Takes a person out of the organization.
    Delete {
        /// Its id.
        id: String,
    },
}

impl Verb {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        let one = |id: &str| format!("/members/{id}");
        Ok(match self {
            Self::List(page) => Request::list("/members", page, COLUMNS),
            Self::Create { email, role, name } => {
                let body = Body::default()
                    .set("email", Some(email))
                    .set("role", Some(role))
                    .set("name", name)
                    .value();
                Request::post("/members", body, COLUMNS)
            }
            Self::Get { id } => Request::get(one(&id), COLUMNS),
            Self::Update { id, role } => Request::patch(one(&id), json!({"role": role}), COLUMNS),
            Self::Link { id } => Request::post(format!("{}/link", one(&id)), json!({}), COLUMNS),
            Self::Delete { id } => Request::delete(one(&id)),
        })
    }
}
