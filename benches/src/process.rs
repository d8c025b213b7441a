//! What a process has used, and child processes pinned to a core.

use std::fs;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

/// CPU and memory of some processes together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_kib: u64,
}

impl Usage {
    /// Read from `/proc`; a process that is gone counts as nothing.
    pub(crate) fn of(pids: &[u32]) -> Self {
        pids.iter().fold(Self::default(), |sum, pid| Self {
            cpu_seconds: sum.cpu_seconds + cpu_seconds(*pid),
            resident_kib: sum.resident_kib + resident_kib(*pid),
        })
    }
}

fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    // utime and stime; a tick is 10 ms on every Linux that we know.
    (ticks(11) + ticks(12)) / 100.0
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// A child that ends with this value.
pub(crate) struct Pinned(Child);

impl Pinned {
    /// Starts a program on one core.
    pub(crate) fn start(core: usize, command: &mut Command) -> Result<Self> {
        let mut pinned = Command::new("taskset");
        pinned.arg("-c").arg(core.to_string()).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                pinned.env(name, value);
            }
        }
        let child =
            pinned.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("start a pinned program")?;
        Ok(Self(child))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// Pins this process to one core.
pub(crate) fn pin_self(core: usize) -> Result<()> {
    let pid = std::process::id().to_string();
    let status =
        Command::new("taskset").args(["-apc", &core.to_string(), &pid]).stdout(Stdio::null()).status()?;
    anyhow::ensure!(status.success(), "taskset failed");
    Ok(())
}

/// Lets this process, and what it starts from now on, run only when nobody else wants to.
pub(crate) fn step_back() -> Result<()> {
    schedule("--idle", std::process::id())
}

/// Ends [`step_back`] for one process.
pub(crate) fn step_forward(pid: u32) -> Result<()> {
    schedule("--other", pid)
}

fn schedule(policy: &str, pid: u32) -> Result<()> {
    let status =
        Command::new("chrt").args([policy, "--all-tasks", "--pid", "0", &pid.to_string()]).status()?;
    anyhow::ensure!(status.success(), "chrt failed");
    Ok(())
}
