//! `tidegate price …`: prices are appended, never changed.

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
}

impl Create {
    fn request(self) -> anyhow::Result<Request> {
        let mut body = Body::from(&self.json)?;
        body.set("offering_id", Some(self.offering))
            .set("valid_from", self.valid_from)
            .set("source", self.source);
        let prices = self
            .prices
            .iter()
            .map(|text| pair(text).map(|(unit, price)| json!({"unit": unit, "price": price})));
        let prices: Vec<_> = prices.collect::<anyhow::Result<_>>()?;
        if !prices.is_empty() {
            body.set("tiers", Some(json!([{"from_input_tokens": 0, "prices": prices}])));
        }
        let body = body.value();
        if body.get("tiers").is_none() {
            bail!("give at least one --price unit=usd, or the tiers by --json");
        }
        Ok(Request::post("/prices", body, COLUMNS))
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
        }
    }
}
