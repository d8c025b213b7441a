//! `tidegate reconcile`: a provider's usage file, brought to a control plane in parts.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_telemetry::SystemClock;
use tidegate_types::{Clock as _, NanoUsd, Timestamp};

use super::bills::{self, Buckets};
use super::body::read_text;
use super::client::{Client, Failure};
use super::request::{Columns, Request};
use super::{Connection, exit, output};

/// Lines of one request; a body has at most 1 MiB.
const PART: usize = 5_000;

const DIFFERENCES: Columns = &[
    ("call", "/call_id"),
    ("organization", "/organization_id"),
    ("ours", "/ours"),
    ("theirs", "/theirs"),
    ("settled", "/settled"),
];

const SPANS: Columns = &[
    ("from", "/from"),
    ("to", "/to"),
    ("ours", "/ours"),
    ("theirs", "/theirs"),
    ("difference", "/difference"),
    ("unresolved attempts", "/unresolved"),
];

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// Lines with `call_id` and `cost` (USD): a header and columns, separated by commas.
    Csv,
    /// `{"lines": [{"call_id": "gen_…", "cost": "0.01"}]}`, perhaps with `covers`.
    Json,
    /// The simulator's `GET /bill`.
    Simulator,
    /// OpenAI's `GET /v1/organization/costs`: by day.
    OpenaiCosts,
    /// Anthropic's `GET /v1/organizations/cost_report`: by day.
    AnthropicCosts,
    /// AWS' Cost and Usage Report as CSV, legacy or 2.0: by day.
    AwsCur,
    /// A FOCUS file as CSV: by day.
    Focus,
}

/// Sets a provider's bill against the books.
#[derive(Debug, Args)]
pub(crate) struct Reconcile {
    #[command(flatten)]
    connection: Connection,
    /// The provider's slug.
    #[arg(long)]
    provider: String,
    /// Its usage file, or - for standard input.
    #[arg(long, alias = "usage-file")]
    file: String,
    /// Of an AWS or FOCUS file, only lines of services whose name contains this.
    #[arg(long, default_value = "bedrock")]
    service: String,
    /// What the file holds; by its name's ending when absent.
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// The file is complete from this time on (RFC 3339): what is not on it was not billed.
    #[arg(long, requires = "to")]
    from: Option<Timestamp>,
    /// The file is complete up to this time.
    #[arg(long, requires = "from")]
    to: Option<Timestamp>,
    /// Change nothing; only say what would change.
    #[arg(long)]
    dry_run: bool,
}

/// A bill as the management API takes it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Bill {
    lines: Vec<(String, NanoUsd)>,
    covers: Option<(Timestamp, Timestamp)>,
}

/// Carries the command out.
pub(super) async fn run(command: Reconcile) -> ExitCode {
    match command.buckets() {
        Ok(None) => {}
        Ok(Some(buckets)) => return command.compare(&buckets).await,
        Err(error) => {
            eprintln!("error: {error:#}");
            return exit::INVALID;
        }
    }
    let bill = match command.bill() {
        Ok(bill) => bill,
        Err(error) => {
            eprintln!("error: {error:#}");
            return exit::INVALID;
        }
    };
    match command.send(&bill).await {
        Ok(answer) => {
            let differences = json!({"data": answer["differences"]});
            let table = command.connection.output == output::Format::Table;
            if table && answer["differing"] != 0 {
                print!("{}", output::render(&differences, DIFFERENCES, command.connection.output));
            }
            let mut summary = answer;
            if table && let Some(summary) = summary.as_object_mut() {
                summary.remove("differences");
            }
            print!("{}", output::render(&summary, &[], command.connection.output));
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprint!("{}", output::render_failure(&failure, command.connection.output));
            failure.code()
        }
    }
}

