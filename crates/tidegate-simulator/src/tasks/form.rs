//! `multipart/form-data`, read as strictly as the services do.

use crate::ask::Invalid;

/// A part of a form.
pub(super) struct Part<'a> {
    pub(super) name: String,
    pub(super) file_name: Option<String>,
    pub(super) body: &'a [u8],
}

impl Part<'_> {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(self.body).into_owned()
    }
}

fn wrong() -> Invalid {
    Invalid::new("Could not parse multipart form.", "body")
}

/// The parts of a form.
pub(super) fn parts<'a>(content_type: &str, body: &'a [u8]) -> Result<Vec<Part<'a>>, Invalid> {
    let boundary = content_type
        .strip_prefix("multipart/form-data")
        .and_then(|rest| rest.split("boundary=").nth(1))
        .map(|rest| rest.split(';').next().unwrap_or_default().trim().trim_matches('"'))
        .filter(|boundary| !boundary.is_empty())
        .ok_or_else(wrong)?;
    let delimiter = format!("--{boundary}");
    let mut rest = body.strip_prefix(delimiter.as_bytes()).ok_or_else(wrong)?;
    let between = format!("\r\n{delimiter}");
    let mut found = Vec::new();
    while !rest.starts_with(b"--") {
        rest = rest.strip_prefix(b"\r\n").ok_or_else(wrong)?;
        let end = position(rest, between.as_bytes()).ok_or_else(wrong)?;
        let (whole, after) = rest.split_at(end);
        let middle = position(whole, b"\r\n\r\n").ok_or_else(wrong)?;
        let (head, content) = whole.split_at(middle);
        let head = std::str::from_utf8(head).map_err(|_| wrong())?;
        let quoted = |key: &str| {
            let (_, rest) = head.split_once(&format!(" {key}=\""))?;
            rest.split_once('"').map(|(value, _)| value.to_owned())
        };
        found.push(Part {
            name: quoted("name").ok_or_else(wrong)?,
            file_name: quoted("filename"),
            body: content.get(4..).unwrap_or_default(),
        });
        rest = after.get(between.len()..).unwrap_or_default();
    }
    Ok(found)
}

fn position(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
