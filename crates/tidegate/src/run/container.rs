//! `tidegate probe` and `tidegate sleep`: what an image without a shell needs for health checks and
//! for the pause between "no new traffic, please" and the end.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use tokio::time::{Instant, sleep, timeout_at};

/// What to ask.
#[derive(Args)]
pub(crate) struct Probe {
    /// Every one of them must answer.
    #[arg(required = true)]
    urls: Vec<String>,
    /// The status that is expected.
    #[arg(long, default_value_t = 200)]
    expect: u16,
    /// How long to go on asking.
    #[arg(long, default_value_t = 5)]
    timeout_seconds: u64,
}

/// Asks until every URL has answered as expected.
pub(crate) async fn probe(asked: Probe) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(asked.timeout_seconds);
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .context("start a client")?;
    for url in &asked.urls {
        let mut last = "no answer in time".to_owned();
        loop {
            match timeout_at(until, client.get(url).send()).await {
                Ok(Ok(answer)) if answer.status().as_u16() == asked.expect => break,
                Ok(Ok(answer)) => last = format!("answered {}", answer.status()),
                Ok(Err(_)) => "cannot be reached".clone_into(&mut last),
                Err(_) => bail!("{url}: {last}"),
            }
            sleep(Duration::from_millis(500)).await;
        }
        println!("{url}: {}", asked.expect);
    }
    Ok(())
}

/// Waits, and does nothing.
pub(crate) async fn pause(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}
