//! A writer of compact JSON. Places commas; knows no types.

use super::text::write_text;

/// Appends JSON to a buffer.
pub(crate) struct Writer {
    out: Vec<u8>,
    /// A comma is due before the next key or element.
    comma: bool,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self { out: Vec::with_capacity(512), comma: false }
    }

    /// A writer of a few members that are put into an object, behind others if it has some.
    pub(crate) fn behind(others: bool) -> Self {
        Self { out: Vec::with_capacity(160), comma: others }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn separate(&mut self) {
        if self.comma {
            self.out.push(b',');
        }
    }

    /// A value as it is; the caller vouches that it is JSON.
    pub(crate) fn raw(&mut self, json: impl AsRef<[u8]>) -> &mut Self {
        self.separate();
        self.out.extend_from_slice(json.as_ref());
        self.comma = true;
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.separate();
        write_text(&mut self.out, text);
        self.comma = true;
        self
    }

    pub(crate) fn whole(&mut self, number: u64) -> &mut Self {
        let mut buffer = itoa::Buffer::new();
        self.raw(buffer.format(number))
    }

    pub(crate) fn bool(&mut self, value: bool) -> &mut Self {
        self.raw(if value { "true" } else { "false" })
    }

    pub(crate) fn null(&mut self) -> &mut Self {
        self.raw("null")
    }

    /// The key of the member whose value comes next.
    pub(crate) fn key(&mut self, key: &str) -> &mut Self {
        self.separate();
        write_text(&mut self.out, key);
        self.out.push(b':');
        self.comma = false;
        self
    }

    /// The same for a name without quotes, backslashes and control characters: written as it is.
    pub(crate) fn name(&mut self, key: &'static str) -> &mut Self {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.comma = false;
        self
    }

    pub(crate) fn object(&mut self, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.nested(b'{', b'}', fill)
    }

    pub(crate) fn array(&mut self, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.nested(b'[', b']', fill)
    }

    /// Ends a chain of calls where nothing is expected.
    pub(crate) fn done(&mut self) {}

    fn nested(&mut self, open: u8, close: u8, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.separate();
        self.out.push(open);
        self.comma = false;
        fill(self);
        self.out.push(close);
        self.comma = true;
        self
    }
}
