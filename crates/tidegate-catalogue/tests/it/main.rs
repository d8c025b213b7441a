//! Tests of the catalogue's data and importers.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod aborts;
mod entries;
mod golden;
mod imports;
mod oracle;
mod store;
