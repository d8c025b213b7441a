//! Parts into content blocks of Converse's requests.

use super::answer::{write_redacted, write_thinking, write_tool_use};
use super::blocks::DOCUMENTS;
use super::model::Family;
use crate::anthropic::arrange::is_blank;
use crate::canonical::{Call, Image, Json, Part, Role, Turn, signature};
use crate::json::{Value, Writer};
use crate::{Content, RequestError};

/// Longest name of a document.
const NAME: usize = 200;

/// Whether a part of this turn has a place in the target's body; else an error with that place.
pub(super) fn check(call: &Call, part: &Part, turn: &Turn) -> Result<(), RequestError> {
    let refuse = |what: &str, why| {
        let field = format!("{}.content ({what})", call.place(turn));
        Err(RequestError::Untranslatable { field, why })
    };
    match part {
        Part::Image { .. } | Part::File { .. } | Part::FileUrl { .. } if turn.role != Role::User => {
            refuse("image or file", "the target takes these from users only")
        }
        Part::Image { image: Image::Base64 { media_type, .. }, .. } if image_format(media_type).is_none() => {
            refuse("image", "the target takes PNG, JPEG, GIF and WebP only")
        }
        Part::Image { image: Image::Url(url), .. } if !is_s3(url) => {
            refuse("image by URL", "the target takes images that are sent along, or lie in S3")
        }
        Part::FileUrl { url, .. } if !is_s3(url) => {
            refuse("file by URL", "the target takes files that are sent along, or lie in S3")
        }
        Part::File { media_type, .. } if document_format(media_type).is_none() => {
            refuse("file", "the target does not take files of this type")
        }
        Part::FileUrl { media_type, url, .. } if url_format(media_type.as_deref(), url).is_none() => {
            refuse("file by URL", "the target does not take files of this type")
        }
        Part::ToolResult { parts, .. } => parts.iter().try_for_each(|part| check(call, part, turn)),
        _ => Ok(()),
    }
}

fn is_s3(url: &Content) -> bool {
    url.expose().starts_with("s3://")
}

fn image_format(media_type: &str) -> Option<&'static str> {
    match media_type {
        "image/png" => Some("png"),
        "image/jpeg" | "image/jpg" => Some("jpeg"),
        "image/gif" => Some("gif"),
        "image/webp" => Some("webp"),
        _ => None,
    }
}

fn document_format(media_type: &str) -> Option<&'static str> {
    let plain = media_type.split(';').next().unwrap_or_default().trim();
    DOCUMENTS.iter().find(|(_, known)| *known == plain).map(|(format, _)| *format)
}

fn url_format(media_type: Option<&str>, url: &Content) -> Option<&'static str> {
    media_type.and_then(document_format).or_else(|| {
        let (_, extension) = url.expose().rsplit_once('.')?;
        DOCUMENTS.iter().find(|(format, _)| *format == extension).map(|(format, _)| *format)
    })
}

/// Writes blocks; remembers the names of documents, which must differ.
pub(super) struct Blocks {
    family: Family,
    names: Vec<String>,
}

impl Blocks {
    pub(super) fn new(family: Family) -> Self {
        Self { family, names: Vec::new() }
    }

    /// The blocks of one turn. Blank texts, which the target refuses, are left out.
    pub(super) fn write(&mut self, json: &mut Writer, parts: &[&Part]) {
        for part in parts.iter().filter(|part| !is_blank(part)) {
            let marker = self.block(json, part);
            if let Some(marker) = marker.filter(|_| self.family.caches()) {
                write_cache_point(json, marker);
            }
        }
    }

