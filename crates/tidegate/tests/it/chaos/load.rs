//! Applications that call, read, leave early and come again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::Mutex;

use super::random::Random;
use super::world::Model;
use crate::support::{App, Ask};

/// What the applications saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Ids of the calls whose whole answer they have.
    pub(crate) completed: Vec<String>,
    statuses: BTreeMap<u16, usize>,
    broken: usize,
    cut: usize,
    left: usize,
    /// What was killed, and how often.
    pub(crate) kills: BTreeMap<&'static str, usize>,
    pub(crate) seconds: u64,
}

impl fmt::Display for Seen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} completed in {} s, statuses {:?}, {} broken before and {} within an answer, {} left; kills {:?}",
            self.completed.len(),
            self.seconds,
            self.statuses,
            self.broken,
            self.cut,
            self.left,
            self.kills
        )
    }
}

/// What all applications share.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) apps: Vec<App>,
    pub(crate) models: Vec<Model>,
    pub(crate) stop: AtomicBool,
    /// Completed so far.
    pub(crate) count: AtomicUsize,
    pub(crate) seen: Mutex<Seen>,
}

/// A call of random kind and length: most are short, few are long.
fn ask(random: &mut Random, models: &[Model]) -> Ask {
    let words = match random.below(10) {
        0..6 => random.within(1, 40),
        6..9 => random.within(40, 150),
        _ => random.within(150, 500),
    };
    // Some lose their provider in the middle of the answer, and some are cut by their limit.
    let text =
        if random.percent(3) { "cut the line while you answer".into() } else { format!("Say {words} words") };
    let padding = "and think of it ".repeat(usize::try_from(random.below(8)).unwrap());
    let mut ask = Ask::chat(&format!("{padding}{text}"));
    (ask.stream, ask.messages) = (random.percent(60), random.percent(50));
    let most = if random.percent(20) { words / 2 + 8 } else { words + random.within(30, 120) };
    ask.at_most(most).model(&random.one(models).name)
}

impl Load {
    /// One application, until told to stop.
    pub(crate) async fn client(&self, mut random: Random) {
        while !self.stop.load(Ordering::Relaxed) {
            let app = random.one(&self.apps).clone();
            let ask = ask(&mut random, &self.models);
            let pause = if ask.stream && random.percent(10) {
                self.leave(&app, &ask, random.within(1, 4)).await
            } else {
                self.whole(&app, &ask).await
            };
            tokio::time::sleep(Duration::from_millis(random.within(pause, pause * 3))).await;
        }
    }

    /// Reads to the end. Milliseconds to wait until the next call.
    async fn whole(&self, app: &App, ask: &Ask) -> u64 {
        let answer = app.call(ask).await;
        let mut seen = self.seen.lock().await;
        let Ok(reply) = answer else {
            seen.broken += 1;
            return 30;
        };
        *seen.statuses.entry(reply.status).or_default() += 1;
        match reply.status {
            200 if reply.whole => {
                seen.completed.push(reply.id());
                self.count.fetch_add(1, Ordering::Relaxed);
                5
            }
            200 => {
                seen.cut += 1;
                20
            }
            // The cap, or what decides it is away; or the provider broke off every attempt.
            402 | 502 | 503 => 60,
            other => panic!("status {other}: {}", reply.text),
        }
    }

    /// Goes away after some chunks.
    async fn leave(&self, app: &App, ask: &Ask, chunks: u64) -> u64 {
        if let Ok(answer) = app.request(ask).send().await {
            let mut frames = answer.bytes_stream();
            for _ in 0..chunks {
                let _ = frames.next().await;
            }
        }
        self.seen.lock().await.left += 1;
        5
    }
}