impl Reconcile {
    /// What the file bills by day, where it is of such a kind.
    fn buckets(&self) -> anyhow::Result<Option<Buckets>> {
        let read = || read_text(&self.file);
        Ok(Some(match self.format {
            Some(FileFormat::OpenaiCosts) => bills::openai(&read()?)?,
            Some(FileFormat::AnthropicCosts) => bills::anthropic(&read()?)?,
            Some(FileFormat::AwsCur) => bills::aws(&read()?, &self.service)?,
            Some(FileFormat::Focus) => bills::focus(&read()?, &self.service)?,
            Some(FileFormat::Csv | FileFormat::Json | FileFormat::Simulator) | None => return Ok(None),
        }))
    }

    /// Sets amounts by day against the books. Nothing is changed: no amount says for which call.
    async fn compare(&self, buckets: &Buckets) -> ExitCode {
        let spans: Vec<Value> =
            buckets.iter().map(|((from, to), cost)| json!({"from": from, "to": to, "cost": cost})).collect();
        let mut request =
            Request::post(format!("/providers/{}/compare", self.provider), json!({"spans": spans}), SPANS);
        request.push("dry_run", self.dry_run.then_some(true));
        let sent = match Client::new(&self.connection) {
            Ok(client) => client.send(&request).await,
            Err(failure) => Err(failure),
        };
        match sent {
            Ok(answer) => {
                print!("{}", output::render(&answer, SPANS, self.connection.output));
                ExitCode::SUCCESS
            }
            Err(failure) => {
                eprint!("{}", output::render_failure(&failure, self.connection.output));
                failure.code()
            }
        }
    }

    fn bill(&self) -> anyhow::Result<Bill> {
        let text = read_text(&self.file)?;
        let ending = if self.file.ends_with(".csv") { FileFormat::Csv } else { FileFormat::Json };
        let format = self.format.unwrap_or(ending);
        let mut bill = match format {
            FileFormat::Csv => csv(&text)?,
            FileFormat::Json => own(&text)?,
            FileFormat::Simulator => simulator(&text, &self.provider, SystemClock.now())?,
            by_day => bail!("{by_day:?} names no calls"),
        };
        if let (Some(from), Some(to)) = (self.from, self.to) {
            bill.covers = Some((from, to));
        }
        Ok(bill)
    }

    /// In parts; what the bill covers goes with the last, when every line has come. Lines of one
    /// call are one sum, so they are added up first.
    async fn send(&self, bill: &Bill) -> Result<Value, Failure> {
        let client = Client::new(&self.connection)?;
        let mut sums = std::collections::BTreeMap::<&str, NanoUsd>::new();
        for (call, cost) in &bill.lines {
            *sums.entry(call).or_default() += *cost;
        }
        let lines: Vec<Value> =
            sums.iter().map(|(call, cost)| json!({"call_id": call, "cost": cost})).collect();
        let mut parts: Vec<&[Value]> = lines.chunks(PART).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        let last = parts.len() - 1;
        let mut total: Option<Value> = None;
        for (place, part) in parts.into_iter().enumerate() {
            let mut body = json!({"lines": part});
            // A dry run of several parts cannot know what the others resolve.
            if let Some((from, to)) = bill.covers.filter(|_| place == last && !(self.dry_run && last > 0)) {
                body["covers"] = json!({"from": from, "to": to});
            }
            let mut request = Request::post(format!("/providers/{}/reconcile", self.provider), body, &[]);
            request.push("dry_run", self.dry_run.then_some(true));
            let answer = client.send(&request).await?;
            total = Some(total.map_or_else(|| answer.clone(), |sum| plus(sum, &answer)));
        }
        Ok(total.unwrap_or_default())
    }
}

/// The sum of two answers.
pub(super) fn plus(mut sum: Value, more: &Value) -> Value {
    let Some(fields) = sum.as_object_mut() else { return sum };
    for (name, value) in fields.iter_mut() {
        match (&mut *value, &more[name.as_str()]) {
            (Value::Number(one), Value::Number(other)) => {
                *value = json!(one.as_u64().unwrap_or(0) + other.as_u64().unwrap_or(0));
            }
            (Value::Array(one), Value::Array(other)) => {
                one.extend(other.iter().filter(|item| !one.contains(item)).cloned().collect::<Vec<_>>());
            }
            _ => {}
        }
    }
    sum
}

