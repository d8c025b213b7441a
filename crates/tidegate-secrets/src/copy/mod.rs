//! The copy: a pool's configuration in one file, from which a node without a disk of its own starts while the control
//! plane is away.
//!
//! Magic, a header, records, an empty record, a signature. Each part is prefixed by its length (4 bytes, big endian). The
//! header names pool and time and holds a data key sealed to the node class; each record is an envelope under that key,
//! bound to pool, time and place. The installation's authority signs the SHA-256 of all that is before the signature.

mod class;
mod read;
mod write;

use std::io;
use std::sync::Arc;

use sha2::digest::Output;
use sha2::{Digest as _, Sha256};
use tidegate_types::Timestamp;
use zeroize::Zeroizing;

pub use class::{class_key_from_text, parse_class_key, read_class_key, write_class_key};
pub use read::{Verified, peek};
pub use write::Writer;

use crate::SecretsError;
use crate::ca::NodeKey;
use crate::envelope::Aad;
use crate::parts::{put, take};
use crate::pool::PoolSecrets;
use crate::sealing::SealingKeyPair;

const MAGIC: &[u8; 8] = b"TGCOPY1\n";
/// By so much, in milliseconds, the clock of whoever made a copy may be ahead of the one that looks at it.
pub const AHEAD_MILLIS: i64 = 300_000;
/// Longest part, so that damage cannot ask for memory.
const MOST: u32 = 64 << 20;

/// What a copy says of itself in the open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The pool whose nodes may start by it.
    pub pool: String,
    /// When it was made; a later copy of the pool has a later time.
    pub issued_at: Timestamp,
    /// The newest change of each shard in it, by the shards' order.
    pub positions: Vec<u64>,
}

/// What a copy holds. No Debug.
pub enum Record {
    /// A part of a delta, encoded as on the wire.
    Delta(Vec<u8>),
    /// The pool's secrets under one of its keys.
    Secrets(Arc<PoolSecrets>),
    /// An identity for one node that cannot enrol.
    Reserve(Arc<Reserve>),
}

/// A node's identity that nobody has yet. No Debug.
pub struct Reserve {
    /// The certificate's key.
    pub key: NodeKey,
    /// What the pool's secrets are sealed to.
    pub sealing: SealingKeyPair,
    /// When the certificate was made.
    pub obtained: Timestamp,
    /// What enrolment would have answered, encoded as on the wire.
    pub answer: Vec<u8>,
}

/// Why a copy is not used. Texts hold nothing of what it holds.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It cannot be read or written.
    #[error("the copy cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// It is cut off, or no copy at all.
    #[error("this is no copy, or not a whole one")]
    Malformed,
    /// No root that is trusted for the control plane has signed it.
    #[error("no trusted root has signed the copy")]
    NotSigned,
    /// It is another pool's.
    #[error("the copy is of pool {0}")]
    OtherPool(String),
    /// It was sealed to another class key.
    #[error("the copy is not for this class key")]
    OtherClass,
    /// It is from a time to come: by its age it would be taken for longer than is allowed.
    #[error("the copy of {0} is from a time to come: a clock is wrong")]
    Ahead(Timestamp),
    /// It is older than what may be served.
    #[error("the copy of {0} is older than node.copy.max_age_hours allows")]
    TooOld(Timestamp),
    /// A later one is known.
    #[error("the copy of {copy} is older than the one of {known}, of which nodes of the pool know")]
    Superseded {
        /// This one's time.
        copy: Timestamp,
        /// That one's.
        known: Timestamp,
    },
    /// It changed while it was read.
    #[error("the copy changed while it was read")]
    Changed,
    /// What it holds cannot be made or used.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
}

impl Header {
    fn to_bytes(&self, sealed_key: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        put(&mut out, self.pool.as_bytes());
        put(&mut out, &self.issued_at.as_micros().to_be_bytes());
        let positions: Vec<u8> = self.positions.iter().flat_map(|n| n.to_be_bytes()).collect();
        put(&mut out, &positions);
        put(&mut out, sealed_key);
        out
    }

    /// The header, and the sealed data key.
    fn from_bytes(mut bytes: &[u8]) -> Option<(Self, Vec<u8>)> {
        let pool = String::from_utf8(take(&mut bytes)?.to_vec()).ok()?;
        let issued_at = Timestamp::from_micros(i64::from_be_bytes(take(&mut bytes)?.try_into().ok()?));
        let (positions, odd) = take(&mut bytes)?.as_chunks::<8>();
        let positions = positions.iter().map(|n| u64::from_be_bytes(*n)).collect();
        let sealed = take(&mut bytes)?.to_vec();
        (odd.is_empty() && bytes.is_empty()).then_some((Self { pool, issued_at, positions }, sealed))
    }

    fn aad(&self, purpose: &str) -> Aad {
        Aad::new(purpose).with(&self.pool).with(self.issued_at.as_micros().to_be_bytes())
    }

    fn key_aad(&self) -> Aad {
        self.aad("key of a copy")
    }

    fn record_aad(&self, index: u64) -> Aad {
        self.aad("record of a copy").with(index.to_be_bytes())
    }
}

const DELTA: u8 = 1;
const SECRETS: u8 = 2;
const RESERVE: u8 = 3;

impl Record {
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(1024));
        match self {
            Self::Delta(delta) => {
                out.push(DELTA);
                out.extend_from_slice(delta);
            }
            Self::Secrets(secrets) => {
                out.push(SECRETS);
                put(&mut out, secrets.pool.as_bytes());
                put(&mut out, &secrets.version.to_be_bytes());
                put(&mut out, &secrets.to_bytes());
            }
            Self::Reserve(reserve) => {
                out.push(RESERVE);
                put(&mut out, &reserve.key.expose());
                put(&mut out, reserve.sealing.expose());
                put(&mut out, &reserve.obtained.as_micros().to_be_bytes());
                put(&mut out, &reserve.answer);
            }
        }
        out
    }

    /// `None`: malformed, or of a kind that a later release adds, which may be left out.
    fn from_bytes(bytes: &[u8]) -> Result<Option<Self>, CopyError> {
        let (kind, mut rest) = bytes.split_first().ok_or(CopyError::Malformed)?;
        let mut next = || take(&mut rest).ok_or(CopyError::Malformed);
        Ok(Some(match *kind {
            DELTA => Self::Delta(rest.to_vec()),
            SECRETS => {
                let pool = std::str::from_utf8(next()?).map_err(|_| CopyError::Malformed)?;
                let version = u32::from_be_bytes(next()?.try_into().map_err(|_| CopyError::Malformed)?);
                Self::Secrets(Arc::new(PoolSecrets::from_bytes(pool, version, next()?)?))
            }
            RESERVE => {
                let key = NodeKey::from_bytes(next()?)?;
                let seed: &[u8; 32] = next()?.try_into().map_err(|_| CopyError::Malformed)?;
                let sealing = SealingKeyPair::from_bytes(seed)?;
                let obtained = i64::from_be_bytes(next()?.try_into().map_err(|_| CopyError::Malformed)?);
                let (obtained, answer) = (Timestamp::from_micros(obtained), next()?.to_vec());
                Self::Reserve(Arc::new(Reserve { key, sealing, obtained, answer }))
            }
            _ => return Ok(None),
        }))
    }
}

/// What the authority signs.
fn signed_text(digest: &Output<Sha256>) -> Vec<u8> {
    [b"tidegate copy of the configuration\n".as_slice(), digest.as_slice()].concat()
}

fn hash(hasher: Sha256) -> Output<Sha256> {
    hasher.finalize()
}
