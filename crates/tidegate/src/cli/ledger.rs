//! `tidegate ledger …` and `tidegate rerate`: the accounts, and computing booked charges again.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tidegate_types::Timestamp;

use super::client::{Client, Failure};
use super::request::{Columns, Request};
use super::{Connection, exit, output};

const ACCOUNTS: Columns = &[("account", "/account"), ("provider", "/provider_id"), ("sum usd", "/sum")];

const DIFFERENCES: Columns = &[
    ("call", "/call_id"),
    ("attempt", "/attempt"),
    ("organization", "/organization_id"),
    ("booked", "/booked"),
    ("computed", "/computed"),
    ("price", "/price_id"),
];

/// One request takes so much of the time that is asked for.
const SLICE_MS: i64 = 86_400_000;

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Shows the sums of the accounts; together they are zero.
    Show,
}

impl Verb {
    #[expect(clippy::unnecessary_wraps, reason = "every noun has this face")]
    pub(super) fn request(self) -> anyhow::Result<Request> {
        let Self::Show = self;
        Ok(Request::get("/ledger", ACCOUNTS))
    }
}

/// Computes booked charges again, and tells what comes out otherwise (platform administrators).
#[derive(Debug, Args)]
pub(crate) struct Rerate {
    #[command(flatten)]
    connection: Connection,
    /// Calls begun from this time on (RFC 3339).
    #[arg(long)]
    from: Timestamp,
    /// Calls begun before this time.
    #[arg(long)]
    to: Timestamp,
    /// By the prices at the time of each call as they are known by now, not by those that it was
    /// charged by.
    #[arg(long)]
    known_prices: bool,
    /// Adjust what comes out otherwise. Without it, nothing is changed.
    #[arg(long)]
    apply: bool,
}

/// Carries the command out, a day at a time.
pub(super) async fn rerate(command: Rerate) -> ExitCode {
    if command.from >= command.to {
        eprintln!("error: --from must be before --to");
        return exit::INVALID;
    }
    match command.send().await {
        Ok(answer) => {
            let format = command.connection.output;
            let (table, differs) = (format == output::Format::Table, answer["differing"] != json!(0));
            if table && differs {
                let rows = json!({"data": answer["differences"]});
                print!("{}", output::render(&rows, DIFFERENCES, format));
            }
            let mut summary = answer;
            if table && let Some(summary) = summary.as_object_mut() {
                summary.remove("differences");
            }
            print!("{}", output::render(&summary, &[], format));
            // Scripts ask by this whether every line was reproduced.
            if differs && !command.apply { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(failure) => {
            eprint!("{}", output::render_failure(&failure, command.connection.output));
            failure.code()
        }
    }
}

impl Rerate {
    async fn send(&self) -> Result<Value, Failure> {
        let client = Client::new(&self.connection)?;
        let prices = if self.known_prices { "known" } else { "charged" };
        let (mut from, mut total) = (self.from, None::<Value>);
        while from < self.to {
            let to = from.plus_millis(SLICE_MS).min(self.to);
            let body = json!({"from": from, "to": to, "prices": prices, "apply": self.apply});
            let answer = client.send(&Request::post("/ledger/rerate", body, &[])).await?;
            total = Some(total.map_or_else(|| answer.clone(), |sum| super::reconcile::plus(sum, &answer)));
            from = to;
        }
        Ok(total.unwrap_or_default())
    }
}
