//! Tokens that are looked up by their id and compared by their SHA-256: service tokens `tgs_…` of
//! the management API, join tokens `tgj_…` of nodes, single-use sign-in links `tgl_…`.
//!
//! The whole text is hashed: two tokens that share a long prefix share nothing else.

use sha2::{Digest as _, Sha256};
use tidegate_types::id::{Id, IdKind};
use tidegate_types::{Secret, ServiceTokenId};

use crate::envelope::derive;
use crate::text;

/// What a token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// The management API, as a service.
    Service,
    /// The fleet, once, as a new node.
    Join,
    /// A first or forgotten sign-in, once.
    Link,
}

impl TokenKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Service => "tgs",
            Self::Join => "tgj",
            Self::Link => "tgl",
        }
    }
}

/// A text that has the form of a token and a right checksum: not yet proof of anything.
#[derive(Clone, Copy)]
pub struct PresentedToken<K> {
    id: Id<K>,
    hash: [u8; 32],
}

/// Makes a token, shown once, and the SHA-256 that is kept of it.
#[must_use]
pub fn issue<K: IdKind>(kind: TokenKind, id: Id<K>, random: [u8; 32]) -> (Secret, [u8; 32]) {
    let text = text::write(kind.prefix(), id, random);
    let hash = Sha256::digest(text.expose()).into();
    (text, hash)
}

/// The service token that follows from a seed both sides hold: its id, its text and the SHA-256 of
/// it. `None` for a seed under 32 characters.
#[must_use]
pub fn from_seed(seed: &Secret) -> Option<(ServiceTokenId, Secret, [u8; 32])> {
    let seed = seed.expose().trim().as_bytes();
    if seed.len() < 32 {
        return None;
    }
    let (named, random) = (derive(seed, b"tidegate token id"), derive(seed, b"tidegate token secret"));
    let mut id = [0; 16];
    id.iter_mut().zip(named.iter()).for_each(|(to, from)| *to = *from);
    // The first bit is left out: ids are times that begin with a zero bit.
    let id = ServiceTokenId::from_u128(u128::from_be_bytes(id) >> 1);
    let (text, hash) = issue(TokenKind::Service, id, *random);
    Some((id, text, hash))
}

/// Reads the text of a token; `None` when it cannot be one of this kind.
#[must_use]
pub fn parse<K: IdKind>(kind: TokenKind, text: &str) -> Option<PresentedToken<K>> {
    let id = text::read(kind.prefix(), text)?;
    Some(PresentedToken { id, hash: Sha256::digest(text).into() })
}

impl<K: IdKind> PresentedToken<K> {
    /// The id that the text claims.
    #[must_use]
    pub fn id(&self) -> Id<K> {
        self.id
    }

    /// SHA-256 of the whole text, to look it up by.
    #[must_use]
    pub const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// Whether this is the token whose hash was kept; constant-time.
    #[must_use]
    pub fn matches(&self, kept: &[u8]) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.hash, kept).is_ok()
    }
}
