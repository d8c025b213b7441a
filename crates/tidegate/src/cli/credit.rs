//! `tidegate credit …`: what an organization has paid in advance, or is given.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::body::{Body, JsonArg};
use super::request::{Columns, PageArgs, Request};

const COLUMNS: Columns = &[
    ("enabled", "/enabled"),
    ("balance", "/balance"),
    ("allowance left", "/allowance_left"),
    ("lapses", "/period_end"),
    ("drawn", "/drawn"),
    ("markup %", "/markup_percent"),
    ("allowance", "/allowance"),
];

const ENTRIES: Columns = &[
    ("id", "/id"),
    ("kind", "/kind"),
    ("amount", "/amount"),
    ("at", "/at"),
    ("reference", "/reference"),
    ("corrects", "/corrects"),
    ("note", "/note"),
    ("by", "/actor"),
];

/// How credit is set up.
#[derive(Debug, Args)]
pub(crate) struct SetUp {
    /// On top of each charge, percent.
    #[arg(long)]
    markup: Option<String>,
    /// Given for each period, USD; lapses with it.
    #[arg(long, requires = "every")]
    allowance: Option<String>,
    /// The periods: hour, day, week, month, quarter or year.
    #[arg(long, requires = "allowance")]
    every: Option<String>,
    /// The first top-up ends the allowance.
    #[arg(long, requires = "allowance")]
    ends_with_top_up: bool,
    /// End the allowance.
    #[arg(long, conflicts_with = "allowance")]
    no_allowance: bool,
    #[command(flatten)]
    json: JsonArg,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Shows what is left.
    Show,
    /// Sets credit up, or changes how it is (platform administrators).
    SetUp(SetUp),
    /// Books a payment (platform administrators).
    TopUp {
        /// USD.
        amount: String,
        /// The payment's own name, for example an invoice's number: booked once.
        #[arg(long)]
        reference: String,
        /// Why.
        #[arg(long)]
        note: Option<String>,
    },
    /// Books a correction of an entry (platform administrators).
    Adjust {
        /// The entry that it corrects.
        id: String,
        /// USD; below zero: taken back.
        #[arg(long, allow_hyphen_values = true)]
        amount: String,
        /// Its own name: booked once.
        #[arg(long)]
        reference: String,
        /// Why.
        #[arg(long)]
        note: String,
    },
    /// Lists what was put in or taken back.
    Entries(PageArgs),
}

impl Verb {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        Ok(match self {
            Self::Show => Request::get("/credits", COLUMNS),
            Self::SetUp(asked) => {
                let mut body = Body::from(&asked.json)?;
                body.set("markup_percent", asked.markup);
                if asked.no_allowance {
                    body.set("allowance", Some(Value::Null));
                }
                if let (Some(amount), Some(every)) = (asked.allowance, asked.every) {
                    let allowance =
                        json!({"amount": amount, "every": every, "ends_with_top_up": asked.ends_with_top_up});
                    body.set("allowance", Some(allowance));
                }
                Request::patch("/credits", body.value(), COLUMNS)
            }
            Self::TopUp { amount, reference, note } => {
                let mut body = Body::default();
                body.set("amount", Some(amount)).set("reference", Some(reference)).set("note", note);
                Request::post("/credits/top-ups", body.value(), ENTRIES)
            }
            Self::Adjust { id, amount, reference, note } => {
                let body = json!({"corrects": id, "amount": amount, "reference": reference, "note": note});
                Request::post("/credits/adjustments", body, ENTRIES)
            }
            Self::Entries(page) => Request::list("/credits/entries", page, ENTRIES),
        })
    }
}
