//! `tidegate route …`: an organization's own model names.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::body::{Body, JsonArg};
use super::cache::CacheFlags;
use super::request::{Columns, PageArgs, Request};

const COLUMNS: Columns =
    &[("id", "/id"), ("name", "/name"), ("targets", "/targets"), ("fallbacks", "/fallbacks")];

/// What can be said about a route.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// creator/name, with =weight when there are several. May be repeated.
    #[arg(long = "target", value_name = "MODEL[=WEIGHT]")]
    targets: Vec<String>,
    /// Tried after the drawn target failed. May be repeated.
    #[arg(long = "fallback", value_name = "MODEL")]
    fallbacks: Vec<String>,
    /// Longest time for one attempt until its first event.
    #[arg(long)]
    attempt_timeout_ms: Option<u32>,
    /// Longest time for all attempts until the first event.
    #[arg(long)]
    total_timeout_ms: Option<u32>,
    #[command(flatten)]
    cache: CacheFlags,
    #[command(flatten)]
    json: JsonArg,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists routes.
    List(PageArgs),
    /// Makes a route.
    Create {
        /// The model name that applications ask for.
        name: String,
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
    /// Removes one.
    Delete {
        /// Its id.
        id: String,
    },
}

impl Flags {
    fn body(self) -> anyhow::Result<Body> {
        let mut body = Body::from(&self.json)?;
        let targets =
            |texts: &[String]| texts.iter().map(|text| target(text)).collect::<anyhow::Result<Vec<_>>>();
        body.set_list("targets", targets(&self.targets)?).set_list("fallbacks", targets(&self.fallbacks)?);
        body.set("attempt_timeout_ms", self.attempt_timeout_ms)
            .set("total_timeout_ms", self.total_timeout_ms);
        self.cache.lay_into(&mut body);
        Ok(body)
    }
}

fn target(text: &str) -> anyhow::Result<Value> {
    let Some((model, weight)) = text.split_once('=') else { return Ok(json!({"model": text})) };
    let weight: u32 = weight.parse().with_context(|| format!("{weight:?} is not a weight"))?;
    Ok(json!({"model": model, "weight": weight}))
}

impl Verb {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        let one = |id: &str| format!("/routes/{id}");
        Ok(match self {
            Self::List(page) => Request::list("/routes", page, COLUMNS),
            Self::Create { name, flags } => {
                Request::post("/routes", flags.body()?.set("name", Some(name)).value(), COLUMNS)
            }
            Self::Get { id } => Request::get(one(&id), COLUMNS),
            Self::Update { id, name, flags } => {
                Request::patch(one(&id), flags.body()?.set("name", name).change()?, COLUMNS)
            }
            Self::Delete { id } => Request::delete(one(&id)),
        })
    }
}
