//! `tidegate policy …`

use clap::{Args, Subcommand};

use super::body::{Body, JsonArg};
use super::cache::CacheFlags;
use super::request::{Columns, PageArgs, Request};

const COLUMNS: Columns = &[
    ("id", "/id"),
    ("name", "/name"),
    ("scope", "/scope"),
    ("zdr", "/privacy/zdr"),
    ("regions", "/privacy/inference_regions"),
    ("models", "/allow_models"),
    ("providers", "/allow_providers"),
];

/// What can be said about a policy.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Only this model (creator/name or creator/*). May be repeated.
    #[arg(long = "allow-model", value_name = "MODEL")]
    models: Vec<String>,
    /// Only this provider. May be repeated.
    #[arg(long = "allow-provider", value_name = "SLUG")]
    providers: Vec<String>,
    /// none, no_training, zdr_with_safety_retention or zdr.
    #[arg(long)]
    zdr: Option<String>,
    /// Only where inference runs in this area: us, eu, uk, ch, ca, jp, au or in. May be repeated.
    #[arg(long = "inference-region", value_name = "AREA")]
    inference_regions: Vec<String>,
    /// Only providers at home there (US), or not there (!CN): all alike. May be repeated.
    #[arg(long, value_name = "COUNTRY")]
    headquarters: Vec<String>,
    /// Output tokens granted to a call under a hard budget that names none.
    #[arg(long)]
    default_max_output_tokens: Option<u32>,
    /// USD per token at which a call without a price is held and charged.
    #[arg(long)]
    ceiling_price: Option<String>,
    /// Whether system credentials may be used.
    #[arg(long)]
    allow_system_credentials: Option<bool>,
    /// Whether requests may bring credentials of their own.
    #[arg(long)]
    allow_request_credentials: Option<bool>,
    /// Whether a route may carry the name of a catalogue model.
    #[arg(long)]
    routes_may_shadow: Option<bool>,
    /// Most attempts for one call.
    #[arg(long)]
    max_attempts: Option<u8>,
    #[command(flatten)]
    cache: CacheFlags,
    #[command(flatten)]
    json: JsonArg,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists policies.
    List(PageArgs),
    /// Makes a policy of the organization, or of a team or key.
    Create {
        /// Unique in the organization.
        name: String,
        /// Only for this team.
        #[arg(long, conflicts_with = "key")]
        team: Option<String>,
        /// Only for this key.
        #[arg(long)]
        key: Option<String>,
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
        body.set_list("allow_models", self.models).set_list("allow_providers", self.providers);
        let mut privacy = Body::default();
        privacy.set("zdr", self.zdr);
        privacy
            .set_list("inference_regions", self.inference_regions)
            .set_list("headquarters", self.headquarters);
        body.set_object("privacy", privacy).set("default_max_output_tokens", self.default_max_output_tokens);
        body.set("ceiling_price", self.ceiling_price).set("routes_may_shadow", self.routes_may_shadow);
        body.set("allow_system_credentials", self.allow_system_credentials)
            .set("allow_request_credentials", self.allow_request_credentials)
            .set("max_attempts", self.max_attempts);
        self.cache.lay_into(&mut body);
        Ok(body)
    }
}

impl Verb {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        let one = |id: &str| format!("/policies/{id}");
        Ok(match self {
            Self::List(page) => Request::list("/policies", page, COLUMNS),
            Self::Create { name, team, key, flags } => {
                let mut scope = Body::default();
                scope.set("team", team).set("key", key);
                let mut body = flags.body()?;
                Request::post(
                    "/policies",
                    body.set("name", Some(name)).set_object("scope", scope).value(),
                    COLUMNS,
                )
            }
            Self::Get { id } => Request::get(one(&id), COLUMNS),
            Self::Update { id, name, flags } => {
                Request::patch(one(&id), flags.body()?.set("name", name).change()?, COLUMNS)
            }
            Self::Delete { id } => Request::delete(one(&id)),
        })
    }
}
