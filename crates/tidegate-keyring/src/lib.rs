//! The installation's keys over time: root keys that somebody else keeps, and the rotation of every kind of key
//! while everything runs.
//!
//! Every control plane holds the same keys and looks for new ones each second; whoever holds a rotation's lease
//! works on it. Each step is repeatable, so that another one goes on where one ended.

mod data_keys;
mod error;
mod material;
mod pools;
mod ring;
mod roots;
mod rotation;

pub use error::KeyringError;
pub use material::{first_pool_key, make_missing};
pub use ring::{Keyring, Wrappers};
pub use rotation::{Kind, run};
