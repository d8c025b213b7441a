//! The start of a node without a disk of its own while the control plane is away: by the copy of the configuration that
//! control planes publish on a volume, and an identity that lies in it.

mod begin;
mod begun;
mod claim;
mod known;

use std::path::PathBuf;
use std::sync::Arc;

use tidegate_secrets::sealing::SealingKeyPair;

pub(crate) use begin::Beginning;
pub(crate) use begun::{Begun, forget, heard, is_unheard};
pub(crate) use claim::keep as keep_claim;
pub(crate) use known::tell_others;

/// Where copies lie, and what opens them.
#[derive(Clone)]
pub struct CopySource {
    /// The folder on the volume.
    pub folder: PathBuf,
    /// The private key of the node class.
    pub class_key: Arc<SealingKeyPair>,
    /// The pool whose copy is taken.
    pub pool: String,
    /// No older copy is taken, in milliseconds.
    pub max_age_millis: i64,
}

impl std::fmt::Debug for CopySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopySource")
            .field("folder", &self.folder)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}