fn csv(text: &str) -> anyhow::Result<Bill> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let head: Vec<&str> = lines.next().context("the file is empty")?.split(',').map(str::trim).collect();
    let column = |name: &str| head.iter().position(|field| *field == name);
    let (Some(call), Some(cost)) = (column("call_id"), column("cost")) else {
        bail!("the first line must name the columns call_id and cost");
    };
    let mut bill = Bill::default();
    for (number, line) in lines.enumerate() {
        let fields: Vec<&str> = line.split(',').map(|field| field.trim().trim_matches('"')).collect();
        let field = |place: usize| fields.get(place).copied().unwrap_or_default();
        let amount = field(cost).parse().with_context(|| format!("line {}: cost", number + 2))?;
        bill.lines.push((field(call).to_owned(), amount));
    }
    Ok(bill)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnFile {
    lines: Vec<OwnLine>,
    #[serde(default)]
    covers: Option<OwnCovers>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnLine {
    call_id: String,
    cost: NanoUsd,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnCovers {
    from: Timestamp,
    to: Timestamp,
}

fn own(text: &str) -> anyhow::Result<Bill> {
    let file: OwnFile = serde_json::from_str(text).context("read the file")?;
    Ok(Bill {
        lines: file.lines.into_iter().map(|line| (line.call_id, line.cost)).collect(),
        covers: file.covers.map(|covers| (covers.from, covers.to)),
    })
}

#[derive(Deserialize)]
struct SimulatorBill {
    calls: Vec<SimulatorLine>,
}

#[derive(Deserialize)]
struct SimulatorLine {
    call_id: String,
    provider: String,
    nano_usd: i64,
}

/// The simulator bills what it is asked under our call's id, and everything up to now.
fn simulator(text: &str, provider: &str, now: Timestamp) -> anyhow::Result<Bill> {
    let file: SimulatorBill = serde_json::from_str(text).context("read the file")?;
    let ours = file.calls.into_iter().filter(|line| line.provider == provider);
    let ours = ours.filter(|line| line.call_id.starts_with("gen_"));
    Ok(Bill {
        lines: ours.map(|line| (line.call_id, NanoUsd::new(line.nano_usd))).collect(),
        covers: Some((Timestamp::from_seconds(1_577_836_800), now)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(call: &str, nano: i64) -> (String, NanoUsd) {
        (call.to_owned(), NanoUsd::new(nano))
    }

    #[test]
    fn columns_are_found_by_name() {
        let text = "model,cost,call_id\nx,0.000000001,gen_A\n\"x\",2,\"gen_B\"\n";
        assert_eq!(csv(text).unwrap().lines, [line("gen_A", 1), line("gen_B", 2_000_000_000)]);
        assert!(csv("a,b\n1,2").is_err());
        assert!(csv("call_id,cost\ngen_A,much").is_err());
    }

    #[test]
    fn the_simulators_bill_is_that_of_one_provider() {
        let text = r#"{"total_nano_usd": 9, "calls": [
            {"call_id": "gen_A", "provider": "sim-openai", "nano_usd": 4},
            {"call_id": "gen_B", "provider": "sim-anthropic", "nano_usd": 5},
            {"call_id": "own-1", "provider": "sim-openai", "nano_usd": 6}]}"#;
        let bill = simulator(text, "sim-openai", Timestamp::from_seconds(2_000_000_000)).unwrap();
        assert_eq!(bill.lines, [line("gen_A", 4)]);
    }

    #[test]
    fn answers_of_parts_add_up() {
        let one = json!({"dry_run": false, "charged": 1, "differences": [1], "reopened": ["a"]});
        let other = json!({"dry_run": false, "charged": 2, "differences": [2], "reopened": ["a"]});
        let sum = json!({"dry_run": false, "charged": 3, "differences": [1, 2], "reopened": ["a"]});
        assert_eq!(plus(one, &other), sum);
    }
}
