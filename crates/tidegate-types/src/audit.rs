//! The audit's chain of hashes, and the lines in which it is exported: whoever has them checks them without asking
//! anybody.
//!
//! An entry's hash is SHA-256 over: the hash before it (32 bytes; zeros before the first), the entry's place and its
//! time in microseconds since 1970 (each 8 bytes, big-endian, signed), then actor, action, object, before and after. Each of these
//! five is one byte (1 where it is there, 0 where it is not), the length of its text in bytes (8 bytes, big-endian) and
//! the text. Of before and after the text is the JSON as it stands in the line.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::trace::hex;
use crate::{OrganizationId, Timestamp};

/// SHA-256 of a chain up to an entry. As text 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChainHash([u8; 32]);

impl ChainHash {
    /// What the first entry follows.
    pub const GENESIS: Self = Self([0; 32]);

    /// From its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ChainHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChainHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        hex(&text).map(Self).ok_or_else(|| serde::de::Error::custom("not 64 hexadecimal digits"))
    }
}

/// What an entry's hash covers beside the hash before it.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a> {
    /// Place in the chain, from 1.
    pub n: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: &'a str,
    /// Dotted verb.
    pub action: &'a str,
    /// What was changed.
    pub object: &'a str,
    /// As it was: JSON, as stored.
    pub before: Option<&'a str>,
    /// As it was afterwards: JSON, as stored.
    pub after: Option<&'a str>,
}

impl Link<'_> {
    /// The chain's hash up to this entry.
    #[must_use]
    pub fn hash(&self, previous: ChainHash) -> ChainHash {
        let mut hash = Sha256::new();
        hash.update(previous.0);
        hash.update(self.n.to_be_bytes());
        hash.update(self.at.as_micros().to_be_bytes());
        for text in [Some(self.actor), Some(self.action), Some(self.object), self.before, self.after] {
            // A length before each part: no two entries have the same bytes.
            hash.update([u8::from(text.is_some())]);
            hash.update((text.map_or(0, str::len) as u64).to_be_bytes());
            hash.update(text.unwrap_or_default());
        }
        ChainHash(hash.finalize().into())
    }
}

/// An entry as a line of an export.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Place in the organization's chain, from 1.
    pub n: u64,
    /// When.
    pub at: Timestamp,
    /// Who: an id, or `system:<part>`.
    pub actor: String,
    /// Dotted verb.
    pub action: String,
    /// What was changed.
    pub object: String,
    /// As it was; absent for what is new.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub before: Option<Box<RawValue>>,
    /// As it was afterwards; absent for what is gone.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub after: Option<Box<RawValue>>,
    /// The chain's hash before this entry.
    pub previous_hash: ChainHash,
    /// The chain's hash up to this entry.
    pub hash: ChainHash,
}

/// A member that is there, `null` included: an absent one has another hash.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

impl Line {
    fn link(&self) -> Link<'_> {
        Link {
            n: self.n,
            at: self.at,
            actor: &self.actor,
            action: &self.action,
            object: &self.object,
            before: self.before.as_deref().map(RawValue::get),
            after: self.after.as_deref().map(RawValue::get),
        }
    }
}

/// The last line of an export: what the chain's head says. A file without it broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// Whose chain.
    pub organization_id: OrganizationId,
    /// Entries of the whole chain.
    pub entries: u64,
    /// Hash of its last entry.
    pub hash: ChainHash,
}

