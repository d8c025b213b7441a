//! Keyed hashes of labels: end users, tags, sessions.
//!
//! Nodes, journal, Redis and records carry only these; the readable form lives in a
//! Postgres dictionary, and not at all under zero data retention.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;

/// What a label says; labels of different kinds never share a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LabelKind {
    /// The application's own name of its user.
    EndUser,
    /// A tag, hashed as `name=value`.
    Tag,
    /// A conversation.
    Session,
    /// The application.
    App,
}

impl LabelKind {
    /// The kind's name, as hashed and stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EndUser => "end_user",
            Self::Tag => "tag",
            Self::Session => "session",
            Self::App => "app",
        }
    }
}

/// The first 128 bits of HMAC-SHA256(organization label key, kind ‖ 0 ‖ text).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelHash([u8; 16]);

impl LabelHash {
    /// The hash of a label's text under its organization's label key.
    #[must_use]
    pub fn of(label_key: &[u8; 32], kind: LabelKind, text: &str) -> Self {
        let mut half = [0; 16];
        // HMAC takes keys of every length; the error arm cannot be reached.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(label_key) else { return Self(half) };
        mac.update(kind.as_str().as_bytes());
        mac.update(&[0]);
        mac.update(text.as_bytes());
        half.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        Self(half)
    }

    /// From the 16 bytes of the keyed hash.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes of the keyed hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for LabelHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LabelHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for LabelHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LabelHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16)
            .ok()
            .filter(|_| text.len() == 32)
            .map(|raw| Self(raw.to_be_bytes()))
            .ok_or_else(|| serde::de::Error::custom("not 32 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_organizations_do_not_share_hashes() {
        let hash = |key: u8, kind| LabelHash::of(&[key; 32], kind, "alice").to_string();
        assert_eq!(hash(1, LabelKind::EndUser), hash(1, LabelKind::EndUser));
        assert_ne!(hash(1, LabelKind::EndUser), hash(1, LabelKind::Session));
        assert_ne!(hash(1, LabelKind::EndUser), hash(2, LabelKind::EndUser));
    }
}
