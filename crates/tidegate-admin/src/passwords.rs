//! Password hashing off the async threads, a few at a time.

use std::sync::Arc;

use tidegate_secrets::password;
use tidegate_telemetry::entropy;
use tidegate_types::Secret;
use tokio::sync::Semaphore;

use crate::checks::Checks;
use crate::problem::Problem;

/// Hashes at the same time: each takes 19 MiB and a core.
const PARALLEL: usize = 2;
/// Waiting sign-ins before new ones are turned away.
const QUEUE: usize = 64;

/// Hashes and checks passwords.
#[derive(Debug, Clone)]
pub(crate) struct Passwords {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { running: Arc::new(Semaphore::new(PARALLEL)), waiting: Arc::new(Semaphore::new(QUEUE)) }
    }
}

impl Passwords {
    /// Whether the password is the one that was hashed. Without a hash the work is the same.
    pub(crate) async fn matches(&self, password: Secret, kept: Option<String>) -> Result<bool, Problem> {
        self.run(move || password::verify(&password, kept.as_deref())).await
    }

    /// The hash of a new password.
    pub(crate) async fn hash(&self, password: Secret) -> Result<String, Problem> {
        let mut salt = [0; 16];
        entropy::fill(&mut salt);
        self.run(move || password::hash(&password, salt)).await?.map_err(|_| Problem::internal())
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let Ok(_place) = self.waiting.clone().try_acquire_owned() else {
            let mut problem = Problem::unavailable();
            "Too many sign-ins at once. Try again soon.".clone_into(&mut problem.detail);
            return Err(problem);
        };
        let permit = self.running.clone().acquire_owned().await.map_err(|_| Problem::internal())?;
        // The permit ends with the work, also when the client has gone.
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        done.await.map_err(|_| Problem::internal())
    }
}

/// Refuses passwords that are too short, or too long to hash politely.
pub(crate) fn check(password: &str) -> Result<(), Problem> {
    let holds = password.chars().count() >= 12 && password.len() <= 256;
    Checks::default().that(holds, "password", "must have 12 characters at least and 256 bytes at most").done()
}
