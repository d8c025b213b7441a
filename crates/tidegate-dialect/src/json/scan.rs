//! One pass over raw bytes that proves them to be JSON. Knows nothing of what they mean.

use memchr::memchr2;

use super::index::Index;

/// Deepest nesting that is read.
pub const MAX_DEPTH: u32 = 128;

/// Most strings are shorter than this: a vector search has not begun when they are looked through.
pub(super) const LONG: usize = 32;

/// Why bytes are not JSON, and where. Carries no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{why} at byte {at}")]
pub struct JsonError {
    /// Offset of the offending byte.
    pub at: usize,
    /// What is wrong.
    pub why: &'static str,
}

/// Proves that `bytes` are one JSON value (UTF-8, nested at most [`MAX_DEPTH`] deep); its start and end.
/// What `index` wants to know is noted on the way.
pub(super) fn validate<'t>(
    bytes: &'t [u8],
    mut index: Option<&mut Index<'t>>,
) -> Result<(usize, usize), JsonError> {
    let text = std::str::from_utf8(bytes);
    let text = text.map_err(|error| JsonError { at: error.valid_up_to(), why: "invalid UTF-8" })?;
    if let Some(index) = &mut index {
        index.begin(text);
    }
    let mut scan = Scan { bytes, pos: 0, index };
    scan.space();
    let start = scan.pos;
    // One bit per open container, the innermost lowest: 1 for an object, 0 for an array.
    let mut open: u128 = 0;
    let mut depth = 0;
    loop {
        match scan.peek() {
            Some(bracket @ (b'{' | b'[')) => {
                let object = bracket == b'{';
                if depth == MAX_DEPTH {
                    return Err(scan.error("nested too deeply"));
                }
                let at = scan.pos;
                scan.pos += 1;
                scan.space();
                if scan.peek() == Some(bracket + 2) {
                    scan.pos += 1;
                    if let Some(index) = &mut scan.index {
                        index.plain(at, scan.pos);
                    }
                } else {
                    if let Some(index) = &mut scan.index {
                        index.open(at);
                    }
                    (open, depth) = (open << 1 | u128::from(object), depth + 1);
                    if object {
                        scan.key()?;
                    }
                    continue;
                }
            }
            _ => scan.scalar()?,
        }
        loop {
            scan.space();
            if depth == 0 {
                let end = scan.bytes.len();
                return if scan.pos == end {
                    Ok((start, trim_end(bytes)))
                } else {
                    Err(scan.error("something after the value"))
                };
            }
            let object = open & 1 == 1;
            match scan.peek() {
                Some(b',') => {
                    scan.pos += 1;
                    scan.space();
                    if object {
                        scan.key()?;
                    }
                    break;
                }
                Some(close) if close == if object { b'}' } else { b']' } => {
                    scan.pos += 1;
                    if let Some(index) = &mut scan.index {
                        index.close(scan.pos);
                    }
                    (open, depth) = (open >> 1, depth - 1);
                }
                _ => return Err(scan.error(if object { "expected , or }" } else { "expected , or ]" })),
            }
        }
    }
}

fn trim_end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|b| !is_space(*b)).map_or(0, |last| last + 1)
}

/// Length of the plain text at the start of `rest`: up to a quote, a backslash or a control character.
fn string_stop(rest: &[u8]) -> Option<usize> {
    if let Found::At(stop) = short_stop(rest) {
        return Some(stop);
    }
    let (head, tail) = rest.split_at_checked(LONG)?;
    let stop = memchr2(b'"', b'\\', tail)?;
    let plain = tail.get(..stop).unwrap_or_default();
    // The lowest of all is found many bytes at a time: control characters are an error and all but never there.
    let lowest = plain.iter().copied().fold(u8::MAX, u8::min);
    let control = if lowest < 0x20 { plain.iter().position(|b| *b < 0x20) } else { None };
    Some(head.len() + control.unwrap_or(stop))
}

/// What the beginning of a string holds.
pub(super) enum Found {
    /// A quote, a backslash or a control character here.
    At(usize),
    /// None of them within [`LONG`] bytes.
    Nothing,
}

