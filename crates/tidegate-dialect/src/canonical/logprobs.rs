//! Log probabilities of an answer's tokens, an entry for each, as both dialects of OpenAI write them:
//! `{token, logprob, bytes, top_logprobs: [{token, logprob, bytes}]}`. Entries are carried unread.

use std::fmt;

use crate::json::{Kind, Value, Writer};

/// Entries in the order of the tokens. They hold the answer's text, so Debug shows their size only.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Logprobs {
    /// JSON objects with commas between them.
    entries: Vec<u8>,
}

impl Logprobs {
    /// The entries of a list; none when it is absent or no list.
    pub(crate) fn read(list: Option<Value<'_>>) -> Self {
        let mut found = Self::default();
        let list = list.filter(|list| list.kind() == Kind::Array);
        list.iter().flat_map(Value::elements).for_each(|entry| found.push(entry.raw()));
        found
    }

    /// Adds an entry; the caller vouches that it is one.
    pub(crate) fn push(&mut self, entry: &[u8]) {
        if !self.entries.is_empty() {
            self.entries.push(b',');
        }
        self.entries.extend_from_slice(entry);
    }

    /// Adds the entries of later tokens.
    pub(crate) fn append(&mut self, later: &Self) {
        if !later.is_empty() {
            self.push(&later.entries);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Writes the list.
    pub(crate) fn write(&self, json: &mut Writer) {
        json.raw(self.list());
    }

    /// The list as JSON.
    pub(crate) fn list(&self) -> Vec<u8> {
        [b"[".as_slice(), &self.entries, b"]"].concat()
    }
}

impl fmt::Debug for Logprobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes of log probabilities]", self.entries.len())
    }
}
