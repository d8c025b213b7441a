//! `tidegate trust-rule …`: whose signed tokens (OIDC, Kubernetes service accounts) may call as a key.

use std::collections::BTreeMap;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::body::{Body, JsonArg, pair, read_text};
use super::request::{Columns, PageArgs, Request};

const COLUMNS: Columns = &[
    ("id", "/id"),
    ("name", "/name"),
    ("key", "/key_id"),
    ("issuer", "/issuer"),
    ("audience", "/audience"),
    ("claims", "/claims"),
    ("keys", "/keys"),
    ("fetched", "/keys_fetched_at"),
    ("error", "/keys_error"),
];

/// What may be said about a trust rule.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Must be among the tokens' audiences. One that ends with the organization's id, as the one that a new rule
    /// gets unless said otherwise; with any other, callers send x-tidegate-organization.
    #[arg(long)]
    audience: Option<String>,
    /// A claim that must have this value. May be repeated: the values of one claim are alternatives. A name
    /// that begins with / is a JSON pointer. Those given take the place of all before.
    #[arg(long = "claim", value_name = "NAME=VALUE")]
    claims: Vec<String>,
    /// The claim that usage shows as the principal, in place of a hash of the subject.
    #[arg(long, value_name = "CLAIM")]
    principal_claim: Option<String>,
    /// Longest life of a token, in seconds.
    #[arg(long, value_name = "SECONDS")]
    longest_life: Option<u32>,
    /// A file with the issuer's public keys (a JWK set; - for standard input), where they cannot be fetched.
    #[arg(long, value_name = "FILE")]
    jwks_file: Option<String>,
    #[command(flatten)]
    json: JsonArg,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists trust rules, with the issuers' keys that are known.
    List(PageArgs),
    /// Makes one: tokens that fit act as the key.
    Create {
        /// Unique in the organization.
        name: String,
        /// The tokens' issuer, as they name it.
        #[arg(long)]
        issuer: String,
        /// The key as which callers act.
        #[arg(long, value_name = "KEY", conflicts_with = "team")]
        key: Option<String>,
        /// In place of a key: one without a text is made in this team.
        #[arg(long, value_name = "TEAM")]
        team: Option<String>,
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
        #[command(flatten)]
        flags: Flags,
    },
    /// Has the issuer's keys fetched now.
    Refresh {
        /// Its id.
        id: String,
        /// Refuse at once what is signed with a key that the issuer withdrew.
        #[arg(long)]
        drop_withdrawn: bool,
    },
    /// Removes one: its tokens are refused.
    Delete {
        /// Its id.
        id: String,
    },
}

impl Flags {
    fn body(self) -> anyhow::Result<Body> {
        let mut body = Body::from(&self.json)?;
        body.set("audience", self.audience)
            .set("principal_claim", self.principal_claim)
            .set("longest_life_seconds", self.longest_life);
        if !self.claims.is_empty() {
            let mut claims: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for claim in &self.claims {
                let (name, value) = pair(claim)?;
                claims.entry(name).or_default().push(value);
            }
            body.set("claims", Some(serde_json::to_value(claims)?));
        }
        if let Some(file) = &self.jwks_file {
            let set: Value =
                serde_json::from_str(&read_text(file)?).with_context(|| format!("{file} is not JSON"))?;
            body.set("jwks", Some(set));
        }
        Ok(body)
    }
}

impl Verb {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        let one = |id: &str| format!("/trust-rules/{id}");
        Ok(match self {
            Self::List(page) => Request::list("/trust-rules", page, COLUMNS),
            Self::Create { name, issuer, key, team, flags } => {
                let mut body = flags.body()?;
                body.set("name", Some(name))
                    .set("issuer", Some(issuer))
                    .set("key_id", key)
                    .set("team_id", team);
                Request::post("/trust-rules", body.value(), COLUMNS)
            }
            Self::Get { id } => Request::get(one(&id), COLUMNS),
            Self::Update { id, name, flags } => {
                Request::patch(one(&id), flags.body()?.set("name", name).change()?, COLUMNS)
            }
            Self::Refresh { id, drop_withdrawn } => {
                let mut body = Body::default();
                body.set("drop_withdrawn", Some(drop_withdrawn));
                Request::post(format!("{}/refresh", one(&id)), body.value(), COLUMNS)
            }
            Self::Delete { id } => Request::delete(one(&id)),
        })
    }
}
