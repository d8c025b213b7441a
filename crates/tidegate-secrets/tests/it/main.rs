//! Secrets as their users see them: what is made is accepted, everything else is refused.
#![expect(clippy::unwrap_used, reason = "tests")]

mod certificates;
mod copy;
mod decisions;
mod envelopes;
mod key_encryption_key;
mod passwords;
mod sessions;
mod virtual_keys;
