//! Edits of a text at known places, applied once. Everything between them stays byte for byte.

use bytes::Bytes;

/// A half-open range of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// First byte after it.
    pub end: usize,
}

impl Span {
    /// An empty span, where something can be put in.
    #[must_use]
    pub const fn at(offset: usize) -> Self {
        Self { start: offset, end: offset }
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether it holds nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A list of replacements in one text.
#[derive(Default)]
pub struct Splices {
    edits: Vec<(Span, Vec<u8>)>,
}

impl Splices {
    /// Puts `text` in place of `span`. Spans must not overlap; of two that do, the later start loses.
    pub fn replace(&mut self, span: Span, text: impl Into<Vec<u8>>) {
        self.edits.push((span, text.into()));
    }

    /// Takes `span` out.
    pub fn remove(&mut self, span: Span) {
        self.edits.push((span, Vec::new()));
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The edited text; the very same bytes, not copied, when there are no edits.
    #[must_use]
    pub fn apply(mut self, text: &Bytes) -> Bytes {
        if self.edits.is_empty() {
            return text.clone();
        }
        // Stable: insertions at one place keep their order.
        self.edits.sort_by_key(|(span, _)| span.start);
        let added: usize = self.edits.iter().map(|(_, new)| new.len()).sum();
        let mut out = Vec::with_capacity(text.len() + added);
        let mut done = 0;
        for (span, new) in self.edits {
            if span.start < done || span.end > text.len() {
                continue;
            }
            out.extend_from_slice(text.get(done..span.start).unwrap_or_default());
            out.extend_from_slice(&new);
            done = span.end;
        }
        out.extend_from_slice(text.get(done..).unwrap_or_default());
        out.into()
    }
}
