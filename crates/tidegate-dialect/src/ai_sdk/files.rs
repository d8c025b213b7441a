//! Files in the prompt, in the forms of all versions: addresses, `data:` addresses, base64 texts, tagged
//! data, and bytes as JSON writes them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::canonical::{Image, Json, Part};
use crate::decode::{need_text, refuse};
use crate::json::{Kind, Value};
use crate::read::{Fields, Path, text, wrong};
use crate::{Content, RequestError};

/// A file's data.
enum Data {
    Base64(String),
    Url(String),
    Text(String),
}

/// What is said about a file beside its data.
pub(super) struct About {
    /// May be a top-level type only, `image` or `image/*`.
    pub(super) media_type: Option<String>,
    pub(super) name: Option<Content>,
    pub(super) cache: Option<Json>,
}

/// The part that a file is.
pub(super) fn decode(data: &Value<'_>, mut about: About, path: Path<'_>) -> Result<Part, RequestError> {
    let data = match data.kind() {
        Kind::Text => of_text(&text(data, path)?, &mut about, path)?,
        Kind::Object => of_object(data, &mut about, path)?,
        _ => return Err(wrong(path, "a text, or an object with the file's data")),
    };
    let About { media_type, name, cache } = about;
    let media_type = media_type.unwrap_or_default();
    let image = media_type == "image" || media_type.starts_with("image/");
    Ok(match data {
        Data::Text(text) => Part::Text { text: text.into(), cache },
        Data::Url(url) if image => Part::Image { image: Image::Url(url.into()), cache },
        Data::Url(url) => {
            let media_type = Some(media_type).filter(|kind| kind.contains('/') && !kind.ends_with("/*"));
            Part::FileUrl { media_type, url: url.into(), name, cache }
        }
        Data::Base64(data) if image => {
            let media_type = exact(media_type, &data);
            Part::Image { image: Image::Base64 { media_type, data: data.into() }, cache }
        }
        Data::Base64(data) if media_type.contains('/') => {
            Part::File { media_type, data: data.into(), name, cache }
        }
        Data::Base64(_) => return Err(refuse(path, "its mediaType must be told")),
    })
}

/// An image's type; where only `image` is told, by the first bytes.
fn exact(media_type: String, base64: &str) -> String {
    const STARTS: [(&str, &str); 3] =
        [("iVBORw0KGgo", "image/png"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp")];
    if media_type.starts_with("image/") && media_type != "image/*" {
        return media_type;
    }
    let known = STARTS.iter().find(|(start, _)| base64.starts_with(start));
    known.map_or("image/jpeg", |(_, kind)| kind).to_owned()
}

fn of_text(data: &str, about: &mut About, path: Path<'_>) -> Result<Data, RequestError> {
    if let Some(rest) = data.strip_prefix("data:") {
        let (media_type, data) = rest
            .split_once(";base64,")
            .ok_or_else(|| wrong(path, "an address, base64, or data:<type>;base64,<data>"))?;
        let vague = |kind: &String| !kind.contains('/') || kind.ends_with("/*");
        if about.media_type.as_ref().is_none_or(vague) && media_type.contains('/') {
            about.media_type = Some(media_type.to_owned());
        }
        return Ok(Data::Base64(data.to_owned()));
    }
    let address = ["http://", "https://", "gs://", "s3://"].iter().any(|scheme| data.starts_with(scheme));
    Ok(if address { Data::Url(data.to_owned()) } else { Data::Base64(data.to_owned()) })
}

fn of_object(data: &Value<'_>, about: &mut About, path: Path<'_>) -> Result<Data, RequestError> {
    let mut fields = Fields::read(data, path)?;
    if fields.get("type").is_none() {
        // What JSON makes of an array of bytes.
        return bytes(data.members().map(|member| member.value), path);
    }
    match need_text(&mut fields, "type", path)?.as_str() {
        "data" => match fields.get("data") {
            Some(inner) if inner.kind() == Kind::Object => of_object(&inner, about, path.key("data")),
            _ => of_text(&need_text(&mut fields, "data", path)?, about, path.key("data")),
        },
        "url" => of_text(&need_text(&mut fields, "url", path)?, about, path.key("url")),
        "text" => Ok(Data::Text(need_text(&mut fields, "text", path)?)),
        "Buffer" => {
            let inner = fields.get("data").ok_or_else(|| wrong(path.key("data"), "an array of bytes"))?;
            bytes(inner.elements(), path.key("data"))
        }
        "reference" => Err(refuse(path.key("type"), "files kept by a provider cannot be carried over")),
        _ => Err(wrong(path.key("type"), "data, url or text")),
    }
}

fn bytes<'a>(values: impl Iterator<Item = Value<'a>>, path: Path<'_>) -> Result<Data, RequestError> {
    let bytes: Option<Vec<u8>> =
        values.map(|value| value.whole().and_then(|byte| u8::try_from(byte).ok())).collect();
    let bytes = bytes.filter(|bytes| !bytes.is_empty()).ok_or_else(|| wrong(path, "the bytes of a file"))?;
    Ok(Data::Base64(STANDARD.encode(bytes)))
}
