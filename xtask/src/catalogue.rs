//! Makes `crates/tidegate-catalogue/data/prices.json` from the community's price files.
//!
//! genai-prices is taken from the crate of the version in `Cargo.lock`; LiteLLM's file
//! (`litellm/model_prices_and_context_window_backup.json` of its wheel) is given by path.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use tidegate_catalogue::{Built, PriceFiles, Rules, Source, build, midnight};

/// Where to read from.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// LiteLLM's price file.
    #[arg(long)]
    litellm: PathBuf,
    /// The version of the package that it was taken from.
    #[arg(long)]
    litellm_version: String,
    /// Today, for example 2026-11-21.
    #[arg(long)]
    read: String,
}

/// Writes the snapshot and the report beside it.
///
/// # Errors
/// When a file cannot be read or has another form.
pub(crate) fn run(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    let data = root.join("crates/tidegate-catalogue/data");
    let rules = Rules::parse(&fs::read_to_string(data.join("providers.toml"))?)?;
    let read_at = midnight(&arguments.read).context("--read is a day such as 2026-11-21")?;
    let source = |name: &str, version: String| Source {
        name: name.to_owned(),
        version,
        licence: "MIT".to_owned(),
        read_at,
    };
    let (version, genai) = genai(root)?;
    let litellm = fs::read_to_string(&arguments.litellm).context("read LiteLLM's price file")?;
    let files = PriceFiles {
        genai: Some((source("genai-prices", version), genai)),
        litellm: Some((source("litellm", arguments.litellm_version.clone()), litellm)),
    };
    let Built { catalogue, report } = build(&rules, &files)?;
    let mut text = String::from("{\n\"sources\": [\n");
    lines(&mut text, &catalogue.sources)?;
    text.push_str("],\n\"models\": [\n");
    lines(&mut text, &catalogue.models)?;
    text.push_str("],\n\"offerings\": [\n");
    lines(&mut text, &catalogue.offerings)?;
    text.push_str("]\n}\n");
    fs::write(data.join("prices.json"), text)?;
    fs::write(data.join("left-out.txt"), report.join("\n") + "\n")?;
    println!(
        "{} models, {} offerings, {} notes in left-out.txt",
        catalogue.models.len(),
        catalogue.offerings.len(),
        report.len()
    );
    Ok(())
}

/// One line for each entry, so that differences can be read.
fn lines<T: Serialize>(text: &mut String, entries: &[T]) -> anyhow::Result<()> {
    for (place, entry) in entries.iter().enumerate() {
        let comma = if place + 1 == entries.len() { "" } else { "," };
        writeln!(text, "{}{comma}", serde_json::to_string(entry)?)?;
    }
    Ok(())
}

/// Version and data of the crate genai-prices.
fn genai(root: &Path) -> anyhow::Result<(String, String)> {
    let output = Command::new("cargo")
        .current_dir(root)
        .args(["metadata", "--format-version=1", "--locked"])
        .output()?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists packages")?;
    let package = packages
        .iter()
        .find(|package| package["name"] == "genai-prices")
        .context("genai-prices is a dependency")?;
    let manifest = package["manifest_path"].as_str().context("a package has a manifest")?;
    let file = Path::new(manifest).with_file_name("data").join("prices.json");
    let version = package["version"].as_str().context("a package has a version")?;
    Ok((version.to_owned(), fs::read_to_string(&file).context("read the data of genai-prices")?))
}
