//! `tidegate keygen`: makes the key-encryption key, or a class key, in a file that only its owner reads.

use std::path::Path;

use anyhow::{Context as _, Result};
use tidegate_secrets::copy::write_class_key;
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

/// Writes a new class key to `path` and prints its public half; an existing file is never overwritten.
pub(crate) fn class_key(path: &Path) -> Result<()> {
    let public = write_class_key(path).with_context(|| format!("write {}", path.display()))?;
    println!("{public}");
    eprintln!(
        "The line above is control_plane.copy.class_key. The file is node.copy.key_file: who has it and reads a copy of the \
         configuration can be a node of that pool."
    );
    Ok(())
}
