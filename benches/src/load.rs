//! A closed loop: each connection sends its next request when the last one has ended.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio_rustls::TlsConnector;

use crate::http::{Answer, Connection};
use crate::mock::clock_micros;
use crate::process::Usage;

/// What to send, and how hard.
#[derive(Clone)]
pub(crate) struct Plan {
    /// `http://127.0.0.1:port/path`, or `https`.
    pub(crate) url: String,
    /// How an `https` server is spoken to.
    pub(crate) tls: Option<TlsConnector>,
    /// Each request goes over a connection of its own.
    pub(crate) afresh: bool,
    pub(crate) key: Option<String>,
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) connections: usize,
    pub(crate) warm: Duration,
    pub(crate) measure: Duration,
    /// End after so many requests, without warm-up.
    pub(crate) most: Option<u64>,
    /// The process whose CPU and memory are read.
    pub(crate) pids: Vec<u32>,
}

/// What was seen in the measured window. Times in microseconds.
#[derive(Debug, Default, Clone, serde::Serialize)]
pub(crate) struct Seen {
    pub(crate) answers: u64,
    pub(crate) failures: u64,
    pub(crate) per_second: f64,
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) first_byte_p50: u64,
    /// From a stream's first chunk at the upstream to the end of the stream here.
    pub(crate) stream_p50: u64,
    pub(crate) events: u64,
    pub(crate) cpu_per_request: f64,
    pub(crate) cpu_per_event: f64,
    pub(crate) resident_kib: u64,
    pub(crate) last_failure: String,
}

#[derive(Default)]
struct Sums {
    whole: Vec<u32>,
    first: Vec<u32>,
    stream: Vec<u32>,
    events: u64,
    failures: u64,
    last_failure: String,
}

