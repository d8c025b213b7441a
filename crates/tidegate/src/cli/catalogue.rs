//! `tidegate provider|model|offering …`: the shared catalogue.

use clap::{Args, Subcommand};

use super::body::{Body, JsonArg, pair};
use super::request::{Columns, PageArgs, Request};

const PROVIDER: Columns = &[
    ("id", "/id"),
    ("slug", "/slug"),
    ("name", "/name"),
    ("dialect", "/dialect"),
    ("base url", "/base_url"),
    ("enabled", "/enabled"),
];
const MODEL: Columns = &[
    ("id", "/id"),
    ("name", "/name"),
    ("kind", "/kind"),
    ("context", "/context_window"),
    ("output", "/max_output_tokens"),
];
const OFFERING: Columns = &[
    ("id", "/id"),
    ("model", "/model"),
    ("provider", "/provider"),
    ("upstream", "/upstream_name"),
    ("enabled", "/enabled"),
];

/// What can be said about a provider.
#[derive(Debug, Args)]
pub(crate) struct ProviderFlags {
    /// Name for people.
    #[arg(long)]
    name: Option<String>,
    /// Scheme, host, port and path prefix; may have {resource}, {region}, {location}, {project}.
    #[arg(long)]
    base_url: Option<String>,
    /// openai_chat, openai_responses, anthropic_messages, gemini, bedrock_converse or cohere_chat.
    #[arg(long)]
    dialect: Option<String>,
    /// bearer, x_api_key, api_key, google_api_key, google_service_account, aws_sig_v4 or none.
    #[arg(long)]
    auth: Option<String>,
    /// stops or continues: whether an abort stops what it bills.
    #[arg(long)]
    abort_billing: Option<String>,
    /// Whether it is used.
    #[arg(long)]
    enabled: Option<bool>,
    /// Two-letter country of its headquarters.
    #[arg(long)]
    headquarters: Option<String>,
    #[command(flatten)]
    json: JsonArg,
}

impl ProviderFlags {
    fn body(self) -> anyhow::Result<Body> {
        let mut body = Body::from(&self.json)?;
        body.set("name", self.name).set("base_url", self.base_url).set("dialect", self.dialect);
        body.set("auth", self.auth).set("abort_billing", self.abort_billing).set("enabled", self.enabled);
        body.set("headquarters", self.headquarters);
        Ok(body)
    }
}

/// What can be done with providers.
#[derive(Debug, Subcommand)]
pub(crate) enum ProviderVerb {
    /// Lists providers.
    List(PageArgs),
    /// Adds a provider.
    Create {
        /// Its name in requests and routes.
        slug: String,
        #[command(flatten)]
        flags: ProviderFlags,
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
        flags: ProviderFlags,
    },
    /// Removes one.
    Delete {
        /// Its id.
        id: String,
    },
}

impl ProviderVerb {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        let one = |id: &str| format!("/providers/{id}");
        Ok(match self {
            Self::List(page) => Request::list("/providers", page, PROVIDER),
            Self::Create { slug, flags } => {
                let name = flags.name.clone().unwrap_or_else(|| slug.clone());
                let mut body = flags.body()?;
                Request::post(
                    "/providers",
                    body.set("slug", Some(slug)).set("name", Some(name)).value(),
                    PROVIDER,
                )
            }
            Self::Get { id } => Request::get(one(&id), PROVIDER),
            Self::Update { id, flags } => Request::patch(one(&id), flags.body()?.change()?, PROVIDER),
            Self::Delete { id } => Request::delete(one(&id)),
        })
    }
}

/// What can be said about a model.
#[derive(Debug, Args)]
pub(crate) struct ModelFlags {
    /// Name for people.
    #[arg(long)]
    display_name: Option<String>,
    /// Another name. May be repeated.
    #[arg(long = "alias")]
    aliases: Vec<String>,
    /// language or embedding.
    #[arg(long)]
    kind: Option<String>,
    /// Tokens of input and output together.
    #[arg(long)]
    context_window: Option<u32>,
    /// Most output tokens.
    #[arg(long)]
    max_output_tokens: Option<u32>,
    /// What it can do: tools, vision, reasoning or structured_output. May be repeated.
    #[arg(long = "can")]
    capabilities: Vec<String>,
    #[command(flatten)]
    json: JsonArg,
}

