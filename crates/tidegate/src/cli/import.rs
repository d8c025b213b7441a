//! `tidegate catalogue …`: the catalogue that comes with the executable, and price files, brought
//! to a control plane provider by provider.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use tidegate_catalogue::{Catalogue, PriceFiles, Rules, Source};
use tidegate_telemetry::SystemClock;
use tidegate_types::{Clock as _, ProviderSlug};

use super::body::read_text;
use super::client::{Client, Failure};
use super::request::{Columns, Request};
use super::{Connection, exit, output};

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// A catalogue document.
    Catalogue,
    /// The data of genai-prices.
    Genai,
    /// LiteLLM's model_prices_and_context_window.json.
    Litellm,
}

/// What is taken from where.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// A file, or - for standard input; the catalogue of this version of Tidegate when absent.
    file: Option<String>,
    /// What the file holds.
    #[arg(long, value_enum, default_value_t = FileFormat::Catalogue)]
    format: FileFormat,
    /// Only this provider. May be repeated.
    #[arg(long = "provider")]
    providers: Vec<ProviderSlug>,
}

/// What can be done with the catalogue.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Shows a catalogue without storing it: its providers, or the models of those named.
    List(Selection),
    /// Makes what the control plane lacks; changed prices become versions, nothing is deleted.
    Import {
        #[command(flatten)]
        selection: Selection,
        /// Change nothing; only say what would change.
        #[arg(long)]
        dry_run: bool,
    },
}

const PROVIDERS: Columns = &[
    ("provider", "/slug"),
    ("name", "/name"),
    ("dialect", "/dialect"),
    ("models", "/models"),
    ("key from", "/key"),
    ("note", "/note"),
];
const MODELS: Columns = &[
    ("model", "/model"),
    ("provider", "/provider"),
    ("upstream", "/upstream_name"),
    ("input", "/input"),
    ("output", "/output"),
];

/// Carries out a verb.
pub(super) async fn run(connection: &Connection, verb: Verb) -> ExitCode {
    let format = connection.output;
    match verb {
        Verb::List(selection) => match selection.read().and_then(|catalogue| selection.list(&catalogue)) {
            Ok((rows, columns)) => {
                print!("{}", output::render(&json!({"data": rows}), columns, format));
                ExitCode::SUCCESS
            }
            Err(error) => invalid(&error),
        },
        Verb::Import { selection, dry_run } => match selection.read() {
            Ok(catalogue) => match import(connection, &selection, catalogue, dry_run).await {
                Ok(summary) => {
                    print!("{}", output::render(&summary, &[], format));
                    ExitCode::SUCCESS
                }
                Err(failure) => {
                    eprint!("{}", output::render_failure(&failure, format));
                    failure.code()
                }
            },
            Err(error) => invalid(&error),
        },
    }
}

fn invalid(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    exit::INVALID
}

impl Selection {
    /// The catalogue; reading price files, what could not be expressed goes to standard error.
    fn read(&self) -> anyhow::Result<Catalogue> {
        let mut catalogue = match &self.file {
            None => tidegate_catalogue::builtin()?,
            Some(file) => {
                let text = read_text(file)?;
                match self.format {
                    FileFormat::Catalogue => tidegate_catalogue::parse(&text)?,
                    FileFormat::Genai | FileFormat::Litellm => self.build(text)?,
                }
            }
        };
        if !self.providers.is_empty() {
            let known = |slug: &&ProviderSlug| catalogue.providers.iter().all(|entry| entry.slug != **slug);
            if let Some(unknown) = self.providers.iter().find(known) {
                bail!("the catalogue has no provider {unknown}");
            }
            catalogue = catalogue.only(|slug| self.providers.contains(slug));
        }
        Ok(catalogue)
    }