    fn block<'p>(&mut self, json: &mut Writer, part: &'p Part) -> Option<&'p Json> {
        match part {
            Part::Text { text, cache } => {
                json.object(|json| json.key("text").text(text.expose()).done());
                cache.as_ref()
            }
            Part::Image { image, cache } => {
                write_image(json, image);
                cache.as_ref()
            }
            Part::File { media_type, data, name, cache } => {
                let format = document_format(media_type).unwrap_or("txt");
                self.document(json, format, name.as_ref(), |json| {
                    json.key("bytes").text(data.expose()).done()
                });
                cache.as_ref()
            }
            Part::FileUrl { media_type, url, name, cache } => {
                let format = url_format(media_type.as_deref(), url).unwrap_or("txt");
                self.document(json, format, name.as_ref(), |json| write_s3(json, url));
                cache.as_ref()
            }
            Part::ToolUse { id, name, input, cache } => {
                write_tool_use(json, id, name, input);
                cache.as_ref()
            }
            Part::ToolResult { id, parts, is_error, cache } => {
                json.object(|json| {
                    json.key("toolResult").object(|json| {
                        json.key("toolUseId").text(id);
                        // Markers inside of results have no place; the one on the result has.
                        json.key("content").array(|json| {
                            for part in parts.iter().filter(|part| !is_blank(part)) {
                                self.block(json, part);
                            }
                        });
                        if *is_error {
                            json.key("status").text("error");
                        }
                    });
                });
                cache.as_ref()
            }
            Part::Thinking { text, signature } => {
                write_thinking(json, text, signature::by(signature::ANTHROPIC, signature.as_ref()));
                None
            }
            Part::RedactedThinking { data } => {
                write_redacted(json, data);
                None
            }
        }
    }

    fn document(
        &mut self,
        json: &mut Writer,
        format: &str,
        name: Option<&Content>,
        source: impl FnOnce(&mut Writer),
    ) {
        let name = self.name(name.map_or("", Content::expose), format);
        json.object(|json| {
            json.key("document").object(|json| {
                json.key("format").text(format).key("name").text(&name).key("source").object(source);
            });
        });
    }

    /// A name of the few characters that are allowed, without the extension, and not used before.
    fn name(&mut self, name: &str, format: &str) -> String {
        let stem = name.strip_suffix(format).and_then(|stem| stem.strip_suffix('.')).unwrap_or(name);
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '(' | ')' | '[' | ']');
        let mut plain = String::new();
        for word in stem.split_whitespace() {
            if !plain.is_empty() {
                plain.push(' ');
            }
            plain.extend(word.chars().map(|c| if allowed(c) { c } else { '-' }));
        }
        plain.truncate(NAME - 16);
        if plain.trim().is_empty() {
            "document".clone_into(&mut plain);
        }
        let mut unique = plain.clone();
        let mut number = 1;
        while self.names.contains(&unique) {
            number += 1;
            unique = format!("{plain} {number}");
        }
        self.names.push(unique.clone());
        unique
    }
}

fn write_image(json: &mut Writer, image: &Image) {
    json.object(|json| {
        json.key("image").object(|json| match image {
            Image::Base64 { media_type, data } => {
                json.key("format").text(image_format(media_type).unwrap_or("png"));
                json.key("source").object(|json| json.key("bytes").text(data.expose()).done());
            }
            Image::Url(url) => {
                let extension = url.expose().rsplit_once('.').map_or("", |(_, extension)| extension);
                let format = match extension {
                    "jpg" | "jpeg" => "jpeg",
                    "gif" => "gif",
                    "webp" => "webp",
                    _ => "png",
                };
                json.key("format").text(format).key("source").object(|json| write_s3(json, url));
            }
        });
    });
}

fn write_s3(json: &mut Writer, url: &Content) {
    json.key("s3Location").object(|json| json.key("uri").text(url.expose()).done());
}

/// A marker of Anthropic's as a cache point.
pub(super) fn write_cache_point(json: &mut Writer, marker: &Json) {
    let marker = Value::parse(marker.as_ref()).ok();
    let ttl = marker.and_then(|marker| marker.get("ttl")).and_then(|ttl| ttl.text());
    json.object(|json| {
        json.key("cachePoint").object(|json| {
            json.key("type").text("default");
            if let Some(ttl) = ttl {
                json.key("ttl").text(&ttl);
            }
        });
    });
}
