//! `tidegate zdr …`: what was decided about data handling, and whether that is what the nodes signed.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use tidegate_secrets::decision::file::DecisionFile;
use tidegate_secrets::decision::{Certificates, fingerprint};

use super::exit;
use super::request::Request;

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// The organization's decisions; with `--output json` the document that `verify` checks.
    Records {
        /// Sealed at this time or later; a day ago when absent.
        #[arg(long)]
        from: Option<String>,
        /// Sealed before this time.
        #[arg(long)]
        to: Option<String>,
    },
    /// Checks a document of `records` without asking anybody: every decision is the one that a node signed,
    /// none is missing, none stands elsewhere.
    Verify(File),
}

/// A document to check.
#[derive(Debug, Args)]
pub(crate) struct File {
    /// The document.
    file: PathBuf,
    /// The installation's roots in PEM form; those that the document names itself when absent.
    #[arg(long)]
    roots: Option<PathBuf>,
}

impl Verb {
    pub(super) fn request(self) -> Result<Request> {
        match self {
            Self::Records { from, to } => {
                let mut request = Request::get("/zdr/records", &[]);
                request.push("from", from);
                request.push("to", to);
                Ok(request)
            }
            Self::Verify(_) => anyhow::bail!("takes no request"),
        }
    }
}

/// Verifies a document; prints what it found.
pub(super) fn verify(asked: &File) -> ExitCode {
    exit::of_check(checked(asked))
}

fn checked(asked: &File) -> Result<bool> {
    let text = std::fs::read(&asked.file).with_context(|| format!("read {}", asked.file.display()))?;
    let file: DecisionFile = serde_json::from_slice(&text).context("not a document of `zdr records`")?;
    let trusted = asked.roots.as_deref().map(roots).transpose()?;
    let found = file.verify(trusted.as_ref());
    for finding in &found.findings {
        println!("WRONG {finding}");
    }
    if trusted.is_none() {
        for root in &file.manifest.roots {
            let print: String = fingerprint(&root.0).iter().map(|byte| format!("{byte:02x}")).collect();
            println!("trusting the root that the document names: SHA-256 {print} (or give --roots)");
        }
    }
    let verdict = if found.findings.is_empty() { "holds" } else { "DOES NOT HOLD" };
    println!(
        "{verdict}: {} decisions in {} links of {} chains, {} to {}",
        found.decisions, found.links, found.chains, file.manifest.from, file.manifest.to
    );
    Ok(found.findings.is_empty())
}

/// The certificates of a PEM file.
fn roots(path: &Path) -> Result<Certificates> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let blocks = text.split("-----BEGIN CERTIFICATE-----").skip(1);
    let certificates = blocks.map(|block| {
        let body = block.split("-----END").next().unwrap_or_default();
        let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
        STANDARD.decode(body).context("not a certificate in PEM form")
    });
    Ok(Certificates::new(certificates.collect::<Result<Vec<_>>>()?))
}