    fn build(&self, text: String) -> anyhow::Result<Catalogue> {
        let rules = Rules::builtin()?;
        let name = if self.format == FileFormat::Genai { "genai-prices" } else { "litellm" };
        let source = Source {
            name: name.to_owned(),
            version: "file".to_owned(),
            licence: "MIT".to_owned(),
            read_at: SystemClock.now(),
        };
        let mut files = PriceFiles::default();
        if self.format == FileFormat::Genai {
            files.genai = Some((source, text));
        } else {
            files.litellm = Some((source, text));
        }
        let built = tidegate_catalogue::build(&rules, &files)?;
        for line in &built.report {
            eprintln!("{line}");
        }
        let mut catalogue = built.catalogue;
        catalogue.providers = rules.providers.iter().map(|rule| rule.entry()).collect();
        Ok(catalogue)
    }

    fn list(&self, catalogue: &Catalogue) -> anyhow::Result<(Vec<Value>, Columns)> {
        if self.providers.is_empty() {
            return Ok((providers(catalogue)?, PROVIDERS));
        }
        let rows = catalogue.offerings.iter().map(|offering| {
            let newest = offering.prices.last().and_then(|price| price.tiers.values().next());
            let price = |unit| newest.and_then(|prices| prices.get(&unit)).map(ToString::to_string);
            json!({"model": offering.model, "provider": offering.provider, "upstream_name": offering.upstream_name,
                "input": price(tidegate_types::resource::Unit::InputToken),
                "output": price(tidegate_types::resource::Unit::OutputToken), "prices": offering.prices})
        });
        Ok((rows.collect(), MODELS))
    }
}

fn providers(catalogue: &Catalogue) -> anyhow::Result<Vec<Value>> {
    let rules = Rules::builtin().context("read the providers")?;
    let rows = catalogue.providers.iter().map(|entry| {
        let rule = rules.providers.iter().find(|rule| rule.slug == entry.slug);
        let variables: Vec<&str> =
            rule.into_iter().flat_map(|rule| rule.key.values()).map(String::as_str).collect();
        let models = catalogue.offerings.iter().filter(|offering| offering.provider == entry.slug).count();
        json!({"slug": entry.slug, "name": entry.name, "dialect": entry.dialect, "models": models,
            "key": variables.join(" "), "note": rule.and_then(|rule| rule.note.clone()).unwrap_or_default()})
    });
    Ok(rows.collect())
}

/// One request for each provider, so that each fits and a refusal concerns one provider only.
/// Without a choice, private providers are left out: they mean something on their own machine only.
async fn import(
    connection: &Connection,
    selection: &Selection,
    catalogue: Catalogue,
    dry_run: bool,
) -> Result<Value, Failure> {
    let client = Client::new(connection)?;
    let mut totals: BTreeMap<&str, usize> = BTreeMap::new();
    let mut made: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for entry in &catalogue.providers {
        if selection.providers.is_empty() && entry.base_url.starts_with("http://") {
            continue;
        }
        let part = catalogue.clone().only(|slug| *slug == entry.slug);
        let body = serde_json::to_value(&part).map_err(|error| Failure::Away(error.to_string()))?;
        let mut request = Request::post("/catalogue/import", body, &[]);
        request.push("dry_run", dry_run.then_some(true));
        let answer = client.send(&request).await?;
        for kind in ["providers", "models", "offerings", "prices"] {
            let names = answer.get(kind).and_then(Value::as_array).into_iter().flatten();
            made.entry(kind).or_default().extend(names.cloned());
        }
        let unchanged = answer.get("unchanged").and_then(Value::as_u64).unwrap_or_default();
        *totals.entry("unchanged").or_default() += usize::try_from(unchanged).unwrap_or(usize::MAX);
    }
    // A dry run plans each provider by itself, so that models of several would be counted twice.
    for names in made.values_mut() {
        names.sort_by(|one, other| one.as_str().cmp(&other.as_str()));
        names.dedup();
    }
    if connection.output == output::Format::Json {
        return Ok(json!({"dry_run": dry_run, "made": made, "unchanged": totals.get("unchanged")}));
    }
    let count = |kind: &str| made.get(kind).map_or(0, Vec::len);
    Ok(json!({"dry_run": dry_run, "new_providers": count("providers"), "new_models": count("models"),
        "new_offerings": count("offerings"), "new_prices": count("prices"), "unchanged": totals.get("unchanged")}))
}
