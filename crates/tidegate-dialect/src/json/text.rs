//! Strings of JSON: resolved, measured, written.

use std::borrow::Cow;

use memchr::memchr;

use super::scan::{Found, LONG, short_stop};

/// The text of a validated string literal; `None` when it holds a lone surrogate.
pub(super) fn decode(literal: &[u8]) -> Option<Cow<'_, str>> {
    let inner = inner(literal);
    if memchr(b'\\', inner).is_none() {
        return plain(literal).map(Cow::Borrowed);
    }
    let mut out = String::with_capacity(inner.len());
    pieces(inner, |piece| {
        match piece {
            Piece::Plain(bytes) => out.push_str(std::str::from_utf8(bytes).ok()?),
            Piece::Char(c) => out.push(c?),
        }
        Some(())
    })?;
    Some(Cow::Owned(out))
}

/// The same of a literal without escapes.
pub(super) fn plain(literal: &[u8]) -> Option<&str> {
    std::str::from_utf8(inner(literal)).ok()
}

/// The text, with U+FFFD for lone surrogates.
pub(super) fn decode_lossy(literal: &[u8]) -> Cow<'_, str> {
    let mut out = String::new();
    pieces(inner(literal), |piece| {
        match piece {
            Piece::Plain(bytes) => out.push_str(&String::from_utf8_lossy(bytes)),
            Piece::Char(c) => out.push(c.unwrap_or(char::REPLACEMENT_CHARACTER)),
        }
        Some(())
    });
    Cow::Owned(out)
}

/// Bytes of the text in UTF-8.
pub(super) fn decoded_len(literal: &[u8]) -> usize {
    let inner = inner(literal);
    if memchr(b'\\', inner).is_none() {
        return inner.len();
    }
    let mut len = 0;
    pieces(inner, |piece| {
        len += match piece {
            Piece::Plain(bytes) => bytes.len(),
            Piece::Char(c) => c.map_or(3, char::len_utf8),
        };
        Some(())
    });
    len
}

/// What stands between the quotes.
pub(super) fn inner(literal: &[u8]) -> &[u8] {
    literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default()
}

enum Piece<'a> {
    Plain(&'a [u8]),
    /// An escape; `None` for a lone surrogate.
    Char(Option<char>),
}

fn pieces<'a>(mut rest: &'a [u8], mut each: impl FnMut(Piece<'a>) -> Option<()>) -> Option<()> {
    while let Some(stop) = memchr(b'\\', rest) {
        let (plain, tail) = rest.split_at(stop);
        if !plain.is_empty() {
            each(Piece::Plain(plain))?;
        }
        let (c, used) = escape(tail);
        each(Piece::Char(c))?;
        rest = tail.get(used..).unwrap_or_default();
    }
    if rest.is_empty() { Some(()) } else { each(Piece::Plain(rest)) }
}

/// The character of the escape at the start of `tail`, and the escape's length.
fn escape(tail: &[u8]) -> (Option<char>, usize) {
    let simple = match tail.get(1) {
        Some(b'u') => return unicode(tail),
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(other) => char::from(*other),
        None => return (None, 1),
    };
    (Some(simple), 2)
}

fn unicode(tail: &[u8]) -> (Option<char>, usize) {
    let Some(high) = hex4(tail) else { return (None, 6) };
    if !(0xd800..0xe000).contains(&high) {
        return (char::from_u32(high), 6);
    }
    let low = tail.get(6..).filter(|next| next.starts_with(b"\\u")).and_then(hex4);
    match low {
        Some(low) if high < 0xdc00 && (0xdc00..0xe000).contains(&low) => {
            (char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)), 12)
        }
        _ => (None, 6),
    }
}

fn hex4(escape: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(escape.get(2..6)?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

/// Appends `text` as a JSON string literal.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    // Names and ids are short and have nothing to escape.
    if bytes.len() <= LONG && matches!(short_stop(bytes), Found::Nothing) {
        out.extend_from_slice(bytes);
        return out.push(b'"');
    }
    let mut done = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let short: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..0x20 => b"",
            _ => continue,
        };
        out.extend_from_slice(bytes.get(done..at).unwrap_or_default());
        if short.is_empty() {
            out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
        } else {
            out.extend_from_slice(short);
        }
        done = at + 1;
    }
    out.extend_from_slice(bytes.get(done..).unwrap_or_default());
    out.push(b'"');
}
