//! The table: for each figure the cheapest of all runs, and the worst of them.

use std::collections::BTreeMap;

use crate::load::Seen;

pub(crate) const DIRECT: &str = "direct";
pub(crate) const NGINX: &str = "nginx";
pub(crate) const NGINX_TLS: &str = "nginx, TLS";
pub(crate) const MEMORY: &str = "tidegate, in memory";
pub(crate) const REDIS: &str = "tidegate, Redis";
pub(crate) const TLS: &str = "tidegate, in memory, TLS";

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Phase {
    /// One connection, plain answers.
    One,
    /// 32 connections, plain answers.
    Many,
    /// One stream of 50 chunks without a pause.
    Burst,
    /// 32 streams of 100 chunks without a pause.
    Flood,
    /// 50 streams, a chunk each 20 ms.
    Paced,
    /// 32 callers, a connection for each request: only over TLS.
    Fresh,
}

/// Everything that was seen.
#[derive(Default)]
pub(crate) struct Report {
    seen: BTreeMap<(&'static str, Phase), Vec<Seen>>,
    pub(crate) idle: Vec<(&'static str, u64)>,
    pub(crate) loaded: Vec<(&'static str, u64)>,
    pub(crate) after: Vec<(&'static str, u64)>,
    pub(crate) slow: Vec<(&'static str, (u64, Seen))>,
}

impl Report {
    pub(crate) fn add(&mut self, name: &'static str, phase: Phase, seen: Seen) {
        self.seen.entry((name, phase)).or_default().push(seen);
    }

    fn best(&self, name: &str, phase: Phase, figure: impl Fn(&Seen) -> f64) -> Option<(f64, f64)> {
        let runs = self.seen.iter().find(|((n, p), _)| *n == name && *p == phase)?.1;
        let values = runs.iter().filter(|seen| seen.answers > 0).map(figure);
        values.fold(None, |range, value| match range {
            None => Some((value, value)),
            Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
        })
    }

    fn added(&self, name: &str, phase: Phase, figure: impl Fn(&Seen) -> f64 + Copy) -> String {
        match (self.best(name, phase, figure), self.best(DIRECT, phase, figure)) {
            (Some((mine, _)), Some((direct, _))) if name != DIRECT => {
                format!("{:.2}", (mine - direct) / 1000.0)
            }
            _ => "-".to_owned(),
        }
    }

    fn micros(&self, name: &str, phase: Phase, figure: impl Fn(&Seen) -> f64 + Copy) -> String {
        let Some((low, high)) = self.best(name, phase, figure) else { return "-".to_owned() };
        let beside = if name == TLS { NGINX_TLS } else { NGINX };
        let is_peer = [DIRECT, NGINX, NGINX_TLS].contains(&name);
        let ratio = self.best(beside, phase, figure).filter(|_| !is_peer);
        let ratio = ratio.map(|(nginx, _)| format!(", {:.1} × nginx", low / nginx)).unwrap_or_default();
        format!("{low:.1} (to {high:.1}{ratio})")
    }

    pub(crate) fn print(&self, streams: usize, keys: usize) {
        println!(
            "| | req/s c32 | CPU µs/req c32 | added ms c1 p50/p99 | CPU µs/chunk paced | CPU µs/chunk flood | burst of 50 added ms p50 | CPU µs/req on a new connection | failures |"
        );
        println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|");
        let mut names: Vec<&str> = self.seen.keys().map(|(name, _)| *name).collect();
        names.sort_by_key(|name| {
            [DIRECT, NGINX, NGINX_TLS].iter().position(|first| first == name).unwrap_or(3)
        });
        names.dedup();
        for name in names {
            let rate = self.best(name, Phase::Many, |seen| seen.per_second).map_or(0.0, |(_, high)| high);
            let failures: u64 = self
                .seen
                .iter()
                .filter(|((n, _), _)| *n == name)
                .flat_map(|(_, runs)| runs)
                .map(|seen| seen.failures)
                .sum();
            println!(
                "| {name} | {rate:.0} | {} | {} / {} | {} | {} | {} | {} | {failures} |",
                self.micros(name, Phase::Many, |seen| seen.cpu_per_request),
                self.added(name, Phase::One, |seen| seen.p50 as f64),
                self.added(name, Phase::One, |seen| seen.p99 as f64),
                self.micros(name, Phase::Paced, |seen| seen.cpu_per_event),
                self.micros(name, Phase::Flood, |seen| seen.cpu_per_event),
                self.added(name, Phase::Burst, |seen| seen.stream_p50 as f64),
                self.micros(name, Phase::Fresh, |seen| seen.cpu_per_request),
            );
        }
        println!();
        for (name, (kib, seen)) in &self.slow {
            println!(
                "{name}: {streams} slow streams: {:.1} kB each, {} complete, {} failed",
                *kib as f64 / streams as f64,
                seen.answers,
                seen.failures
            );
        }
        for (name, kib) in &self.idle {
            println!("{name}: {:.1} MiB idle", *kib as f64 / 1024.0);
        }
        for (name, kib) in &self.loaded {
            println!("{name}: {:.1} MiB idle with {keys} keys", *kib as f64 / 1024.0);
        }
        for (name, kib) in &self.after {
            println!("{name}: {:.1} MiB after everything", *kib as f64 / 1024.0);
        }
        println!(
            "\nEach run: answers p50 / p99, and from a stream's first chunk at the upstream to its end, p50"
        );
        for ((name, phase), runs) in &self.seen {
            for seen in runs {
                println!("{name} {phase:?}: {} / {} / {} µs", seen.p50, seen.p99, seen.stream_p50);
            }
        }
        for ((name, phase), runs) in &self.seen {
            for seen in runs.iter().filter(|seen| seen.failures > 0) {
                println!("{name} {phase:?}: {} failures, the last: {}", seen.failures, seen.last_failure);
            }
        }
    }
}
