//! Prices, charges and bounds through the crate's public face.
#![expect(clippy::unwrap_used, reason = "tests")]

mod choice;
mod fixtures;
mod properties;
mod table;
