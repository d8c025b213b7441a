//! Load of every kind for a build that notes what runs, from which `cargo xtask release --pgo` learns: the
//! phases of the measurement, other surfaces, with and without Redis. Nothing is measured.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tidegate_testkit::installation::{Installation, Program};

use crate::gateway::{self, PHASES, Subject, Who};
use crate::report::Phase;
use crate::{load, peers};

/// Requests of each further surface, and how many at once.
const FURTHER: usize = 600;
const TOGETHER: usize = 8;

/// Keys made, so that changes of the configuration are on their way too.
const KEYS: usize = 200;

pub(crate) async fn run(binary: &Path, window: Duration) -> Result<()> {
    let (_mock, upstream) = peers::mock().await?;
    for who in [Who::Memory, Who::Redis] {
        let mut installation =
            gateway::install(binary, upstream, gateway::counting(who == Who::Redis), &[]).await?;
        let subject = gateway::subject(who, "training", &installation).await?;
        for number in 0..KEYS {
            installation.key(&format!("training-{number}"), &json!({})).await?;
        }
        for (phase, model, stream, connections) in PHASES.iter().filter(|(phase, ..)| *phase != Phase::Fresh)
        {
            let seen = load::run(&gateway::plan(&subject, model, *stream, *connections, window)).await?;
            ensure!(
                seen.answers > seen.failures,
                "{phase:?}: {} failed: {}",
                seen.failures,
                seen.last_failure
            );
        }
        for (path, body) in surfaces() {
            further(&subject, path, &body).await.with_context(|| format!("load on {path}"))?;
        }
        end(&mut installation).await?;
    }
    Ok(())
}

/// Calls in other forms than the one that is measured.
fn surfaces() -> Vec<(&'static str, Value)> {
    let messages = json!([{"role": "user", "content": "Say \"hello\" to the benchmark.\nKeep it short."}]);
    let answer = json!({"model": "bench/mock", "max_tokens": 200, "messages": messages});
    let stream =
        json!({"model": "bench/mock-c100-i0", "max_tokens": 200, "stream": true, "messages": messages});
    vec![
        ("/v1/messages", answer),
        ("/v1/messages", stream),
        ("/v1/responses", json!({"model": "bench/mock", "store": false, "input": "Say hello."})),
        (
            "/v1/responses",
            json!({"model": "bench/mock", "store": false, "stream": true, "input": "Say hello."}),
        ),
        (
            "/v1/chat/completions",
            json!({"model": "bench/mock", "max_completion_tokens": 99, "temperature": 0.5, "messages": messages}),
        ),
    ]
}

async fn further(subject: &Subject, path: &str, body: &Value) -> Result<()> {
    let client = reqwest::Client::builder().tcp_nodelay(true).build()?;
    let (url, client) = (format!("{}{path}", subject.url), &client);
    let key = subject.key.as_deref().context("no key")?;
    let callers = (0..TOGETHER).map(|_| async {
        for _ in 0..FURTHER / TOGETHER {
            let answer = client.post(&url).bearer_auth(key).json(body).send().await?;
            let status = answer.status();
            let text = answer.text().await?;
            ensure!(status.is_success(), "{status}: {text}");
        }
        Ok(())
    });
    futures_util::future::join_all(callers).await.into_iter().collect()
}

/// What ran is written when a process ends by itself.
async fn end(installation: &mut Installation) -> Result<()> {
    for program in installation.nodes.iter_mut().chain(&mut installation.control_planes) {
        stop(program).await?;
    }
    Ok(())
}

async fn stop(program: &mut Program) -> Result<()> {
    program.signal("TERM");
    ensure!(program.wait(Duration::from_secs(60)).await?, "a process ended badly:\n{}", program.log());
    Ok(())
}
