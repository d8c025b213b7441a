//! The runner of waves: looks at what is staged and who has it, and goes on, halts or releases.
//!
//! Every control plane has one. Whoever holds the wave's row decides, by what the store says alone, so that they agree.

mod judge;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidegate_store::waves::{self, Move, Wave};
use tidegate_store::{AuditNote, Store, StoreError, SystemActor, fleet};
use tidegate_types::{Clock, OrganizationId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::PushMetrics;
use judge::{Rules, Verdict, judge};

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(500);

/// One control plane's runner.
pub(crate) struct Runner {
    store: Store,
    clock: Arc<dyn Clock>,
    metrics: PushMetrics,
    /// How long each stage is watched; zero: everything is released at once.
    soak: Duration,
    /// Since when every look has succeeded: who is silent for longer is silent by himself.
    watching: Option<Instant>,
}

impl Runner {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>, metrics: PushMetrics, soak: Duration) -> Self {
        Self { store, clock, metrics, soak, watching: None }
    }

    /// Runs until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(PERIOD);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            match self.look().await {
                Ok(()) => {
                    self.watching.get_or_insert_with(Instant::now);
                }
                Err(error) => {
                    self.watching = None;
                    tracing::debug!(%error, "waves were not looked at");
                }
            }
        }
    }

    async fn look(&self) -> Result<(), StoreError> {
        if !waves::is_open(&self.store).await? {
            self.metrics.wave_halted.set(0);
            return Ok(());
        }
        self.metrics.wave_halted.set(waves::is_halted(&self.store).await?.into());
        let actor = SystemActor::new("waves").acting_for(OrganizationId::SYSTEM);
        let mut change = self.store.change(&actor, self.clock.now()).await?;
        let wave = waves::hold(&mut change).await?;
        let nodes = fleet::list(&mut change).await?;
        let watched = self.watching.map_or(Duration::ZERO, |since| since.elapsed());
        let rules = Rules { now: change.now(), soak: self.soak, watched };
        match judge(&wave, &nodes, rules) {
            Verdict::Wait => Ok(()),
            Verdict::Applied(figures) => waves::applied(change, &figures).await,
            Verdict::Move(step) => {
                let note = note(&wave, &step);
                match &step {
                    Move::Halt(_) => tracing::error!(
                        "a change of the catalogue was halted and taken back; tidegate fleet wave says why"
                    ),
                    _ => tracing::info!(kind = note.action, "a change of the catalogue goes on"),
                }
                change.step(step);
                change.commit(note).await.map(drop)
            }
        }
    }
}

/// What the audit says of a move.
fn note(wave: &Wave, step: &Move) -> AuditNote {
    let (action, said) = match step {
        Move::Begin { stage, members, .. } => ("wave.begin", json!({ "stage": stage, "members": members })),
        Move::Halt(reason) => ("wave.halt", json!({ "reason": reason })),
        Move::Resume => ("wave.resume", json!({})),
        Move::Release => ("wave.release", json!({})),
        Move::End => ("wave.end", json!({})),
    };
    let resources: Vec<String> =
        wave.staged.iter().map(|staged| format!("{}/{}", staged.key.kind.as_str(), staged.key.id)).collect();
    let before = Some(json!({ "stage": wave.stage, "resources": resources }));
    AuditNote { action, object: "catalogue".to_owned(), before, after: Some(said) }
}
