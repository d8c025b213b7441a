//! `tidegate org …`

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::body::{Body, JsonArg};
use super::request::{Columns, PageArgs, Request};
use super::team::LimitFlags;

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
    limits: LimitFlags,
    /// A rate limit of one model, `creator/name:requests_per_minute=60` (or `tokens_per_minute`,
    /// `concurrency`); `creator/name:none` takes its limits away. May be given several times.
    #[arg(long, value_name = "MODEL:LIMIT=N")]
    model_limit: Vec<String>,
    #[command(flatten)]
    json: JsonArg,
}

/// Whose signed tokens are the organization's callers without a word about it.
#[derive(Debug, Args)]
pub(crate) struct IssuerFlags {
    /// Tokens of this issuer that name no organization are callers of this one (platform administrators); may be
    /// given several times.
    #[arg(long, value_name = "URL")]
    bind_issuer: Vec<String>,
    /// Of the issuers of --bind-issuer, tokens for this audience only; may be given several times. They replace those
    /// that were bound before; without any, all of the issuer's tokens are bound.
    #[arg(long, value_name = "AUDIENCE", requires = "bind_issuer")]
    bind_audience: Vec<String>,
    /// Takes such a word back; may be given several times.
    #[arg(long, value_name = "URL")]
    unbind_issuer: Vec<String>,
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
        #[command(flatten)]
        issuers: IssuerFlags,
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
        self.limits.put_into(&mut body);
        let mut models = Map::new();
        for text in &self.model_limit {
            put_model_limit(&mut models, text)?;
        }
        body.set_object("model_limits", Body::of(models));
        Ok(body)
    }
}

impl IssuerFlags {
    fn put_into(self, body: &mut Body) {
        let gone = self.unbind_issuer.into_iter().map(|issuer| (issuer, Value::Null));
        let bound = self.bind_issuer.into_iter().map(|issuer| (issuer, self.bind_audience.clone().into()));
        body.set_object("bound_issuers", Body::of(gone.chain(bound).collect()));
    }
}

fn put_model_limit(models: &mut Map<String, Value>, text: &str) -> anyhow::Result<()> {
    let (model, limit) = text.rsplit_once(':').context("write it as creator/name:requests_per_minute=60")?;
    if limit == "none" {
        models.insert(model.to_owned(), Value::Null);
        return Ok(());
    }
    let (name, count) = limit.split_once('=').context("write it as creator/name:requests_per_minute=60")?;
    let count: u32 = count.parse().with_context(|| format!("'{count}' is not a number"))?;
    let known = ["requests_per_minute", "tokens_per_minute", "concurrency"];
    anyhow::ensure!(known.contains(&name), "there is no limit '{name}'; there are {}", known.join(", "));
    let limits = models.entry(model).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(limits) = limits {
        limits.insert(name.to_owned(), count.into());
    }
    Ok(())
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
            Self::Update { id, flags, issuers } => {
                let mut body = flags.body()?;
                issuers.put_into(&mut body);
                Request::patch(one(&id), body.change()?, COLUMNS)
            }
            Self::Pause { id } => paused(&id, true),
            Self::Resume { id } => paused(&id, false),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_models_are_read_and_what_is_none_is_refused() {
        let mut models = Map::new();
        for text in
            ["a/b:requests_per_minute=5", "a/b:concurrency=2", "c/d:v1:tokens_per_minute=7", "e/f:none"]
        {
            put_model_limit(&mut models, text).unwrap();
        }
        let expected = serde_json::json!({
            "a/b": {"requests_per_minute": 5, "concurrency": 2}, "c/d:v1": {"tokens_per_minute": 7}, "e/f": null,
        });
        assert_eq!(Value::Object(models.clone()), expected);
        for text in ["a/b", "a/b:5", "a/b:requests=5", "a/b:concurrency=-1"] {
            assert!(put_model_limit(&mut models, text).is_err(), "{text}");
        }
    }
}
