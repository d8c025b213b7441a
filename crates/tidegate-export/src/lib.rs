//! Brings the traces of an organization's calls to its own collectors (OTLP/HTTP, protobuf).
//!
//! Spans are made of stored call records, long after the call: names, numbers and keyed hashes, never
//! content. Every control plane brings some; a claim in the database keeps two from bringing the same.
//! At least once: ids of spans come from the call's id, so a repetition is the same span.

mod exporter;
mod headers;
mod metrics;
mod schedule;
mod send;
mod spans;

pub use exporter::{Exporter, Settings};
pub use metrics::ExportMetrics;
pub use spans::{Names, request};
