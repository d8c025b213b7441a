//! The words by which keys are refused: what this node has told or heard, kept in the state folder. A node that starts by
//! its disk refuses those keys also where Redis has lost what was told.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_types::{KeyId, OrganizationId};

use super::Word;
use crate::state::State;

const FILE: &str = "revocations";

/// Kept, at most: the newest.
const MOST: usize = 20_000;
/// So many more are borne before the oldest go.
const SURPLUS: usize = 2_000;

/// What is known, by key.
pub(crate) struct Words {
    state: Arc<State>,
    known: HashMap<(OrganizationId, KeyId), Known, ahash::RandomState>,
    /// Of the newest.
    serial: u64,
    changed: bool,
}

struct Known {
    word: Word,
    serial: u64,
}

impl Words {
    /// What the disk has. What is damaged is left: the feed and the others tell it again.
    pub(crate) fn read(state: Arc<State>) -> Self {
        let read = state.read(FILE).unwrap_or_else(|error| {
            tracing::error!(%error, "what was heard of revoked keys is damaged");
            None
        });
        let words: Vec<Word> = read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let mut known = Self { state, known: HashMap::default(), serial: 0, changed: false };
        words.into_iter().for_each(|word| {
            known.note(word);
        });
        known.changed = false;
        known
    }

    /// Notes a word; whether it is new.
    pub(crate) fn note(&mut self, word: Word) -> bool {
        let place = (word.organization, word.key);
        if self.known.get(&place).is_some_and(|known| known.word.n >= word.n) {
            return false;
        }
        self.serial += 1;
        self.known.insert(place, Known { word, serial: self.serial });
        self.changed = true;
        if self.known.len() > MOST + SURPLUS {
            let mut serials: Vec<u64> = self.known.values().map(|known| known.serial).collect();
            serials.sort_unstable();
            let oldest = serials.get(serials.len() - MOST).copied().unwrap_or(0);
            self.known.retain(|_, known| known.serial >= oldest);
        }
        true
    }

    /// All of them, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = Word> {
        self.known.values().map(|known| known.word)
    }

    /// Whether the disk has all of it.
    pub(crate) fn is_kept(&self) -> bool {
        !self.changed
    }

    /// Writes to disk what has changed, beside the tasks.
    pub(crate) async fn keep(&mut self) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        let mut known: Vec<_> = self.known.values().map(|known| (known.serial, known.word)).collect();
        let state = Arc::clone(&self.state);
        let written = tokio::task::spawn_blocking(move || {
            known.sort_unstable_by_key(|(serial, _)| *serial);
            let words: Vec<Word> = known.into_iter().map(|(_, word)| word).collect();
            let bytes = serde_json::to_vec(&words).unwrap_or_default();
            state.write(FILE, &bytes).map_err(|error| error.to_string())
        });
        if let Err(error) = written.await.unwrap_or_else(|_| Err("it ended in a panic".to_owned())) {
            tracing::warn!(error, "what was heard of revoked keys cannot be kept on disk");
            self.changed = true;
        }
    }
}
