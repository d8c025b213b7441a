//! Heads: a request's as bytes, an answer's from bytes, and how an answer's body is framed
//! (RFC 9112, section 6.3).

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header, response};
use httparse::ParserConfig;

use crate::send::RequestBody;

/// Most headers of an answer.
const MOST_HEADERS: usize = 100;

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) parts: response::Parts,
    pub(super) framing: Framing,
    /// Whether the connection may be used again behind the body.
    pub(super) keeps_open: bool,
}

/// Not the head of an answer to a POST.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Garbled;

/// The request's head as it is sent.
pub(super) fn encode(request: &Request<RequestBody>, host: &HeaderValue) -> Vec<u8> {
    let headers = request.headers();
    let usual =
        128 + headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
    let mut head = Vec::with_capacity(usual);
    let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    for part in [request.method().as_str(), " ", path, " HTTP/1.1\r\nhost: "] {
        head.extend_from_slice(part.as_bytes());
    }
    head.extend_from_slice(host.as_bytes());
    // What frames the message is ours alone.
    let ours = [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
    for (name, value) in headers.iter().filter(|(name, _)| !ours.contains(name)) {
        head.extend_from_slice(b"\r\n");
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
    }
    head.extend_from_slice(b"\r\ncontent-length: ");
    head.extend_from_slice(request.body().len().to_string().as_bytes());
    head.extend_from_slice(b"\r\n\r\n");
    head
}

/// The head at the start of `bytes` and its length; `None` while it is not there entirely.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Garbled> {
    // Not made before they are found: a hundred empty ones cost more than the parsing.
    let mut lines = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let read = ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, bytes, &mut lines);
    let length = match read {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(Garbled),
    };
    // One copy of the head; the values are parts of it.
    let whole = Bytes::copy_from_slice(bytes.get(..length).unwrap_or_default());
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for line in parsed.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| Garbled)?;
        let start = line.value.as_ptr() as usize - bytes.as_ptr() as usize;
        let value =
            if line.value.is_empty() { Bytes::new() } else { whole.slice(start..start + line.value.len()) };
        headers.append(name, HeaderValue::from_maybe_shared(value).map_err(|_| Garbled)?);
    }
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Garbled)?;
    let (framing, keeps_open) = framing(status, &headers, parsed.version == Some(1))?;
    let (mut parts, ()) = http::Response::new(()).into_parts();
    (parts.status, parts.headers) = (status, headers);
    Ok(Some((Head { parts, framing, keeps_open }, length)))
}

fn framing(status: StatusCode, headers: &HeaderMap, is_1_1: bool) -> Result<(Framing, bool), Garbled> {
    if status == StatusCode::SWITCHING_PROTOCOLS {
        // Nobody asked for it.
        return Err(Garbled);
    }
    let close = tokens(headers, &header::CONNECTION).any(|token| token.eq_ignore_ascii_case("close"));
    let keeps_open = is_1_1 && !close;
    if status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
        return Ok((Framing::Length(0), keeps_open));
    }
    let length = length(headers)?;
    if headers.contains_key(header::TRANSFER_ENCODING) {
        let mut codings = tokens(headers, &header::TRANSFER_ENCODING);
        let only_chunked = codings.next().is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
            && codings.next().is_none();
        // With both, somebody on the way may have seen another end: nothing more is read from it.
        return if only_chunked && is_1_1 {
            Ok((Framing::Chunked, keeps_open && length.is_none()))
        } else {
            Err(Garbled)
        };
    }
    Ok(match length {
        Some(length) => (Framing::Length(length), keeps_open),
        None => (Framing::UntilClose, false),
    })
}

fn tokens<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

fn length(headers: &HeaderMap) -> Result<Option<u64>, Garbled> {
    let mut found = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        let text = value.to_str().map_err(|_| Garbled)?;
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Garbled);
        }
        let length: u64 = text.parse().map_err(|_| Garbled)?;
        if found.is_some_and(|other| other != length) {
            return Err(Garbled);
        }
        found = Some(length);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(u16, Framing, bool), Garbled> {
        let whole = [text, "\r\n\r\n"].concat();
        assert!(parse(text.as_bytes())?.is_none());
        let (head, length) = parse(whole.as_bytes())?.unwrap();
        assert_eq!(length, whole.len());
        Ok((head.parts.status.as_u16(), head.framing, head.keeps_open))
    }

    #[test]
    fn the_end_of_a_body_is_known_by_its_head() {
        for (text, found) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 5", (200, Framing::Length(5), true)),
            ("HTTP/1.1 200\r\nContent-Length: 5\r\ncontent-length: 5", (200, Framing::Length(5), true)),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked", (200, Framing::Chunked, true)),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5",
                (200, Framing::Chunked, false),
            ),
            (
                "HTTP/1.1 429 x\r\nconnection: keep-alive, Close\r\ncontent-length: 0",
                (429, Framing::Length(0), false),
            ),
            ("HTTP/1.1 200 OK\r\nx: y", (200, Framing::UntilClose, false)),
            ("HTTP/1.0 200 OK\r\ncontent-length: 1", (200, Framing::Length(1), false)),
            ("HTTP/1.1 204 x\r\ntransfer-encoding: chunked", (204, Framing::Length(0), true)),
            ("HTTP/1.1 103 Early Hints\r\nlink: x", (103, Framing::Length(0), true)),
        ] {
            assert_eq!(read(text), Ok(found), "{text}");
        }
    }

    #[test]
    fn a_head_that_can_be_read_in_two_ways_is_refused() {
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6",
            "HTTP/1.1 200 OK\r\ncontent-length: 5, 5",
            "HTTP/1.1 200 OK\r\ncontent-length: +5",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999",
            "HTTP/1.1 200 OK\r\ncontent-length: ",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: identity",
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked",
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: x",
            "HTTP/2 200 OK\r\nx: y",
            "HTTP/1.1 200 OK\r\nx : y",
        ] {
            assert!(parse([text, "\r\n\r\n"].concat().as_bytes()).is_err(), "{text}");
        }
    }
}
