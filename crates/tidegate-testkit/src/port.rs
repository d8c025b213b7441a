//! Free TCP ports.

use std::hash::{BuildHasher as _, RandomState};
use std::net::TcpListener;

use anyhow::{Result, bail};

/// Below what systems give to connections that go out, so that none of them takes the port of a server that
/// is down for a moment.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// A TCP port of 127.0.0.1 on which nobody listens at this moment.
///
/// # Errors
/// When there is none.
pub fn free() -> Result<u16> {
    for attempt in 0..1_000_u64 {
        let drawn = RandomState::new().hash_one(attempt) % u64::from(COUNT);
        let port = FIRST + u16::try_from(drawn)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port is free")
}
