//! `tidegate key …`: virtual keys.

use clap::{Args, Subcommand};
use serde_json::json;

use super::body::{Body, JsonArg, pair};
use super::request::{Columns, PageArgs, Request};
use super::team::LimitFlags;

const COLUMNS: Columns = &[
    ("id", "/id"),
    ("name", "/name"),
    ("team", "/team_id"),
    ("status", "/status"),
    ("expires", "/expires_at"),
    ("created", "/created_at"),
];

/// What can be said about a key.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Stops working at this time (RFC 3339).
    #[arg(long)]
    expires_at: Option<String>,
    /// Put on every call: name=value. May be repeated.
    #[arg(long = "tag", value_name = "NAME=VALUE")]
    tags: Vec<String>,
    /// Only this model (creator/name or creator/*). May be repeated.
    #[arg(long = "allow-model", value_name = "MODEL")]
    models: Vec<String>,
    /// Only this provider. May be repeated.
    #[arg(long = "allow-provider", value_name = "SLUG")]
    providers: Vec<String>,
    /// Only this route. May be repeated.
    #[arg(long = "allow-route", value_name = "NAME")]
    routes: Vec<String>,
    /// Only from this network. May be repeated.
    #[arg(long = "allow-ip", value_name = "CIDR")]
    ips: Vec<String>,
    #[command(flatten)]
    limits: LimitFlags,
    #[command(flatten)]
    json: JsonArg,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists keys.
    List {
        /// Only those of this team.
        #[arg(long)]
        team: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Issues a key; its text is printed this once.
    Create {
        /// Unique in the team.
        name: String,
        /// The team that owns it.
        #[arg(long)]
        team: String,
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
    /// Refuses its calls until resumed.
    Pause {
        /// Its id.
        id: String,
    },
    /// Ends a pause.
    Resume {
        /// Its id.
        id: String,
    },
    /// Gives it a new text under the same id; the old one works for a while.
    Rotate {
        /// Its id.
        id: String,
        /// How long the old text works, in seconds.
        #[arg(long, default_value_t = 86_400)]
        grace_seconds: u32,
    },
    /// Refuses its calls for ever.
    Revoke {
        /// Its id.
        id: String,
    },
}

impl Flags {
    fn body(self) -> anyhow::Result<Body> {
        let mut body = Body::from(&self.json)?;
        body.set("expires_at", self.expires_at);
        let mut tags = Body::default();
        for tag in &self.tags {
            let (name, value) = pair(tag)?;
            tags.set(&name, Some(value));
        }
        body.set_object("tags", tags);
        let mut allow = Body::default();
        allow.set_list("models", self.models).set_list("providers", self.providers);
        allow.set_list("routes", self.routes).set_list("ips", self.ips);
        self.limits.put_into(body.set_object("allow", allow));
        Ok(body)
    }
}

impl Verb {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        let one = |id: &str| format!("/keys/{id}");
        let act = |id: &str, verb: &str| Request::post(format!("/keys/{id}/{verb}"), json!({}), COLUMNS);
        Ok(match self {
            Self::List { team, page } => {
                let mut request = Request::list("/keys", page, COLUMNS);
                request.push("team_id", team);
                request
            }
            Self::Create { name, team, flags } => {
                let body = flags.body()?.set("name", Some(name)).set("team_id", Some(team)).value();
                Request::post("/keys", body, COLUMNS)
            }
            Self::Get { id } => Request::get(one(&id), COLUMNS),
            Self::Update { id, name, flags } => {
                Request::patch(one(&id), flags.body()?.set("name", name).change()?, COLUMNS)
            }
            Self::Pause { id } => act(&id, "pause"),
            Self::Resume { id } => act(&id, "resume"),
            Self::Rotate { id, grace_seconds } => Request::post(
                format!("{}/rotate", one(&id)),
                json!({"grace_seconds": grace_seconds}),
                COLUMNS,
            ),
            Self::Revoke { id } => Request::delete(one(&id)),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        verb: Verb,
    }

    #[test]
    fn flags_become_the_body_that_the_api_expects() {
        let words =
            "key create ci --team team_1 --tag env=prod --allow-model openai/* --requests-per-minute 5";
        let request = Line::parse_from(words.split(' ')).verb.request().unwrap();
        let expected = json!({"name": "ci", "team_id": "team_1", "tags": {"env": "prod"},
            "allow": {"models": ["openai/*"]}, "limits": {"requests_per_minute": 5}});
        assert_eq!((request.path.as_str(), request.body), ("/keys", Some(expected)));
    }

    #[test]
    fn a_change_without_flags_is_refused_before_anything_is_sent() {
        assert!(Line::parse_from(["key", "update", "key_1"]).verb.request().is_err());
    }
}
