//! Server-sent events: bytes in, whole events out, as slices of the input wherever possible.
//!
//! Takes CR, LF, CRLF, a byte order mark, comments, several data lines, a missing last blank line and
//! cuts at any byte. Knows nothing of what events mean. Source: the WHATWG standard, section 9.2.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use memchr::{memchr, memchr2};
use smallvec::SmallVec;

/// Longest event that is read, in bytes.
pub const MAX_EVENT: usize = 1 << 20;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Whole events, one after the other.
#[derive(Debug, Clone, Default)]
pub struct Ready {
    /// Their bytes, without a gap.
    pub bytes: Bytes,
    ends: SmallVec<[usize; 8]>,
    /// They are binary frames, not lines of text.
    frames: bool,
}

/// Cuts a stream into events.
#[derive(Debug, Default)]
pub struct Reader {
    /// Bytes of an event that is not whole yet.
    rest: Vec<u8>,
    /// Start of the last line in `rest`.
    line: usize,
    /// How far `rest` has been searched for the end of that line.
    searched: usize,
    overlong: bool,
}

impl Reader {
    /// Takes the next bytes; gives the events that are whole now, which may be none.
    /// Gives nothing any more once [`Self::overlong`].
    pub fn feed(&mut self, chunk: &Bytes) -> Ready {
        if self.overlong {
            return Ready::default();
        }
        let bytes = if self.rest.is_empty() {
            chunk.clone()
        } else {
            self.rest.extend_from_slice(chunk);
            if next_end(&self.rest, &mut self.line, &mut self.searched).is_none() {
                self.overlong = self.rest.len() > MAX_EVENT;
                return Ready::default();
            }
            (self.line, self.searched) = (0, 0);
            Bytes::from(std::mem::take(&mut self.rest))
        };
        self.cut(&bytes)
    }

    fn cut(&mut self, bytes: &Bytes) -> Ready {
        let mut ends: SmallVec<[usize; 8]> = SmallVec::new();
        let (mut line, mut searched, mut start) = (0, 0, 0);
        while let Some(end) = next_end(bytes, &mut line, &mut searched) {
            if end - start > MAX_EVENT {
                break;
            }
            ends.push(end);
            start = end;
        }
        let rest = bytes.get(start..).unwrap_or_default();
        self.overlong = rest.len() > MAX_EVENT;
        self.rest.extend_from_slice(rest);
        (self.line, self.searched) = (line.saturating_sub(start), searched.saturating_sub(start));
        Ready { bytes: bytes.slice(..start), ends, frames: false }
    }

    /// Whether an event was longer than [`MAX_EVENT`].
    #[must_use]
    pub fn overlong(&self) -> bool {
        self.overlong
    }

    /// The stream is over: what is left, as one event that lacks its blank line.
    #[must_use]
    pub fn finish(&mut self) -> Option<Ready> {
        let bytes = Bytes::from(std::mem::take(&mut self.rest));
        (self.line, self.searched) = (0, 0);
        if bytes.is_empty() {
            return None;
        }
        let ends = SmallVec::from_slice(&[bytes.len()]);
        Some(Ready { bytes, ends, frames: false })
    }
}

/// End of the event that the line at `line` belongs to: the first empty line from there on.
/// A CR at the very end is not an end yet, because an LF may follow.
fn next_end(bytes: &[u8], line: &mut usize, searched: &mut usize) -> Option<usize> {
    loop {
        let from = (*line).max(*searched);
        let Some(at) = memchr2(b'\n', b'\r', bytes.get(from..)?).map(|at| from + at) else {
            *searched = bytes.len();
            return None;
        };
        let mut next = at + 1;
        if bytes.get(at) == Some(&b'\r') {
            match bytes.get(next) {
                Some(b'\n') => next += 1,
                Some(_) => {}
                None => {
                    *searched = at;
                    return None;
                }
            }
        }
        let empty = at == *line;
        (*line, *searched) = (next, next);
        if empty {
            return Some(next);
        }
    }
}

/// The data lines of an event.
#[derive(Debug, Clone)]
enum Data {
    None,
    One(Range<usize>),
    Many(Vec<u8>),
}

/// One event.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    bytes: &'a [u8],
    /// Where it lies in [`Ready::bytes`].
    pub span: Range<usize>,
    name: Range<usize>,
    data: Data,
}

impl Ready {
    /// Binary frames that end at these places.
    pub(crate) fn of_frames(bytes: Bytes, ends: SmallVec<[usize; 8]>) -> Self {
        Self { bytes, ends, frames: true }
    }

    /// The events in order.
    pub fn events(&self) -> impl Iterator<Item = Event<'_>> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let span = start..*end;
            start = *end;
            if self.frames { Event::framed(&self.bytes, span) } else { Event::parse(&self.bytes, span) }
        })
    }
}

impl<'a> Event<'a> {
    fn parse(bytes: &'a [u8], span: Range<usize>) -> Self {
        let mut event = Self { bytes, span: span.clone(), name: 0..0, data: Data::None };
        let mut at = span.start;
        if bytes.get(at..).is_some_and(|rest| rest.starts_with(BOM)) {
            at += BOM.len();
        }
        while at < span.end {
            let rest = bytes.get(at..span.end).unwrap_or_default();
            let len = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            event.line(at..at + len);
            at += len + 1;
        }
        event
    }

    fn framed(bytes: &'a [u8], span: Range<usize>) -> Self {
        let (name, payload) = crate::eventstream::parts(bytes, &span);
        Self { bytes, span, name, data: Data::One(payload) }
    }

    fn line(&mut self, line: Range<usize>) {
        let text = self.bytes.get(line.clone()).unwrap_or_default();
        let colon = memchr(b':', text).unwrap_or(text.len());
        let mut value = (line.start + colon + 1).min(line.end)..line.end;
        if text.get(colon + 1) == Some(&b' ') {
            value.start += 1;
        }
        match text.get(..colon) {
            Some(b"data") => self.add_data(value),
            Some(b"event") => self.name = value,
            _ => {}
        }
    }

    fn add_data(&mut self, value: Range<usize>) {
        let new = self.bytes.get(value.clone()).unwrap_or_default();
        self.data = match std::mem::replace(&mut self.data, Data::None) {
            Data::None => Data::One(value),
            Data::One(first) => Data::Many([self.bytes.get(first).unwrap_or_default(), b"\n", new].concat()),
            Data::Many(mut lines) => {
                lines.push(b'\n');
                lines.extend_from_slice(new);
                Data::Many(lines)
            }
        };
    }

    /// Its name, empty when it has none.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        self.bytes.get(self.name.clone()).unwrap_or_default()
    }

    /// Its data, lines joined by LF; empty for comments.
    #[must_use]
    pub fn data(&self) -> Cow<'a, [u8]> {
        match &self.data {
            Data::None => Cow::Borrowed(&[]),
            Data::One(range) => Cow::Borrowed(self.bytes.get(range.clone()).unwrap_or_default()),
            Data::Many(lines) => Cow::Owned(lines.clone()),
        }
    }

    /// Where the data starts within the event, when it is one line.
    #[must_use]
    pub fn data_offset(&self) -> Option<usize> {
        match &self.data {
            Data::One(range) => Some(range.start - self.span.start),
            _ => None,
        }
    }
}
