//! Values of a validated text, walked on demand. Descending into one costs its own length only.

use std::borrow::Cow;
use std::cmp::Ordering;

use memchr::memchr2;

use super::index::Index;
use super::scan::{Found, JsonError, is_space, short_stop, validate};
use super::splice::Span;
use super::text;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number of any size.
    Number,
    /// A string.
    Text,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// One value inside validated bytes: the bytes and where it lies in them.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    bytes: &'a [u8],
    start: usize,
    end: usize,
    index: Option<&'a Index>,
}

/// A member of an object.
#[derive(Clone)]
pub struct Member<'a> {
    /// The key, escapes resolved.
    pub key: Cow<'a, str>,
    /// Offset of the key's opening quote.
    pub start: usize,
    /// The value.
    pub value: Value<'a>,
}

impl<'a> Value<'a> {
    /// Validates `bytes` and gives their one value.
    ///
    /// # Errors
    /// [`JsonError`] when they are not JSON; linear in their length.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, JsonError> {
        let (start, end) = validate(bytes, None)?;
        Ok(Self { bytes, start, end, index: None })
    }

    /// The value at this place of bytes that were validated into `index`.
    pub(super) fn indexed(bytes: &'a [u8], start: usize, end: usize, index: Option<&'a Index>) -> Self {
        Self { bytes, start, end, index }
    }

    /// The value at `span` of bytes that were validated before.
    pub(crate) fn validated(bytes: &'a [u8], span: Span) -> Self {
        Self { bytes, start: span.start, end: span.end, index: None }
    }

    /// The value inside this one that lies at `span`.
    pub(crate) fn within(&self, span: Span) -> Self {
        Self { start: span.start, end: span.end, ..*self }
    }

    /// Where the value lies in the whole text.
    #[must_use]
    pub fn span(&self) -> Span {
        Span { start: self.start, end: self.end }
    }

    /// The value's own bytes.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.raw().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::Text,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    /// A string's text; `None` for other kinds and for a lone surrogate.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'a, str>> {
        if self.kind() == Kind::Text { text::decode(self.raw()) } else { None }
    }

    /// Bytes of a string's text in UTF-8, 0 for other kinds.
    #[must_use]
    pub fn text_len(&self) -> usize {
        if self.kind() == Kind::Text { text::decoded_len(self.raw()) } else { 0 }
    }

    /// A boolean.
    #[must_use]
    pub fn bool(&self) -> Option<bool> {
        match self.raw() {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// A whole number without sign, point or exponent.
    #[must_use]
    pub fn whole(&self) -> Option<u64> {
        let raw = self.raw();
        if raw.first()?.is_ascii_digit() { std::str::from_utf8(raw).ok()?.parse().ok() } else { None }
    }

    /// A number as binary floating point (rounded; for comparisons only).
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        if self.kind() == Kind::Number { std::str::from_utf8(self.raw()).ok()?.parse().ok() } else { None }
    }

    /// The members of an object in order; none for other kinds.
    pub fn members(&self) -> impl Iterator<Item = Member<'a>> + use<'a> {
        let mut walk = Walk::over(self, Kind::Object);
        std::iter::from_fn(move || walk.member())
    }

    /// The elements of an array in order; none for other kinds.
    pub fn elements(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let mut walk = Walk::over(self, Kind::Array);
        std::iter::from_fn(move || walk.element())
    }

    /// The first member with this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        let mut walk = Walk::over(self, Kind::Object);
        loop {
            let found = walk.key_is(key)?;
            let value = walk.element()?;
            if found {
                return Some(value);
            }
        }
    }

    /// The first member with each of these keys, in one walk.
    pub(crate) fn pick<const N: usize>(&self, keys: [&str; N]) -> [Option<Value<'a>>; N] {
        let mut found = [None; N];
        let mut walk = Walk::over(self, Kind::Object);
        while let (Some(name), Some(value)) = (walk.element(), walk.element()) {
            let Some((b'"', [inner @ .., b'"'])) = name.raw().split_first() else { continue };
            let asked = keys.iter().zip(&mut found).find(|(key, place)| {
                let same = inner == key.as_bytes() || inner.len() > key.len() && name.reads(key);
                same && place.is_none()
            });
            if let Some((_, place)) = asked {
                *place = Some(value);
            }
        }
        found
    }

    /// Whether it is an object with members.
    pub(crate) fn has_members(&self) -> bool {
        Walk::over(self, Kind::Object).next().is_some()
    }

    /// Whether it is a string with this text. Without escapes nothing needs to be resolved; with
    /// them the literal is longer than its text.
    fn reads(&self, text: &str) -> bool {
        let Some((b'"', [inner @ .., b'"'])) = self.raw().split_first() else { return false };
        match inner.len().cmp(&text.len()) {
            Ordering::Less => false,
            Ordering::Equal => inner == text.as_bytes(),
            Ordering::Greater => inner.contains(&b'\\') && self.text().is_some_and(|own| own == text),
        }
    }
}

