//! Prices, charges and bounds through the crate's public face.

mod boundaries;
mod choice;
mod fixtures;
mod properties;
mod table;
