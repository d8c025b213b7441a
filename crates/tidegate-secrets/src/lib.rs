//! Secrets: how they are made, checked, encrypted, sealed and proven.
//!
//! Nothing here prints a secret: key material has no Debug, is wiped when dropped, and errors name
//! what failed without quoting it. This crate stores nothing and sends nothing.

mod base62;
pub mod ca;
pub mod caller_token;
pub mod copy;
pub mod decision;
pub mod envelope;
mod error;
pub mod kek;
pub mod keygen;
pub mod parts;
pub mod password;
pub mod pem;
pub mod places;
pub mod pool;
pub mod sealing;
pub mod session;
mod text;
pub mod token;
pub mod virtual_key;

pub use error::SecretsError;