/// What is wrong with exported lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A line of neither form.
    #[error("the line after entry {after} is not one of an export: {why}")]
    Unreadable {
        /// The entry before it.
        after: u64,
        /// What the parser says.
        why: String,
    },
    /// Another entry than the next one.
    #[error("entry {found} stands where entry {expected} belongs")]
    Misplaced {
        /// What belongs there.
        expected: u64,
        /// What stands there.
        found: u64,
    },
    /// It does not follow from the entry before.
    #[error("entry {0} does not follow from the one before")]
    Unlinked(u64),
    /// Its hash is not that of what it says.
    #[error("entry {0} was edited: its hash is another one")]
    Edited(u64),
    /// The head knows another last entry.
    #[error(
        "the chain's head tells of {head} entries, the last one here is {last}, or one that it does not know"
    )]
    Head {
        /// Entries that the head knows.
        head: u64,
        /// The last entry in the lines.
        last: u64,
    },
    /// Lines of two organizations.
    #[error("the lines up to entry {0} are another organization's")]
    Foreign(u64),
    /// The last line of a file is no end.
    #[error("the file breaks off after entry {0}: its last line is missing")]
    BrokenOff(u64),
}

/// Follows a chain from entry to entry; exported lines over any number of files. By default it begins at the entry that it
/// is given first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Walk {
    first: Option<(u64, ChainHash)>,
    last: Option<(u64, ChainHash)>,
    organization: Option<OrganizationId>,
    ended: bool,
}

impl Walk {
    /// A walk that begins at the chain's first entry.
    #[must_use]
    pub fn from_the_first() -> Self {
        Self { last: Some((0, ChainHash::GENESIS)), ..Self::default() }
    }

    /// Takes the next line of an export.
    ///
    /// # Errors
    /// What is wrong with it. The walk cannot go on behind a fault.
    pub fn line(&mut self, text: &str) -> Result<(), Fault> {
        match serde_json::from_str(text) {
            Ok(line) => self.entry(&line),
            Err(error) => match serde_json::from_str(text) {
                Ok(end) => self.end(&end),
                Err(_) => Err(Fault::Unreadable { after: self.last_entry(), why: error.to_string() }),
            },
        }
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn entry(&mut self, line: &Line) -> Result<(), Fault> {
        let (last, previous) = self.last.unwrap_or_else(|| {
            let before = line.n.saturating_sub(1);
            (before, if before == 0 { ChainHash::GENESIS } else { line.previous_hash })
        });
        if line.n.checked_sub(1) != Some(last) {
            return Err(Fault::Misplaced { expected: last.saturating_add(1), found: line.n });
        }
        if line.previous_hash != previous {
            return Err(Fault::Unlinked(line.n));
        }
        if line.link().hash(previous) != line.hash {
            return Err(Fault::Edited(line.n));
        }
        self.first.get_or_insert((line.n, previous));
        self.last = Some((line.n, line.hash));
        self.ended = false;
        Ok(())
    }

    /// Takes what the chain's head says.
    ///
    /// # Errors
    /// When it is another end than the last entry.
    pub fn end(&mut self, end: &End) -> Result<(), Fault> {
        if self.organization.is_some_and(|known| known != end.organization_id) {
            return Err(Fault::Foreign(self.last_entry()));
        }
        // Without a line of its own a file goes on where the one before has ended.
        let last = self.last.unwrap_or((end.entries, end.hash));
        if last != (end.entries, end.hash) {
            return Err(Fault::Head { head: end.entries, last: last.0 });
        }
        (self.last, self.organization, self.ended) = (Some(last), Some(end.organization_id), true);
        Ok(())
    }

    /// A file is over.
    ///
    /// # Errors
    /// When its last line is missing.
    pub fn file_ends(&self) -> Result<(), Fault> {
        if self.ended { Ok(()) } else { Err(Fault::BrokenOff(self.last_entry())) }
    }

    /// The first entry seen, and the hash that it follows; nothing where there was none.
    #[must_use]
    pub const fn first(&self) -> Option<(u64, ChainHash)> {
        self.first
    }

    /// The last entry, and the chain's hash up to it.
    #[must_use]
    pub const fn last(&self) -> Option<(u64, ChainHash)> {
        self.last
    }

    /// Whose chain it is, once an end has told.
    #[must_use]
    pub const fn organization(&self) -> Option<OrganizationId> {
        self.organization
    }

    /// Place of the last entry; 0 where there was none.
    #[must_use]
    pub fn last_entry(&self) -> u64 {
        self.last.map_or(0, |(n, _)| n)
    }
}