impl ModelFlags {
    fn body(self) -> anyhow::Result<Body> {
        let mut body = Body::from(&self.json)?;
        body.set("display_name", self.display_name).set_list("aliases", self.aliases).set("kind", self.kind);
        body.set("context_window", self.context_window).set("max_output_tokens", self.max_output_tokens);
        let mut capabilities = Body::default();
        for name in &self.capabilities {
            capabilities.set(name, Some(true));
        }
        body.set_object("capabilities", capabilities);
        Ok(body)
    }
}

/// What can be done with models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelVerb {
    /// Lists models.
    List(PageArgs),
    /// Adds a model.
    Create {
        /// creator/name.
        name: String,
        #[command(flatten)]
        flags: ModelFlags,
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
        flags: ModelFlags,
    },
    /// Removes one.
    Delete {
        /// Its id.
        id: String,
    },
}

impl ModelVerb {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        let one = |id: &str| format!("/models/{id}");
        Ok(match self {
            Self::List(page) => Request::list("/models", page, MODEL),
            Self::Create { name, flags } => {
                Request::post("/models", flags.body()?.set("name", Some(name)).value(), MODEL)
            }
            Self::Get { id } => Request::get(one(&id), MODEL),
            Self::Update { id, flags } => Request::patch(one(&id), flags.body()?.change()?, MODEL),
            Self::Delete { id } => Request::delete(one(&id)),
        })
    }
}

/// What can be said about an offering.
#[derive(Debug, Args)]
pub(crate) struct OfferingFlags {
    /// What the provider calls the model.
    #[arg(long)]
    upstream_name: Option<String>,
    /// Most output tokens here.
    #[arg(long)]
    max_output_tokens: Option<u32>,
    /// Whether it is used.
    #[arg(long)]
    enabled: Option<bool>,
    /// Whether all billed output is visible in the stream.
    #[arg(long)]
    output_visible: Option<bool>,
    /// Another fact, for display: name=value. May be repeated.
    #[arg(long = "note", value_name = "NAME=VALUE")]
    notes: Vec<String>,
    #[command(flatten)]
    json: JsonArg,
}

impl OfferingFlags {
    fn body(self) -> anyhow::Result<Body> {
        let mut body = Body::from(&self.json)?;
        body.set("upstream_name", self.upstream_name).set("max_output_tokens", self.max_output_tokens);
        body.set("enabled", self.enabled).set("output_visible", self.output_visible);
        let mut notes = Body::default();
        for note in &self.notes {
            let (name, value) = pair(note)?;
            notes.set(&name, Some(value));
        }
        body.set_object("notes", notes);
        Ok(body)
    }
}

/// What can be done with offerings.
#[derive(Debug, Subcommand)]
pub(crate) enum OfferingVerb {
    /// Lists offerings.
    List(PageArgs),
    /// Adds a model at a provider. Then give it a price: `tidegate price create`.
    Create {
        /// The model, creator/name.
        #[arg(long)]
        model: String,
        /// The provider's slug.
        #[arg(long)]
        provider: String,
        #[command(flatten)]
        flags: OfferingFlags,
    },
    /// Shows one with its prices.
    Get {
        /// Its id.
        id: String,
    },
    /// Changes one.
    Update {
        /// Its id.
        id: String,
        #[command(flatten)]
        flags: OfferingFlags,
    },
    /// Removes one; its prices are kept.
    Delete {
        /// Its id.
        id: String,
    },
}

impl OfferingVerb {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        let one = |id: &str| format!("/offerings/{id}");
        Ok(match self {
            Self::List(page) => Request::list("/offerings", page, OFFERING),
            Self::Create { model, provider, flags } => {
                let mut body = flags.body()?;
                body.set("model", Some(model)).set("provider", Some(provider));
                Request::post("/offerings", body.value(), OFFERING)
            }
            Self::Get { id } => Request::get(one(&id), OFFERING),
            Self::Update { id, flags } => Request::patch(one(&id), flags.body()?.change()?, OFFERING),
            Self::Delete { id } => Request::delete(one(&id)),
        })
    }
}