struct Walk<'a> {
    bytes: &'a [u8],
    pos: usize,
    end: usize,
    index: Option<&'a Index>,
}

impl<'a> Walk<'a> {
    fn over(value: &Value<'a>, kind: Kind) -> Self {
        let (pos, end) = if value.kind() == kind { (value.start + 1, value.end - 1) } else { (0, 0) };
        Self { bytes: value.bytes, pos, end, index: value.index }
    }

    /// Moves over white space and one separator to the next item; `None` at the end.
    fn next(&mut self) -> Option<u8> {
        while self.pos < self.end {
            match *self.bytes.get(self.pos)? {
                b if is_space(b) || b == b',' || b == b':' => self.pos += 1,
                b => return Some(b),
            }
        }
        None
    }

    /// Moves over a key; whether it is this one.
    fn key_is(&mut self, key: &str) -> Option<bool> {
        self.next()?;
        let rest = self.bytes.get(self.pos + 1..).and_then(|literal| literal.strip_prefix(key.as_bytes()));
        let plain = |key: &str| !key.bytes().any(|b| matches!(b, b'"' | b'\\'));
        if rest.and_then(<[u8]>::first) == Some(&b'"') && plain(key) {
            self.pos += key.len() + 2;
            return Some(true);
        }
        // Another one, or this one in escapes.
        self.element().map(|name| name.reads(key))
    }

    fn element(&mut self) -> Option<Value<'a>> {
        let first = self.next()?;
        let start = self.pos;
        self.pos = end_of(self.bytes, start, first, self.index).min(self.end);
        Some(Value { bytes: self.bytes, start, end: self.pos, index: self.index })
    }

    fn member(&mut self) -> Option<Member<'a>> {
        let key = self.element()?;
        let text = key.text().unwrap_or_else(|| text::decode_lossy(key.raw()));
        Some(Member { key: text, start: key.start, value: self.element()? })
    }
}

/// End of the value that starts with `first` at `start` of validated bytes.
fn end_of(bytes: &[u8], start: usize, first: u8, index: Option<&Index>) -> usize {
    match first {
        b'"' => end_of_string(bytes, start, index),
        b'{' | b'[' => {
            // Empty containers are not in the index.
            index.and_then(|index| index.end_of(start)).unwrap_or_else(|| end_of_container(bytes, start))
        }
        _ => {
            let rest = bytes.get(start..).unwrap_or_default();
            let len = rest.iter().position(|b| is_space(*b) || matches!(b, b',' | b'}' | b']'));
            start + len.unwrap_or(rest.len())
        }
    }
}

fn end_of_string(bytes: &[u8], start: usize, index: Option<&Index>) -> usize {
    let mut pos = start + 1;
    match short_stop(bytes.get(pos..).unwrap_or_default()) {
        Found::At(stop) if bytes.get(pos + stop) == Some(&b'"') => return pos + stop + 1,
        _ => {}
    }
    if let Some(end) = index.and_then(|index| index.end_of(start)) {
        return end;
    }
    while let Some(stop) = bytes.get(pos..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        if bytes.get(pos + stop) == Some(&b'"') {
            return pos + stop + 1;
        }
        pos += stop + 2;
    }
    bytes.len()
}

fn end_of_container(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0u32;
    let mut pos = start;
    while let Some(byte) = bytes.get(pos) {
        match byte {
            b'"' => {
                pos = end_of_string(bytes, pos, None);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return pos + 1;
                }
            }
            _ => {}
        }
        pos += 1;
    }
    bytes.len()
}
