//! `tidegate token …`: service tokens of the management API.

use clap::Subcommand;

use super::body::Body;
use super::request::{Columns, PageArgs, Request};

const COLUMNS: Columns = &[
    ("id", "/id"),
    ("name", "/name"),
    ("role", "/role"),
    ("expires", "/expires_at"),
    ("revoked", "/revoked_at"),
    ("created", "/created_at"),
];

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists service tokens.
    List(PageArgs),
    /// Makes a service token; its text is printed this once.
    Create {
        /// Unique in the organization.
        name: String,
        /// owner, admin, member, viewer or billing.
        #[arg(long, required_unless_present = "platform_role")]
        role: Option<String>,
        /// platform_admin or platform_viewer (platform administrators only).
        #[arg(long)]
        platform_role: Option<String>,
        /// Stops working at this time (RFC 3339).
        #[arg(long)]
        expires_at: Option<String>,
    },
    /// Shows one.
    Get {
        /// Its id.
        id: String,
    },
    /// Revokes one.
    Delete {
        /// Its id.
        id: String,
    },
}

impl Verb {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        let one = |id: &str| format!("/service-tokens/{id}");
        Ok(match self {
            Self::List(page) => Request::list("/service-tokens", page, COLUMNS),
            Self::Create { name, role, platform_role, expires_at } => {
                let mut body = Body::default();
                body.set("name", Some(name)).set("role", role).set("platform_role", platform_role);
                Request::post("/service-tokens", body.set("expires_at", expires_at).value(), COLUMNS)
            }
            Self::Get { id } => Request::get(one(&id), COLUMNS),
            Self::Delete { id } => Request::delete(one(&id)),
        })
    }
}