fn request(plan: &Plan) -> Result<(String, Vec<u8>)> {
    let (_, rest) = plan.url.split_once("://").context("the URL has a scheme")?;
    let (host, path) = rest.split_once('/').context("the URL has a path")?;
    anyhow::ensure!(host.starts_with("127.0.0.1:"), "load goes to this machine only");
    let options =
        if plan.stream { ",\"stream\":true,\"stream_options\":{\"include_usage\":true}" } else { "" };
    let body = format!(
        "{{\"model\":\"{}\",\"messages\":[{{\"role\":\"system\",\"content\":\"You are a helpful assistant.\"}},\
         {{\"role\":\"user\",\"content\":\"Say hello to the benchmark and keep it short.\"}}]{options}}}",
        plan.model
    );
    let key = plan.key.as_ref().map(|key| format!("authorization: Bearer {key}\r\n")).unwrap_or_default();
    let text = format!(
        "POST /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n{key}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    Ok((host.to_owned(), text.into_bytes()))
}

/// Runs the plan on this thread.
pub(crate) async fn run(plan: &Plan) -> Result<Seen> {
    let (host, request) = request(plan)?;
    let (host, request) = (Rc::new(host), Rc::new(request));
    let sums = Rc::new(RefCell::new(Sums::default()));
    let measuring = Rc::new(Cell::new(plan.most.is_some()));
    let stop = Rc::new(Cell::new(false));
    let issued = Rc::new(Cell::new(0u64));
    let local = tokio::task::LocalSet::new();
    let mut workers = Vec::new();
    for _ in 0..plan.connections {
        let worker = Worker {
            host: host.clone(),
            request: request.clone(),
            sums: sums.clone(),
            measuring: measuring.clone(),
            stop: stop.clone(),
            issued: issued.clone(),
            most: plan.most,
            tls: plan.tls.clone(),
            afresh: plan.afresh,
        };
        workers.push(local.spawn_local(worker.run()));
    }
    let outcome = local.run_until(watch(plan, &measuring, &stop, &workers)).await;
    let (before, after, window, resident_kib) = outcome;
    let mut sums = sums.take();
    Ok(summarise(&mut sums, window, after - before, resident_kib))
}

async fn watch(
    plan: &Plan,
    measuring: &Cell<bool>,
    stop: &Cell<bool>,
    workers: &[tokio::task::JoinHandle<()>],
) -> (f64, f64, Duration, u64) {
    if plan.most.is_none() {
        tokio::time::sleep(plan.warm).await;
    }
    let (before, start) = (Usage::of(&plan.pids).cpu_seconds, Instant::now());
    measuring.set(true);
    let mut resident = 0;
    while start.elapsed() < plan.measure {
        let left = plan.measure.saturating_sub(start.elapsed());
        tokio::time::sleep(left.min(Duration::from_millis(250))).await;
        resident = resident.max(Usage::of(&plan.pids).resident_kib);
        if workers.iter().all(tokio::task::JoinHandle::is_finished) {
            break;
        }
    }
    let after = Usage::of(&plan.pids).cpu_seconds;
    measuring.set(false);
    stop.set(true);
    (before, after, start.elapsed(), resident)
}

struct Worker {
    host: Rc<String>,
    request: Rc<Vec<u8>>,
    sums: Rc<RefCell<Sums>>,
    measuring: Rc<Cell<bool>>,
    stop: Rc<Cell<bool>>,
    issued: Rc<Cell<u64>>,
    most: Option<u64>,
    tls: Option<TlsConnector>,
    afresh: bool,
}

impl Worker {
    async fn run(self) {
        let mut connection = None;
        while !self.stop.get() && self.most.is_none_or(|most| self.issued.get() < most) {
            self.issued.set(self.issued.get() + 1);
            let start = Instant::now();
            let outcome = self.one(&mut connection).await;
            if !self.measuring.get() {
                continue;
            }
            let mut sums = self.sums.borrow_mut();
            match outcome {
                Ok(answer) if answer.status == 200 => {
                    sums.whole.push(micros(start, Instant::now()));
                    sums.first.push(micros(start, answer.first_byte));
                    sums.stream.extend(answer.sent_at.map(since));
                    sums.events += answer.events;
                }
                Ok(answer) => {
                    sums.failures += 1;
                    sums.last_failure = format!("status {}", answer.status);
                }
                Err(error) => {
                    sums.failures += 1;
                    sums.last_failure = error.to_string();
                }
            }
        }
    }

    async fn one(&self, kept: &mut Option<Connection>) -> std::io::Result<Answer> {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => Connection::open(&self.host, self.tls.as_ref()).await?,
        };
        let answer = connection.call(&self.request).await?;
        if answer.reusable && !self.afresh {
            *kept = Some(connection);
        }
        Ok(answer)
    }
}

fn micros(from: Instant, to: Instant) -> u32 {
    u32::try_from(to.saturating_duration_since(from).as_micros()).unwrap_or(u32::MAX)
}

fn since(sent_at: u64) -> u32 {
    u32::try_from(clock_micros().saturating_sub(sent_at)).unwrap_or(u32::MAX)
}

fn quantile(sorted: &[u32], part: f64) -> u64 {
    let place = ((sorted.len() as f64 - 1.0) * part).round().max(0.0) as usize;
    sorted.get(place).copied().unwrap_or(0).into()
}

fn summarise(sums: &mut Sums, window: Duration, cpu_seconds: f64, resident_kib: u64) -> Seen {
    sums.whole.sort_unstable();
    sums.first.sort_unstable();
    sums.stream.sort_unstable();
    let answers = sums.whole.len() as u64;
    Seen {
        answers,
        failures: sums.failures,
        per_second: answers as f64 / window.as_secs_f64(),
        p50: quantile(&sums.whole, 0.5),
        p99: quantile(&sums.whole, 0.99),
        first_byte_p50: quantile(&sums.first, 0.5),
        stream_p50: quantile(&sums.stream, 0.5),
        events: sums.events,
        cpu_per_request: cpu_seconds * 1e6 / answers.max(1) as f64,
        cpu_per_event: cpu_seconds * 1e6 / sums.events.max(1) as f64,
        resident_kib,
        last_failure: sums.last_failure.clone(),
    }
}
