//! `tidegate price …`: prices are appended, never changed; overrides are an organization's own.

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;

use super::body::{Body, JsonArg, pair};
use super::request::{Columns, PageArgs, Request};

const COLUMNS: Columns = &[
    ("id", "/id"),
    ("offering", "/offering_id"),
    ("valid from", "/valid_from"),
    ("recorded", "/recorded_at"),
    ("tiers", "/tiers"),
];

/// A new price.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The offering.
    #[arg(long)]
    offering: String,
    #[command(flatten)]
    terms: Terms,
}

/// What a price says.
#[derive(Debug, Args)]
pub(crate) struct Terms {
    /// Price of a unit in USD: unit=price, for example input_token=0.0000025. May be repeated.
    /// Prices by tiers of input tokens are given by --json.
    #[arg(long = "price", value_name = "UNIT=USD")]
    prices: Vec<String>,
    /// In force from this time on (RFC 3339); now when absent.
    #[arg(long)]
    valid_from: Option<String>,
    /// Where it was read.
    #[arg(long)]
    source: Option<String>,
    #[command(flatten)]
    json: JsonArg,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists prices.
    List {
        /// Only those of this offering.
        #[arg(long)]
        offering: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Appends a price to an offering.
    Create(Create),
    /// What the organization pays over its own credentials, where that is not the list price.
    #[command(subcommand)]
    Override(Override),
}

/// What can be done with an organization's own prices.
#[derive(Debug, Subcommand)]
pub(crate) enum Override {
    /// Lists them.
    List(PageArgs),
    /// Sets one; a later one of the same model and provider is appended.
    Set {
        /// The model, creator/name.
        #[arg(long)]
        model: String,
        /// The provider's slug.
        #[arg(long)]
        provider: String,
        #[command(flatten)]
        terms: Terms,
    },
    /// Takes one away: the list price holds again.
    Delete {
        /// Its id.
        id: String,
    },
}

const OVERRIDE: Columns =
    &[("id", "/id"), ("model", "/model"), ("provider", "/provider"), ("prices", "/prices")];

impl Override {
    fn request(self) -> anyhow::Result<Request> {
        Ok(match self {
            Self::List(page) => Request::list("/price-overrides", page, OVERRIDE),
            Self::Set { model, provider, terms } => {
                let mut body = terms.body()?;
                body.set("model", Some(model)).set("provider", Some(provider));
                Request::post("/price-overrides", body.value(), OVERRIDE)
            }
            Self::Delete { id } => Request::delete(format!("/price-overrides/{id}")),
        })
    }
}

impl Terms {
    fn body(self) -> anyhow::Result<Body> {
        let mut body = Body::from(&self.json)?;
        body.set("valid_from", self.valid_from).set("source", self.source);
        let prices = self
            .prices
            .iter()
            .map(|text| pair(text).map(|(unit, price)| json!({"unit": unit, "price": price})));
        let prices: Vec<_> = prices.collect::<anyhow::Result<_>>()?;
        if !prices.is_empty() {
            body.set("tiers", Some(json!([{"from_input_tokens": 0, "prices": prices}])));
        }
        if !body.has("tiers") {
            bail!("give at least one --price unit=usd, or the tiers by --json");
        }
        Ok(body)
    }
}

impl Create {
    fn request(self) -> anyhow::Result<Request> {
        let mut body = self.terms.body()?;
        body.set("offering_id", Some(self.offering));
        Ok(Request::post("/prices", body.value(), COLUMNS))
    }
}

impl Verb {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        match self {
            Self::List { offering, page } => {
                let mut request = Request::list("/prices", page, COLUMNS);
                request.push("offering_id", offering);
                Ok(request)
            }
            Self::Create(create) => create.request(),
            Self::Override(verb) => verb.request(),
        }
    }
}
