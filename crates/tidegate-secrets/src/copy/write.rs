//! Writes a copy, record by record.

use std::io::Write;

use sha2::{Digest as _, Sha256};

use super::{CopyError, Header, MAGIC, Record, hash, signed_text};
use crate::SecretsError;
use crate::ca::CertificateAuthority;
use crate::envelope::{self, DataKey};
use crate::sealing;

/// A copy that is being written; nothing until [`Writer::finish`]. No Debug.
pub struct Writer<W> {
    out: W,
    header: Header,
    key: DataKey,
    hasher: Sha256,
    records: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a copy for the holders of a class key (X25519, public half).
    ///
    /// # Errors
    /// When the key is none, or nothing can be written.
    pub fn begin(out: W, header: Header, class_key: &[u8; 32]) -> Result<Self, CopyError> {
        let key = DataKey::generate();
        let sealed = sealing::seal_to(class_key, &header.key_aad(), key.expose())?;
        let opening = header.to_bytes(&sealed);
        let mut writer = Self { out, header, key, hasher: Sha256::new(), records: 0 };
        writer.raw(MAGIC)?;
        writer.part(&opening)?;
        Ok(writer)
    }

    /// Adds a record.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&mut self, record: &Record) -> Result<(), CopyError> {
        let sealed = envelope::seal(&self.key, &self.header.record_aad(self.records), &record.to_bytes())?;
        self.records += 1;
        self.part(&sealed)
    }

    /// Signs it. What was written to is handed back, to be made durable.
    ///
    /// # Errors
    /// When it cannot be signed or written.
    pub fn finish(mut self, authority: &CertificateAuthority) -> Result<W, CopyError> {
        self.part(&[])?;
        let signature = authority.sign_text(&signed_text(&hash(self.hasher.clone())))?;
        self.part(&signature)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn part(&mut self, part: &[u8]) -> Result<(), CopyError> {
        let length = u32::try_from(part.len()).ok().filter(|length| *length <= super::MOST);
        let length = length.ok_or(SecretsError::MalformedMaterial)?;
        self.raw(&length.to_be_bytes())?;
        self.raw(part)
    }

    fn raw(&mut self, bytes: &[u8]) -> Result<(), CopyError> {
        self.hasher.update(bytes);
        Ok(self.out.write_all(bytes)?)
    }
}
