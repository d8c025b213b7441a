//! Percent-encoding of path segments and queries (RFC 3986: letters, digits, `-._~` stay).

const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];

/// Appends `bytes`, everything but unreserved characters encoded.
pub(crate) fn encode(bytes: &[u8], out: &mut String) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or('0');
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// The bytes that a text stands for; what is no escape stays as it is.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let escaped =
            (byte == b'%').then(|| after.split_at_checked(2)).flatten().and_then(|(digits, after)| {
                let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.contains('+'))?;
                Some((u8::from_str_radix(digits, 16).ok()?, after))
            });
        match escaped {
            Some((byte, after)) => {
                out.push(byte);
                rest = after;
            }
            None => out.push(byte),
        }
    }
    out
}

/// A text as one segment of a path; `None` when it cannot be one (empty, `.`, `..`).
#[must_use]
pub fn segment(text: &str) -> Option<String> {
    if matches!(text, "" | "." | "..") {
        return None;
    }
    let mut out = String::with_capacity(text.len() + 8);
    encode(text.as_bytes(), &mut out);
    Some(out)
}

/// The path that a provider's own pattern gives: `{model}` becomes one segment, or a part of
/// one. `None` when the model's name cannot be that.
#[must_use]
pub fn fill_path(pattern: &str, model: &str) -> Option<String> {
    if !pattern.contains("{model}") {
        return Some(pattern.to_owned());
    }
    Some(pattern.replace("{model}", &segment(model)?))
}

/// A path with a further query.
#[must_use]
pub fn with_query(mut path: String, query: Option<&str>) -> String {
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        path.push(if path.contains('?') { '&' } else { '?' });
        path.push_str(query);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_one_segment_whatever_it_is_called() {
        let bedrock = "anthropic.claude-3-5-sonnet-20240620-v1:0";
        assert_eq!(segment(bedrock).unwrap(), "anthropic.claude-3-5-sonnet-20240620-v1%3A0");
        assert_eq!(
            fill_path("/model/{model}/converse", "arn:aws:x/y").unwrap(),
            "/model/arn%3Aaws%3Ax%2Fy/converse"
        );
        assert_eq!(segment("../a?b#c d%2Fü").unwrap(), "..%2Fa%3Fb%23c%20d%252F%C3%BC");
        for none in ["", ".", ".."] {
            assert_eq!((segment(none), fill_path("/x/{model}", none)), (None, None));
        }
        assert_eq!(fill_path("/deployments/x/chat", "..").unwrap(), "/deployments/x/chat");
    }

    #[test]
    fn queries_are_joined() {
        assert_eq!(with_query("/x".into(), Some("a=1")), "/x?a=1");
        assert_eq!(with_query("/x?alt=sse".into(), Some("a=1")), "/x?alt=sse&a=1");
        assert_eq!(with_query("/x".into(), None), "/x");
    }

    #[test]
    fn decoding_takes_escapes_only() {
        for (text, bytes) in [
            ("a%20b+c", &b"a b+c"[..]),
            ("%", b"%"),
            ("%2", b"%2"),
            ("%zz%+1", b"%zz%+1"),
            ("%C3%bc", "ü".as_bytes()),
        ] {
            assert_eq!(decode(text), bytes, "{text}");
        }
    }
}
