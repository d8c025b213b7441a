//! Throttle of sign-ins: failures are counted per e-mail address and per network address, in
//! windows of fifteen minutes. In memory of one control plane; several each keep their own count.
//!
//! The network address is the connection's peer, never a header.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use tidegate_types::Timestamp;

/// Length of a window, in milliseconds.
const WINDOW_MS: i64 = 15 * 60 * 1000;
/// Failures in a window before an e-mail address has to wait.
const PER_EMAIL: u32 = 10;
/// Failures in a window before a network address has to wait.
const PER_ADDRESS: u32 = 50;
/// Entries kept before those that ran out are dropped.
const MAX_ENTRIES: usize = 100_000;

/// Counts of failed sign-ins.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    failures: Mutex<HashMap<[u8; 32], Failures>>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    since: Timestamp,
    count: u32,
}

impl Throttle {
    /// Counts an attempt before the password is looked at, so that parallel guesses count too.
    /// `Err` holds the seconds to wait.
    pub(crate) fn admit(&self, email: &str, address: Option<IpAddr>, now: Timestamp) -> Result<(), u64> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() > MAX_ENTRIES {
            failures.retain(|_, entry| now.millis_since(entry.since) < WINDOW_MS);
        }
        let mut wait = 0;
        for (key, most) in keys(email, address) {
            let entry = failures.entry(key).or_insert(Failures { since: now, count: 0 });
            if now.millis_since(entry.since) >= WINDOW_MS {
                *entry = Failures { since: now, count: 0 };
            }
            entry.count = entry.count.saturating_add(1);
            if entry.count > most {
                wait = wait.max(WINDOW_MS - now.millis_since(entry.since));
            }
        }
        if wait > 0 { Err(u64::try_from(wait / 1000 + 1).unwrap_or(1)) } else { Ok(()) }
    }

    /// Forgets the failures of an e-mail address, and takes back one of the network address,
    /// after a sign-in that succeeded.
    pub(crate) fn succeeded(&self, email: &str, address: Option<IpAddr>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, most) in keys(email, address) {
            if most == PER_EMAIL {
                failures.remove(&key);
            } else if let Some(entry) = failures.get_mut(&key) {
                entry.count = entry.count.saturating_sub(1);
            }
        }
    }
}

fn keys(email: &str, address: Option<IpAddr>) -> impl Iterator<Item = ([u8; 32], u32)> {
    let email: [u8; 32] = Sha256::digest(format!("email:{}", email.trim().to_lowercase())).into();
    let address = address.map(|ip| (Sha256::digest(format!("address:{}", network(ip))).into(), PER_ADDRESS));
    std::iter::once((email, PER_EMAIL)).chain(address)
}

/// IPv6 clients own whole /64 networks.
fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => v6.segments().iter().take(4).map(|part| format!("{part:x}:")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_waits_after_too_many_failures_and_is_free_again_after_the_window() {
        let throttle = Throttle::default();
        let start = Timestamp::from_seconds(1_000_000);
        for _ in 0..PER_EMAIL {
            assert!(throttle.admit("a@example.com", None, start).is_ok());
        }
        assert!(throttle.admit(" A@example.com", None, start).is_err());
        assert!(throttle.admit("b@example.com", None, start).is_ok());
        assert!(throttle.admit("a@example.com", None, start.plus_millis(WINDOW_MS)).is_ok());
    }

    #[test]
    fn a_success_clears_the_count() {
        let throttle = Throttle::default();
        let start = Timestamp::from_seconds(1_000_000);
        for _ in 0..100 {
            assert!(throttle.admit("a@example.com", None, start).is_ok());
            throttle.succeeded("a@example.com", None);
        }
    }
}
