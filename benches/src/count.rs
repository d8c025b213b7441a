//! What a request takes whatever the neighbours do: instructions (callgrind) and system calls (strace).
//!
//! Both tools slow the process down many times: nothing here is a time.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tidegate_testkit::installation::Installation;

use crate::gateway::{self, Subject, Who};
use crate::load;
use crate::peers;

/// What is counted, and how often.
pub(crate) struct Scope {
    pub(crate) who: Who,
    pub(crate) connections: usize,
    /// Counted requests; as many system calls are counted for ten times so many.
    pub(crate) requests: u64,
}

/// Before counting: connections are opened, pools filled.
const WARM: u64 = 500;

pub(crate) async fn run(binary: &Path, folder: &Path, scope: &Scope) -> Result<()> {
    let (_mock, upstream) = peers::mock().await?;
    if scope.who == Who::Nginx {
        let tls = crate::tls::make(folder)?;
        let nginx = peers::nginx(folder, upstream, &tls).await?.context("nginx is not installed")?;
        let subject = gateway::nginx(&nginx);
        return system_calls(&subject, scope, folder).await;
    }
    let (kept, subject) = node(binary, upstream, scope.who, &[]).await?;
    system_calls(&subject, scope, folder).await?;
    drop(kept);
    let out = folder.join("callgrind.out");
    let file = format!("--callgrind-out-file={}", out.display());
    let valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--dump-instr=yes", &file];
    let (_kept, subject) = node(binary, upstream, scope.who, &valgrind).await?;
    instructions(&subject, scope, &out).await
}

/// A node behind these words of a command line.
async fn node(binary: &Path, upstream: u16, who: Who, wrapper: &[&str]) -> Result<(Installation, Subject)> {
    let installation =
        gateway::install(binary, upstream, gateway::counting(who == Who::Redis), wrapper).await?;
    let subject = gateway::subject(who, "tidegate", &installation).await?;
    Ok((installation, subject))
}

async fn send(subject: &Subject, connections: usize, requests: u64) -> Result<u64> {
    let mut plan = gateway::plan(subject, "mock", false, connections, Duration::from_secs(300));
    plan.most = Some(requests);
    let seen = load::run(&plan).await?;
    anyhow::ensure!(seen.failures == 0, "{} failures: {}", seen.failures, seen.last_failure);
    Ok(seen.answers)
}

async fn system_calls(subject: &Subject, scope: &Scope, folder: &Path) -> Result<()> {
    let pid = subject.pids.first().context("nobody to look at")?.to_string();
    send(subject, scope.connections, WARM).await?;
    let summary = folder.join("strace.out");
    let strace = Command::new("strace")
        .args(["-c", "-f", "-p", &pid, "-o"])
        .arg(&summary)
        .stderr(Stdio::null())
        .spawn();
    let mut strace = strace.context("start strace")?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let answers = send(subject, scope.connections, scope.requests * 10).await?;
    end(&mut strace)?;
    println!("system calls per request ({answers} requests, {} connections):", scope.connections);
    for line in std::fs::read_to_string(&summary)?.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (Some(calls), Some(name)) = (fields.get(3), fields.last()) else { continue };
        let Ok(calls) = calls.parse::<f64>() else { continue };
        if calls / answers as f64 >= 0.005 {
            println!("  {:8.3} {name}", calls / answers as f64);
        }
    }
    Ok(())
}

async fn instructions(subject: &Subject, scope: &Scope, out: &Path) -> Result<()> {
    let pid = subject.pids.first().context("nobody to look at")?.to_string();
    send(subject, scope.connections, WARM).await?;
    control(&["--instr=on", &pid])?;
    let answers = send(subject, scope.connections, scope.requests).await?;
    control(&["--instr=off", &pid])?;
    control(&["--dump", &pid])?;
    let dumped = out.with_extension("out.1");
    let profile = std::fs::read_to_string(&dumped).context("read callgrind's profile")?;
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse::<f64>().ok());
    let total = total.context("callgrind counted nothing")?;
    println!(
        "instructions per request ({answers} requests): {:.0}; profile in {}",
        total / answers as f64,
        dumped.display()
    );
    Ok(())
}

fn control(arguments: &[&str]) -> Result<()> {
    let status = Command::new("callgrind_control").args(arguments).stdout(Stdio::null()).status()?;
    anyhow::ensure!(status.success(), "callgrind_control failed");
    Ok(())
}

/// As by Ctrl-C: strace then writes its summary.
fn end(strace: &mut Child) -> Result<()> {
    Command::new("kill").args(["-INT", &strace.id().to_string()]).status()?;
    strace.wait()?;
    Ok(())
}
