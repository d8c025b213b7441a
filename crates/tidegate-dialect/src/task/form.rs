//! `multipart/form-data` (RFC 7578), read without copying and written.

use std::fmt;

use bytes::Bytes;
use memchr::memmem;

use crate::RequestError;

/// A part of a form.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) name: String,
    /// `content-disposition` and the other headers, as they were written.
    pub(crate) head: Bytes,
    pub(crate) file_name: Option<String>,
    pub(crate) body: Bytes,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.body.len())
    }
}

/// A form.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    boundary: String,
    pub(crate) parts: Vec<Part>,
}

/// Longest boundary (RFC 2046) and most parts.
const LONGEST: usize = 70;
const MOST_PARTS: usize = 256;

fn wrong(expected: &'static str) -> RequestError {
    RequestError::Wrong { path: "body".to_owned(), expected }
}

impl Form {
    /// Reads a form.
    pub(crate) fn read(content_type: &str, body: &Bytes) -> Result<Self, RequestError> {
        const FORM: &str = "multipart/form-data with a boundary of 1 to 70 bytes";
        let (kind, parameters) = content_type.split_once(';').ok_or_else(|| wrong(FORM))?;
        let boundary = parameter(parameters, "boundary")
            .filter(|_| kind.trim().eq_ignore_ascii_case("multipart/form-data"));
        let boundary =
            boundary.filter(|text| (1..=LONGEST).contains(&text.len())).ok_or_else(|| wrong(FORM))?;
        let mut form = Self { boundary, parts: Vec::new() };
        form.split(body).ok_or_else(|| wrong("a complete multipart/form-data body"))?;
        Ok(form)
    }

    fn split(&mut self, body: &Bytes) -> Option<()> {
        let delimiter = format!("\r\n--{}", self.boundary);
        // The first delimiter has no line before it.
        let mut at = if body.starts_with(delimiter.get(2..)?.as_bytes()) {
            delimiter.len() - 2
        } else {
            memmem::find(body, delimiter.as_bytes())? + delimiter.len()
        };
        let finder = memmem::Finder::new(delimiter.as_bytes());
        loop {
            let rest = body.get(at..)?;
            if rest.starts_with(b"--") {
                return Some(());
            }
            let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            let start = at + padding;
            if !body.get(start..)?.starts_with(b"\r\n") || self.parts.len() >= MOST_PARTS {
                return None;
            }
            let end = start + finder.find(body.get(start..)?)?;
            // A part without headers begins with an empty line.
            let whole = body.slice(start..end);
            let head_end = memmem::find(&whole, b"\r\n\r\n")?;
            let head = whole.slice(2.min(head_end)..head_end);
            self.parts.push(part(head, whole.slice(head_end + 4..))?);
            at = end + delimiter.len();
        }
    }

    /// The only part of this name. Two of them are refused: readers could disagree.
    pub(crate) fn only(&self, name: &str) -> Result<Option<&Part>, RequestError> {
        let mut found = self.parts.iter().filter(|part| part.name == name);
        let first = found.next();
        if found.next().is_some() {
            return Err(RequestError::Duplicate { path: name.to_owned() });
        }
        Ok(first)
    }

    /// The text of the only part of this name.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, RequestError> {
        let Some(part) = self.only(name)? else { return Ok(None) };
        let text = std::str::from_utf8(&part.body);
        text.map(Some).map_err(|_| RequestError::Wrong { path: name.to_owned(), expected: "UTF-8 text" })
    }

    /// Puts a text in place of the part of this name, or adds it.
    pub(crate) fn set(&mut self, name: &str, text: &str) {
        let body = Bytes::copy_from_slice(text.as_bytes());
        match self.parts.iter_mut().find(|part| part.name == name) {
            Some(part) => part.body = body,
            None => {
                let head = format!("Content-Disposition: form-data; name=\"{name}\"").into();
                self.parts.push(Part { name: name.to_owned(), head, file_name: None, body });
            }
        }
    }

    /// A form to be filled, whose boundary is nowhere in `file`.
    pub(crate) fn around(file: &[u8]) -> Self {
        let boundary = (0u32..)
            .map(|number| format!("tidegate-form-{number}"))
            .find(|boundary| memmem::find(file, boundary.as_bytes()).is_none());
        Self { boundary: boundary.unwrap_or_default(), parts: Vec::new() }
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, name: &str, file_name: &str, content_type: &str, body: Bytes) {
        let head = format!(
            "Content-Disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\nContent-Type: {content_type}"
        );
        let file_name = Some(file_name.to_owned());
        self.parts.push(Part { name: name.to_owned(), head: head.into(), file_name, body });
    }

    /// The form as a body.
    pub(crate) fn write(&self) -> super::Payload {
        let mut out = Vec::new();
        for part in &self.parts {
            out.extend_from_slice(format!("--{}\r\n", self.boundary).as_bytes());
            out.extend_from_slice(&part.head);
            out.extend_from_slice(b"\r\n\r\n");
            out.extend_from_slice(&part.body);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.'+".contains(&byte);
        let mark = if self.boundary.bytes().all(token) { "" } else { "\"" };
        let content_type = format!("multipart/form-data; boundary={mark}{}{mark}", self.boundary).into();
        super::Payload { bytes: out.into(), content_type }
    }
}

fn part(head: Bytes, body: Bytes) -> Option<Part> {
    let text = std::str::from_utf8(&head).ok()?;
    let mut disposition = text.split("\r\n").filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    });
    let (kind, parameters) = disposition.next()?.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("form-data") || disposition.next().is_some() {
        return None;
    }
    let name = parameter(parameters, "name")?;
    let file_name = parameter(parameters, "filename");
    Some(Part { name, file_name, head, body })
}

/// A parameter of a header; quoted ones may hold anything but a quote.
fn parameter(text: &str, name: &str) -> Option<String> {
    let mut rest = text;
    let mut found = None;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        if rest.is_empty() {
            return found;
        }
        let (key, after) = rest.split_once('=')?;
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(';').unwrap_or(after.len())),
        };
        if key.trim().eq_ignore_ascii_case(name) {
            // Twice: readers could disagree.
            if found.is_some() {
                return None;
            }
            found = Some(value.trim().to_owned());
        }
        rest = next;
    }
}
