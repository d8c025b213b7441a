//! Every key of the fleet by its public id, in 256 independently locked parts.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::RwLock;
use tidegate_types::KeyId;

use crate::compiled::{Indexed, KeyRecord};

type Bucket = RwLock<HashSet<Indexed, ahash::RandomState>>;

/// Found by id without I/O; a change locks one part for the time of one insertion.
#[derive(Debug)]
pub(crate) struct KeyIndex {
    buckets: [Bucket; 256],
}

impl KeyIndex {
    pub(crate) fn new() -> Self {
        Self { buckets: std::array::from_fn(|_| Bucket::default()) }
    }

    /// The low bits of an id are random.
    fn bucket(&self, id: KeyId) -> Option<&Bucket> {
        self.buckets.get(usize::from(id.to_u128() as u8))
    }

    pub(crate) fn get(&self, id: KeyId) -> Option<Arc<KeyRecord>> {
        self.bucket(id)?.read().get(&id).map(|indexed| Arc::clone(&indexed.0))
    }

    pub(crate) fn insert(&self, record: Arc<KeyRecord>) {
        if let Some(bucket) = self.bucket(record.id) {
            bucket.write().replace(Indexed(record));
        }
    }

    pub(crate) fn remove(&self, id: KeyId) {
        if let Some(bucket) = self.bucket(id) {
            bucket.write().remove(&id);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.read().len()).sum()
    }
}
