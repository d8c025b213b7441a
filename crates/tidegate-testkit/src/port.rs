//! Free loopback ports.

use std::net::TcpListener;

use anyhow::{Context as _, Result};

/// A TCP port of 127.0.0.1 on which nobody listens at this moment.
///
/// # Errors
/// When the system has no free port.
pub fn free() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("find a free port")?;
    Ok(listener.local_addr().context("read the free port")?.port())
}
