//! What a process needs to be observed and to meet the world: logs, metrics, time, randomness.
//!
//! The only place that reads the system clock and the operating system's randomness for
//! the rest of Tidegate. Knows no resource and no request.

pub mod entropy;
mod logs;
mod metrics;
mod time;

pub use logs::{LogFormat, LogsAlreadySet, init_logs};
pub use metrics::{Metrics, respond};
pub use prometheus_client;
pub use time::SystemClock;
