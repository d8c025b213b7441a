//! Images and files of Gemini's parts, both ways.

use super::names::{self, read, rest_of};
use crate::canonical::{Image, Part};
use crate::decode::refuse;
use crate::json::{Value, Writer};
use crate::read::Path;
use crate::{Content, RequestError};

const PDF: &str = "application/pdf";
const ONLY: &str = "only images and PDF documents can be carried over";

/// `inlineData`.
pub(super) fn inline(value: &Value<'_>, path: Path<'_>) -> Result<Part, RequestError> {
    let mut blob = read(value, path)?;
    let media_type = names::need_text(&mut blob, "mimeType", path)?;
    let data = Content::new(standard(names::need_text(&mut blob, "data", path)?));
    let name = names::text(&mut blob, "displayName", path)?.map(Content::new);
    rest_of("contents[].parts[].inlineData", path, &blob)?;
    if media_type.starts_with("image/") {
        Ok(Part::Image { image: Image::Base64 { media_type, data }, cache: None })
    } else if media_type == PDF {
        Ok(Part::File { media_type, data, name, cache: None })
    } else {
        Err(refuse(path.key("mimeType"), ONLY))
    }
}

/// `fileData`.
pub(super) fn by_address(value: &Value<'_>, path: Path<'_>) -> Result<Part, RequestError> {
    let mut file = read(value, path)?;
    let url = names::need_text(&mut file, "fileUri", path)?;
    let media_type = names::text(&mut file, "mimeType", path)?;
    let name = names::text(&mut file, "displayName", path)?.map(Content::new);
    rest_of("contents[].parts[].fileData", path, &file)?;
    // The provider's own store of files, of which the address tells.
    if !url.starts_with("https://") && !url.starts_with("http://") || url.contains("googleapis.com/v1") {
        return Err(refuse(path.key("fileUri"), "a file that lies at the provider"));
    }
    match media_type.as_deref() {
        Some(kind) if kind.starts_with("image/") => {
            Ok(Part::Image { image: Image::Url(url.into()), cache: None })
        }
        None | Some(PDF) => Ok(Part::FileUrl { media_type, url: url.into(), name, cache: None }),
        Some(_) => Err(refuse(path.key("mimeType"), ONLY)),
    }
}

/// Gemini's own client writes bytes in the alphabet for addresses, which others do not read.
fn standard(data: String) -> String {
    if !data.contains(['-', '_']) && data.len().is_multiple_of(4) {
        return data;
    }
    let mut data = data.replace('-', "+").replace('_', "/");
    while !data.len().is_multiple_of(4) {
        data.push('=');
    }
    data
}

/// Writes the part of an image or a file; nothing for others.
pub(super) fn write(json: &mut Writer, part: &Part) {
    match part {
        Part::Image { image: Image::Base64 { media_type, data }, .. } => {
            write_inline(json, media_type, data, None)
        }
        Part::Image { image: Image::Url(url), .. } => write_address(json, guess(url.expose()), url, None),
        Part::File { media_type, data, name, .. } => write_inline(json, media_type, data, name.as_ref()),
        Part::FileUrl { media_type, url, name, .. } => {
            let kind = media_type.as_deref().or_else(|| guess(url.expose()));
            write_address(json, kind, url, name.as_ref());
        }
        _ => {}
    }
}

fn write_inline(json: &mut Writer, media_type: &str, data: &Content, name: Option<&Content>) {
    json.object(|json| {
        json.key("inlineData").object(|json| {
            json.key("mimeType").text(media_type).key("data").text(data.expose());
            if let Some(name) = name {
                json.key("displayName").text(name.expose());
            }
        });
    });
}

fn write_address(json: &mut Writer, media_type: Option<&str>, url: &Content, name: Option<&Content>) {
    json.object(|json| {
        json.key("fileData").object(|json| {
            if let Some(media_type) = media_type {
                json.key("mimeType").text(media_type);
            }
            json.key("fileUri").text(url.expose());
            if let Some(name) = name {
                json.key("displayName").text(name.expose());
            }
        });
    });
}

/// What the end of an address tells of its kind. Vertex AI wants to be told, AI Studio looks for itself.
fn guess(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let (_, ending) = path.rsplit_once('.')?;
    Some(match &*ending.to_ascii_lowercase() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "pdf" => PDF,
        "txt" => "text/plain",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        _ => return None,
    })
}
