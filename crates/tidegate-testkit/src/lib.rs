//! Real servers for tests: PostgreSQL and Redis on free loopback ports, found on this machine.
//!
//! Everything is blocking and made of processes and files: this crate knows no SQL, no
//! schema and no Redis client. Servers end with the value that owns them, and, when the
//! test is killed, with the process that started them.

pub mod binaries;
pub mod cluster;
pub mod host;
#[cfg(feature = "installation")]
pub mod installation;
#[cfg(feature = "issuer")]
pub mod issuer;
pub mod port;
pub mod postgres;
pub mod process;
#[cfg(feature = "receiver")]
pub mod receiver;
pub mod redis;
mod shared;
mod template;
