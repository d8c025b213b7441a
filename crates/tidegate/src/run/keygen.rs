//! `tidegate keygen`: makes the key-encryption key, in a file that only its owner reads.

use std::path::Path;

use anyhow::{Context as _, Result};
use tidegate_secrets::keygen::write_key_encryption_key;

/// Writes a new key to `path`; an existing file is never overwritten.
pub(crate) fn run(path: &Path) -> Result<()> {
    write_key_encryption_key(path).with_context(|| format!("write {}", path.display()))?;
    println!("{}", path.display());
    eprintln!(
        "Keep it apart from the database's backups: with both, every credential can be read; \
         without it, none ever again."
    );
    Ok(())
}
