//! Checks of single fields of `providerOptions.gateway`: words, ranges, shapes. Keeps no secret.

use super::place::{Fields, Path, texts, whole, wrong};
use crate::json::Value;
use crate::{Content, RequestError};

/// One of these words.
pub(super) fn word(
    value: &Value<'_>,
    path: Path<'_>,
    words: &[&str],
    expected: &'static str,
) -> Result<String, RequestError> {
    let word = value.text().filter(|word| words.contains(&&**word));
    word.map(std::borrow::Cow::into_owned).ok_or_else(|| wrong(path, expected))
}

/// By what providers are ranked.
pub(super) fn sort(value: &Value<'_>, path: Path<'_>) -> Result<String, RequestError> {
    word(value, path, &["cost", "ttft", "tps"], "cost, ttft or tps")
}

/// What a model can be asked to be able to do: the tags that the list of models gives it.
const CAPABILITIES: [&str; 4] = ["tool-use", "vision", "reasoning", "structured-output"];

/// Names of capabilities.
pub(super) fn capabilities(value: &Value<'_>, path: Path<'_>) -> Result<Vec<String>, RequestError> {
    let asked = texts(value, path)?;
    let known = asked.iter().all(|name| CAPABILITIES.contains(&&**name));
    known.then_some(asked).ok_or_else(|| wrong(path, "tool-use, vision, reasoning or structured-output"))
}

/// Most fallbacks of a request.
const MAX_MODELS: usize = 16;

/// Names of models to fall back on.
pub(super) fn models(value: &Value<'_>, path: Path<'_>) -> Result<Vec<String>, RequestError> {
    let names = texts(value, path)?;
    let few = names.len() <= MAX_MODELS;
    few.then_some(names).ok_or_else(|| wrong(path, "an array of 16 models at most"))
}

/// A text that is not empty and has at most so many characters.
pub(super) fn bounded(
    value: &Value<'_>,
    path: Path<'_>,
    most: usize,
    expected: &'static str,
) -> Result<Content, RequestError> {
    let text = value.text().filter(|text| !text.is_empty() && text.chars().count() <= most);
    text.map(Content::new).ok_or_else(|| wrong(path, expected))
}

/// Country codes: all plain, or all excluded.
pub(super) fn countries(value: &Value<'_>, path: Path<'_>) -> Result<Vec<String>, RequestError> {
    const EXPECTED: &str = "ISO country codes, all plain (\"US\") or all excluded (\"!CN\")";
    let codes = texts(value, path)?;
    let fits = |code: &String| {
        let code = code.strip_prefix('!').unwrap_or(code);
        code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase())
    };
    let excluded = codes.iter().filter(|code| code.starts_with('!')).count();
    if !codes.iter().all(fits) || (excluded != 0 && excluded != codes.len()) {
        return Err(wrong(path, EXPECTED));
    }
    Ok(codes)
}

/// `{byok: {provider: milliseconds}}`.
pub(super) fn timeouts(value: &Value<'_>, path: Path<'_>) -> Result<Vec<(String, u64)>, RequestError> {
    let mut found = Vec::new();
    for member in Fields::read(value, path)?.iter() {
        let path = path.key(&member.key);
        if member.key != "byok" {
            return Err(wrong(path, "absent; only byok has time-outs"));
        }
        for member in Fields::read(&member.value, path)?.iter() {
            let path = path.key(&member.key);
            let ms = whole(&member.value, path).ok().filter(|ms| (1_000..=789_000).contains(ms));
            let ms = ms.ok_or_else(|| wrong(path, "milliseconds from 1000 to 789000"))?;
            found.push((member.key.clone().into_owned(), ms));
        }
    }
    Ok(found)
}

/// `{scope, geoRegion, providers}`: where the model must run (`us` or `eu`), unless the scope is `global`.
/// What it says of single providers' own regions cannot be had: their credentials name them.
pub(super) fn region(value: &Value<'_>, path: Path<'_>) -> Result<Option<String>, RequestError> {
    let (mut area, mut global) = (None, false);
    for member in Fields::read(value, path)?.iter().filter(|member| !member.value.is_null()) {
        let (value, path) = (&member.value, path.key(&member.key));
        match &*member.key {
            "scope" => global = word(value, path, &["zone", "global"], "zone or global")? == "global",
            "geoRegion" => area = Some(word(value, path, &["us", "eu"], "us or eu")?),
            "providers" if Fields::read(value, path)?.iter().next().is_none() => {}
            "providers" => return Err(wrong(path, "absent; a credential names its region")),
            _ => return Err(wrong(path, "absent; only scope, geoRegion and providers are known")),
        }
    }
    if area.is_none() && !global {
        return Err(wrong(path.key("geoRegion"), "us or eu"));
    }
    Ok(area.filter(|_| !global))
}
