//! `tidegate join`: fetches what a new node needs before its first start, without anybody's help: trust
//! roots, and a join token where it has no service account. A node that has an identity needs neither, nor a control plane.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use tidegate_types::Secret;
use tokio::time::{Instant, sleep};

use super::Connection;
use super::client::{Client, Failure};
use super::output::Format;
use super::request::Request;

/// Long enough for the node to start, short enough for a token that is lost.
const TOKEN_LASTS_SECONDS: u32 = 600;
const TOKEN: &str = "join-token";
const ROOTS: &str = "trust-roots.pem";

/// Where to ask and where to put the answer.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The control plane, for example http://control:8081.
    #[arg(long)]
    control_url: String,
    /// The pool that the node joins.
    #[arg(long, default_value = "default")]
    pool: String,
    /// File with the seed that was given to `tidegate provision`; without it only the trust roots are
    /// fetched, for a node that enrols by its service account.
    #[arg(long)]
    seed_file: Option<PathBuf>,
    /// The node's state folder; when it holds an identity nothing is asked.
    #[arg(long)]
    state_dir: PathBuf,
    /// Folder for `join-token` and `trust-roots.pem`.
    #[arg(long)]
    out: PathBuf,
    /// How long to go on asking.
    #[arg(long, default_value_t = 120)]
    timeout_seconds: u64,
}

/// Asks until there is an answer, and writes it down.
pub(crate) async fn run(asked: &Arguments) -> Result<()> {
    let (token_file, roots_file) = (asked.out.join(TOKEN), asked.out.join(ROOTS));
    let has_token = asked.seed_file.is_none() || token_file.exists();
    if asked.state_dir.join("identity").exists() && has_token && roots_file.exists() {
        println!("the node has joined before");
        return Ok(());
    }
    let token = asked.seed_file.as_deref().map(enroller).transpose()?;
    let connection = Connection {
        url: asked.control_url.clone(),
        token: token.as_ref().map(|token| token.expose().to_owned()).unwrap_or_default(),
        organization: None,
        output: Format::Json,
        wait: false,
        idempotency_key: None,
        if_match: None,
    };
    let request = match &token {
        Some(_) => {
            let body = json!({"pool": asked.pool, "expires_in_seconds": TOKEN_LASTS_SECONDS});
            Request::post("/join-tokens", body, &[])
        }
        None => Request::get("/fleet/trust-roots", &[]),
    };
    let answer = ask(&connection, &request, Duration::from_secs(asked.timeout_seconds)).await?;
    let text = |field: &str| {
        answer.get(field).and_then(Value::as_str).with_context(|| format!("the answer has no {field}"))
    };
    DirBuilder::new().recursive(true).mode(0o700).create(&asked.out).context("make the folder")?;
    write(&roots_file, text("trust_roots")?)?;
    if token.is_some() {
        write(&token_file, text("token")?)?;
        println!("a join token for pool {} is in {}", asked.pool, token_file.display());
    }
    Ok(())
}

/// The enroller's service token, which follows from the seed.
fn enroller(seed_file: &Path) -> Result<Secret> {
    let seed = crate::run::provision::read(seed_file)?;
    let token = tidegate_secrets::token::from_seed(&seed);
    let (_, token, _) =
        token.with_context(|| format!("{} has fewer than 32 characters", seed_file.display()))?;
    Ok(token)
}

/// The first start of everything is in any order: the control plane may not answer yet.
async fn ask(connection: &Connection, request: &Request, lasts: Duration) -> Result<Value> {
    let until = Instant::now() + lasts;
    let failed = |failure: Failure| match failure {
        Failure::Away(why) => anyhow::anyhow!(why),
        Failure::Refused { status, problem } => {
            let detail = problem.get("detail").and_then(Value::as_str).unwrap_or("no reason given");
            anyhow::anyhow!("the control plane answered {status}: {detail}")
        }
    };
    let client = Client::new(connection).map_err(failed)?;
    loop {
        match client.send(request).await {
            Ok(answer) => return Ok(answer),
            Err(failure) if Instant::now() >= until => bail!(failed(failure)),
            Err(failure) => eprintln!("not yet: {}", failed(failure)),
        }
        sleep(Duration::from_secs(2)).await;
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    let open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = open.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.with_context(|| format!("write {}", path.display()))
}
