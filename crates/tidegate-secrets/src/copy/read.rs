//! Reads a copy in two passes: who signed it, then what it holds.

use std::io::{self, Read, Seek, SeekFrom};

use sha2::digest::Output;
use sha2::{Digest as _, Sha256};
use tidegate_types::Timestamp;

use super::{AHEAD_MILLIS, CopyError, Header, MAGIC, MOST, Record, hash, signed_text};
use crate::decision::Certificates;
use crate::envelope::{self, DataKey};
use crate::sealing::SealingKeyPair;

/// A copy that a trusted root has signed.
pub struct Verified<R> {
    reader: R,
    header: Header,
    sealed_key: Vec<u8>,
    digest: Output<Sha256>,
}

impl<R: Read + Seek> Verified<R> {
    /// Reads it through, without using anything of it.
    ///
    /// # Errors
    /// [`CopyError::Malformed`] unless it is whole, [`CopyError::NotSigned`], [`CopyError::Io`].
    pub fn read(mut reader: R, roots: &Certificates) -> Result<Self, CopyError> {
        reader.seek(SeekFrom::Start(0))?;
        let mut parts = Parts::begin(reader)?;
        let opening = parts.next()?;
        let (header, sealed_key) = Header::from_bytes(&opening).ok_or(CopyError::Malformed)?;
        while !parts.next()?.is_empty() {}
        let digest = hash(parts.hasher.clone());
        let signature = parts.next()?;
        let mut reader = parts.reader;
        if reader.read(&mut [0])? != 0 {
            return Err(CopyError::Malformed);
        }
        roots.verify_by_root(&signed_text(&digest), &signature).map_err(|_| CopyError::NotSigned)?;
        Ok(Self { reader, header, sealed_key, digest })
    }

    /// What it says of itself.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Whether a node of `pool` may start by it at `now`; `known` is the time of the newest copy that anybody has
    /// heard of.
    ///
    /// # Errors
    /// [`CopyError::OtherPool`], [`CopyError::Ahead`], [`CopyError::TooOld`], [`CopyError::Superseded`].
    pub fn admit(
        &self,
        pool: &str,
        now: Timestamp,
        max_age_millis: i64,
        known: Timestamp,
    ) -> Result<(), CopyError> {
        let Header { pool: own, issued_at, .. } = &self.header;
        if own != pool {
            return Err(CopyError::OtherPool(own.clone()));
        }
        if now.millis_since(*issued_at) < -AHEAD_MILLIS {
            return Err(CopyError::Ahead(*issued_at));
        }
        if now.millis_since(*issued_at) > max_age_millis {
            return Err(CopyError::TooOld(*issued_at));
        }
        if *issued_at < known {
            return Err(CopyError::Superseded { copy: *issued_at, known });
        }
        Ok(())
    }

    /// Hands over every record. What was taken counts only when this succeeds: the file may be changed meanwhile.
    ///
    /// # Errors
    /// [`CopyError::OtherClass`], [`CopyError::Changed`], or what `take` answered.
    pub fn open(
        &mut self,
        class: &SealingKeyPair,
        mut take: impl FnMut(Record) -> Result<(), CopyError>,
    ) -> Result<&Header, CopyError> {
        let digest = self.each(class, |record| take(record).map(|()| true))?;
        if digest.as_ref() == Some(&self.digest) { Ok(&self.header) } else { Err(CopyError::Changed) }
    }

    /// Hands over what lies before the first delta. Each record is the control plane's, whatever became of the file; that
    /// they are all there only [`Verified::open`] says.
    ///
    /// # Errors
    /// [`CopyError::OtherClass`], [`CopyError::Malformed`].
    pub fn front(&mut self, class: &SealingKeyPair, mut take: impl FnMut(Record)) -> Result<(), CopyError> {
        let front = self.each(class, |record| {
            let goes_on = !matches!(record, Record::Delta(_));
            if goes_on {
                take(record);
            }
            Ok(goes_on)
        });
        front.map(|_| ())
    }

    /// Every record until `take` has enough; the digest of all that was read, if that was everything.
    fn each(
        &mut self,
        class: &SealingKeyPair,
        mut take: impl FnMut(Record) -> Result<bool, CopyError>,
    ) -> Result<Option<Output<Sha256>>, CopyError> {
        let key = class.open(&self.header.key_aad(), &self.sealed_key).map_err(|_| CopyError::OtherClass)?;
        let key: &[u8; 32] = key.as_slice().try_into().map_err(|_| CopyError::OtherClass)?;
        let key = DataKey::from_bytes(key);
        self.reader.seek(SeekFrom::Start(0))?;
        let mut parts = Parts::begin(&mut self.reader)?;
        parts.next()?;
        let mut index = 0;
        loop {
            let sealed = parts.next()?;
            if sealed.is_empty() {
                return Ok(Some(hash(parts.hasher)));
            }
            let opened = envelope::open(&key, &self.header.record_aad(index), &sealed)?;
            index += 1;
            if let Some(record) = Record::from_bytes(&opened)?
                && !take(record)?
            {
                return Ok(None);
            }
        }
    }
}

/// What a copy says of itself, without looking who says so.
///
/// # Errors
/// [`CopyError::Malformed`], [`CopyError::Io`].
pub fn peek(reader: impl Read) -> Result<Header, CopyError> {
    let opening = Parts::begin(reader)?.next()?;
    Header::from_bytes(&opening).map(|(header, _)| header).ok_or(CopyError::Malformed)
}

/// The parts of a file, hashed as they are read.
struct Parts<R> {
    reader: R,
    hasher: Sha256,
}

impl<R: Read> Parts<R> {
    fn begin(reader: R) -> Result<Self, CopyError> {
        let mut parts = Self { reader, hasher: Sha256::new() };
        let mut magic = [0; MAGIC.len()];
        parts.fill(&mut magic)?;
        if &magic == MAGIC { Ok(parts) } else { Err(CopyError::Malformed) }
    }

    fn next(&mut self) -> Result<Vec<u8>, CopyError> {
        let mut length = [0; 4];
        self.fill(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length > MOST {
            return Err(CopyError::Malformed);
        }
        let mut part = Vec::new();
        // No more memory than there are bytes.
        (&mut self.reader).take(u64::from(length)).read_to_end(&mut part)?;
        if part.len() != length as usize {
            return Err(CopyError::Malformed);
        }
        self.hasher.update(&part);
        Ok(part)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CopyError> {
        self.reader.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => CopyError::Malformed,
            _ => CopyError::Io(error),
        })?;
        self.hasher.update(bytes);
        Ok(())
    }
}
