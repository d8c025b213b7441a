//! Simulated providers that are also the judge of our bill.
//!
//! Speaks OpenAI chat completions and responses under `/openai/v1`, Anthropic messages under `/anthropic/v1`
//! and Gemini under `/gemini`,
//! answers from the request, refuses what a real provider would refuse, counts with a real
//! tokenizer and keeps its own bill. It shares no code with the gateway on purpose.

mod anthropic;
mod ask;
mod bedrock;
mod bill;
mod cohere;
mod complete;
mod count;
mod delivery;
mod dialect;
mod gemini;
mod job_call;
mod likely;
mod model_call;
mod openai;
mod reply;
mod responses;
mod sample;
mod schema;
mod script;
mod search;
mod serve;
mod state;
mod task_call;
mod tasks;

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use bill::{Bill, BilledCall, BilledUsage, ModelPrice, UnitPrices};
pub use script::{Ending, Faults, Matcher, Rule, Script};
pub use state::Settings;

/// A running simulator.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Simulator {
    /// Starts listening on `listen` (port 0 takes a free one).
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(listen: SocketAddr, settings: Settings) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let state = std::sync::Arc::new(state::State::new(settings));
        tasks.spawn(serve::accept(listener, state, stop.clone(), tasks.clone()));
        Ok(Self { address, stop, tasks })
    }

    /// Where it listens, for example `http://127.0.0.1:4010`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address that was bound.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening and drops every connection.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
