//! Where bytes for the client are gathered: neighbouring events leave as one slice.

use std::ops::Range;

use bytes::Bytes;

/// Gathers output.
pub(crate) struct Out<'o> {
    list: &'o mut Vec<Bytes>,
    /// A run of events of one input that has not been sliced yet.
    run: Option<(Bytes, Range<usize>)>,
}

impl<'o> Out<'o> {
    pub(crate) fn new(list: &'o mut Vec<Bytes>) -> Self {
        Self { list, run: None }
    }

    /// Passes a part of `bytes`. Parts of one input that follow each other become one slice.
    pub(crate) fn pass(&mut self, bytes: &Bytes, span: Range<usize>) {
        if let Some((_, run)) = &mut self.run {
            if run.end == span.start {
                run.end = span.end;
                return;
            }
            self.flush();
        }
        self.run = Some((bytes.clone(), span));
    }

    /// Gives bytes of their own.
    pub(crate) fn give(&mut self, bytes: Bytes) {
        self.flush();
        if !bytes.is_empty() {
            self.list.push(bytes);
        }
    }

    pub(crate) fn flush(&mut self) {
        if let Some((bytes, run)) = self.run.take() {
            self.list.push(bytes.slice(run));
        }
    }
}
