//! Values of a validated text, walked on demand. Descending into one costs its own length only.

use std::borrow::Cow;

use memchr::memchr2;

use super::index::Noted;
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
    noted: Option<Noted<'a>>,
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
        Ok(Self { bytes, start, end, noted: None })
    }

    /// The value at this place of bytes that were validated, and where that noted it.
    pub(super) fn noted(bytes: &'a [u8], start: usize, end: usize, noted: Option<Noted<'a>>) -> Self {
        Self { bytes, start, end, noted }
    }

    /// The value at `span` of bytes that were validated before.
    pub(crate) fn validated(bytes: &'a [u8], span: Span) -> Self {
        Self { bytes, start: span.start, end: span.end, noted: None }
    }

    /// The value inside this one that lies at `span`.
    pub(crate) fn within(&self, span: Span) -> Self {
        Self::validated(self.bytes, span)
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
        if self.kind() != Kind::Text {
            return None;
        }
        self.literal().map(Cow::Borrowed).or_else(|| text::decode(self.raw()))
    }

    /// Bytes of a string's text in UTF-8, 0 for other kinds.
    #[must_use]
    pub fn text_len(&self) -> usize {
        if self.kind() != Kind::Text {
            return 0;
        }
        self.literal().map_or_else(|| text::decoded_len(self.raw()), str::len)
    }

    /// What stands between the quotes of a string that is known to have no escapes.
    fn literal(&self) -> Option<&'a str> {
        self.noted.filter(|noted| noted.is_literal())?.text(self.start + 1, self.end - 1)
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
        let digit = |byte: &u8| byte.is_ascii_digit().then_some(u64::from(byte & 0xf));
        let join = |number: u64, byte: &u8| number.checked_mul(10)?.checked_add(digit(byte)?);
        let (first, rest) = self.raw().split_first()?;
        rest.iter().try_fold(digit(first)?, join)
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
            let name = walk.name()?;
            let value = walk.element()?;
            if name.is(key) {
                return Some(value);
            }
        }
    }

    /// The first member with each of these keys, in one walk.
    pub(crate) fn pick<const N: usize>(&self, keys: [&str; N]) -> [Option<Value<'a>>; N] {
        let mut found = [None; N];
        let mut walk = Walk::over(self, Kind::Object);
        while let (Some(name), Some(value)) = (walk.name(), walk.element()) {
            let asked = keys.iter().zip(&mut found).find(|(key, place)| name.is(key) && place.is_none());
            if let Some((_, place)) = asked {
                *place = Some(value);
            }
        }
        found
    }

    /// Whether it is an object with members.
    pub(crate) fn has_members(&self) -> bool {
        self.kind() == Kind::Object && skip(self.bytes, self.start + 1, self.end - 1).is_some()
    }
}

/// A key as it stands.
struct Name<'a> {
    literal: Value<'a>,
    escaped: bool,
}

impl<'a> Name<'a> {
    #[inline]
    fn is(&self, key: &str) -> bool {
        let literal = self.literal.raw();
        if self.escaped {
            return text::decode(literal).is_some_and(|own| own == key);
        }
        text::inner(literal) == key.as_bytes()
    }

    fn text(&self) -> Cow<'a, str> {
        let literal = self.literal.raw();
        let text = match self.literal.literal() {
            Some(text) => Some(Cow::Borrowed(text)),
            None if self.escaped => text::decode(literal),
            None => text::plain(literal).map(Cow::Borrowed),
        };
        text.unwrap_or_else(|| text::decode_lossy(literal))
    }
}

/// The way along the items of a container: by what was noted of them, else by reading the text again.
struct Walk<'a> {
    bytes: &'a [u8],
    noted: Option<Noted<'a>>,
    way: Way,
}

enum Way {
    /// The places that are left of the container.
    Noted(u32, u32),
    /// What is left of its text.
    Read(usize, usize),
}

impl<'a> Walk<'a> {
    fn over(value: &Value<'a>, kind: Kind) -> Self {
        let way = match value.noted {
            _ if value.kind() != kind => Way::Read(0, 0),
            Some(noted) if noted.is_whole() => {
                let (first, behind) = noted.inside();
                Way::Noted(first, behind)
            }
            _ => Way::Read(value.start + 1, value.end - 1),
        };
        Self { bytes: value.bytes, noted: value.noted, way }
    }

    /// The next item, and whether it is a string with escapes.
    #[inline]
    fn item(&mut self) -> Option<(Value<'a>, bool)> {
        match &mut self.way {
            Way::Noted(place, behind) if *place < *behind => {
                let (start, end, noted, next) = self.noted?.at(*place)?;
                *place = next;
                Some((Value { bytes: self.bytes, start, end, noted: Some(noted) }, !noted.is_literal()))
            }
            Way::Noted(..) => None,
            Way::Read(pos, until) => {
                let start = skip(self.bytes, *pos, *until)?;
                let (end, escaped) = end_of(self.bytes, start, self.noted);
                *pos = end.min(*until);
                Some((Value { bytes: self.bytes, start, end: *pos, noted: self.noted }, escaped))
            }
        }
    }

    fn element(&mut self) -> Option<Value<'a>> {
        self.item().map(|(value, _)| value)
    }

    fn name(&mut self) -> Option<Name<'a>> {
        self.item().map(|(literal, escaped)| Name { literal, escaped })
    }

    fn member(&mut self) -> Option<Member<'a>> {
        let name = self.name()?;
        Some(Member { key: name.text(), start: name.literal.start, value: self.element()? })
    }
}

/// The next item from `pos` on, behind white space and one separator; `None` at the end.
fn skip(bytes: &[u8], pos: usize, end: usize) -> Option<usize> {
    let rest = bytes.get(pos..end)?;
    let item = rest.iter().position(|b| !is_space(*b) && !matches!(b, b',' | b':'))?;
    Some(pos + item)
}

/// End of the value that starts at `start` of validated bytes, and whether it is a string with escapes.
fn end_of(bytes: &[u8], start: usize, noted: Option<Noted<'_>>) -> (usize, bool) {
    match bytes.get(start) {
        Some(b'"') => end_of_string(bytes, start),
        Some(b'{' | b'[') => {
            // Empty containers may not be noted.
            let end = noted.and_then(|noted| noted.end_of(start));
            (end.unwrap_or_else(|| end_of_container(bytes, start)), false)
        }
        _ => {
            let rest = bytes.get(start..).unwrap_or_default();
            let len = rest.iter().position(|b| is_space(*b) || matches!(b, b',' | b'}' | b']'));
            (start + len.unwrap_or(rest.len()), false)
        }
    }
}

fn end_of_string(bytes: &[u8], start: usize) -> (usize, bool) {
    let mut pos = start + 1;
    match short_stop(bytes.get(pos..).unwrap_or_default()) {
        Found::At(stop) if bytes.get(pos + stop) == Some(&b'"') => return (pos + stop + 1, false),
        _ => {}
    }
    let mut escaped = false;
    while let Some(stop) = bytes.get(pos..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        if bytes.get(pos + stop) == Some(&b'"') {
            return (pos + stop + 1, escaped);
        }
        escaped = true;
        pos += stop + 2;
    }
    (bytes.len(), escaped)
}

fn end_of_container(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0u32;
    let mut pos = start;
    while let Some(byte) = bytes.get(pos) {
        match byte {
            b'"' => {
                (pos, _) = end_of_string(bytes, pos);
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