/// Looks for the first quote, backslash or control character of [`LONG`] bytes, eight at a time.
#[inline]
pub(super) fn short_stop(rest: &[u8]) -> Found {
    let (eights, last) = rest.as_chunks::<8>();
    for (number, eight) in eights.iter().take(LONG / 8).enumerate() {
        let stops = stops_of(u64::from_le_bytes(*eight));
        if stops != 0 {
            return Found::At(number * 8 + (stops.trailing_zeros() / 8) as usize);
        }
    }
    if eights.len() >= LONG / 8 {
        return Found::Nothing;
    }
    let stops = |b: &u8| matches!(*b, b'"' | b'\\' | 0..0x20);
    last.iter().position(stops).map_or(Found::Nothing, |stop| Found::At(eights.len() * 8 + stop))
}

/// The highest bit of each byte that is a quote, a backslash or a control character. Right for the
/// lowest such byte; above it a borrow may have set more.
const fn stops_of(eight: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let quote = eight ^ (ONES * b'"' as u64);
    let backslash = eight ^ (ONES * b'\\' as u64);
    let zero_of = quote.wrapping_sub(ONES) & !quote | backslash.wrapping_sub(ONES) & !backslash;
    let control = eight.wrapping_sub(ONES * 0x20) & !eight;
    (zero_of | control) & HIGH
}

pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

struct Scan<'a, 'i> {
    bytes: &'a [u8],
    pos: usize,
    index: Option<&'i mut Index<'a>>,
}

impl Scan<'_, '_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.pos).copied()
    }

    fn error(&self, why: &'static str) -> JsonError {
        JsonError { at: self.pos, why }
    }

    fn space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.pos += 1;
        }
    }

    fn key(&mut self) -> Result<(), JsonError> {
        if self.peek() != Some(b'"') {
            // An empty object does not come here: it was a comma that promised a further key.
            let closed = self.peek() == Some(b'}');
            return Err(self.error(if closed {
                "a comma too many before }"
            } else {
                "expected a key in quotes"
            }));
        }
        self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.error("expected :"));
        }
        self.pos += 1;
        self.space();
        Ok(())
    }

    fn scalar(&mut self) -> Result<(), JsonError> {
        let start = self.pos;
        match self.peek() {
            Some(b'"') => return self.string(),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.literal(b"true")?,
            Some(b'f') => self.literal(b"false")?,
            Some(b'n') => self.literal(b"null")?,
            None => return Err(self.error("expected a value, found the end")),
            Some(b']') => return Err(self.error("expected a value, found ]")),
            Some(_) => return Err(self.error("expected a value")),
        }
        if let Some(index) = &mut self.index {
            index.plain(start, self.pos);
        }
        Ok(())
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), JsonError> {
        if self.bytes.get(self.pos..).is_some_and(|rest| rest.starts_with(word)) {
            self.pos += word.len();
            Ok(())
        } else {
            Err(self.error("expected a value"))
        }
    }

    fn string(&mut self) -> Result<(), JsonError> {
        let start = self.pos;
        let mut escaped = false;
        self.pos += 1;
        loop {
            let rest = self.bytes.get(self.pos..).unwrap_or_default();
            let Some(stop) = string_stop(rest) else {
                return Err(JsonError { at: self.bytes.len(), why: "unfinished string" });
            };
            match rest.get(stop) {
                Some(b'"') => {
                    self.pos += stop + 1;
                    if let Some(index) = &mut self.index {
                        index.string(start, self.pos, escaped);
                    }
                    return Ok(());
                }
                Some(b'\\') => {
                    escaped = true;
                    self.pos += stop + 1;
                    self.escape()?;
                }
                _ => return Err(self.error("control character in a string")),
            }
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self) -> Result<(), JsonError> {
        let rest = self.bytes.get(self.pos..).unwrap_or_default();
        self.pos += match rest.first() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 1,
            Some(b'u') if rest.get(1..5).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) => 5,
            _ => return Err(self.error("unknown escape")),
        };
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.pos;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.pos += 1;
        }
        if self.pos == start { Err(self.error("expected a digit")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.pos += 1;
        }
        if self.peek() == Some(b'0') {
            self.pos += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.pos += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.pos += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.pos += 1;
            }
            self.digits()?;
        }
        Ok(())
    }
}
