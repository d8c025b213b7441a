//! Members of Gemini's messages: protobuf's JSON takes `maxOutputTokens` and `max_output_tokens` for the
//! same field, so both are found by the first name, and both at once are a duplicate.

use std::borrow::Cow;

use crate::canonical::Json;
use crate::json::{Kind, Value};
use crate::read::{Fields, Path, array};
use crate::registry::{Carriage, Field};
use crate::{RequestError, decode};

/// The camel case name of a key.
pub(super) fn camel<'k>(key: &'k str) -> Cow<'k, str> {
    if !key.contains('_') || key.starts_with('_') {
        return Cow::Borrowed(key);
    }
    let mut out = String::with_capacity(key.len());
    let mut raise = false;
    for c in key.chars() {
        match c {
            '_' => raise = true,
            c if raise => {
                out.push(c.to_ascii_uppercase());
                raise = false;
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The members of the message at `path`, each there once whatever its spelling.
pub(super) fn read<'a>(value: &Value<'a>, path: Path<'_>) -> Result<Fields<'a>, RequestError> {
    let fields = Fields::read(value, path)?;
    once(&fields, path)?;
    Ok(fields)
}

/// No field is there in two spellings.
pub(super) fn once(fields: &Fields<'_>, path: Path<'_>) -> Result<(), RequestError> {
    if !fields.iter().any(|member| member.key.contains('_')) {
        return Ok(());
    }
    let mut names: Vec<_> = fields.iter().map(|member| camel(&member.key)).collect();
    names.sort_unstable();
    let twice = names.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some(a),
        _ => None,
    });
    match twice {
        Some(name) => Err(RequestError::Duplicate { path: path.key(name).to_string() }),
        None => Ok(()),
    }
}

/// The value of a field, unless it is absent or null.
pub(super) fn get<'a>(fields: &Fields<'a>, name: &str) -> Option<Value<'a>> {
    let found = fields.iter().find(|member| camel(&member.key) == name)?;
    (!found.value.is_null()).then_some(found.value)
}

/// Takes the value of a field out; `None` when it is absent or null.
pub(super) fn take<'a>(fields: &mut Fields<'a>, name: &str) -> Option<Value<'a>> {
    let key = fields.iter().find(|member| camel(&member.key) == name)?.key.clone();
    fields.take(&key)
}

/// A field that must be there.
pub(super) fn need<'a>(
    fields: &mut Fields<'a>,
    name: &str,
    path: Path<'_>,
) -> Result<Value<'a>, RequestError> {
    take(fields, name).ok_or_else(|| RequestError::Missing { path: path.key(name).to_string() })
}

/// A string that must be there.
pub(super) fn need_text(fields: &mut Fields<'_>, name: &str, path: Path<'_>) -> Result<String, RequestError> {
    crate::read::text(&need(fields, name, path)?, path.key(name)).map(Cow::into_owned)
}

/// A string.
pub(super) fn text(
    fields: &mut Fields<'_>,
    name: &str,
    path: Path<'_>,
) -> Result<Option<String>, RequestError> {
    take(fields, name).map(|value| crate::read::text(&value, path.key(name)).map(Cow::into_owned)).transpose()
}

/// A whole number, which protobuf's JSON also takes as a string (<https://protobuf.dev/programming-guides/json/>).
pub(super) fn whole(value: &Value<'_>) -> Option<u64> {
    let text = || value.text().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    value.whole().or_else(|| text()?.parse().ok())
}

/// A number as JSON has it, whether it came as one or as a string of one.
pub(super) fn number(value: &Value<'_>) -> Option<Json> {
    if value.kind() == Kind::Number {
        return Some(Json::from(value));
    }
    let text = value.text()?;
    let inside = Value::parse(text.as_bytes()).ok().filter(|inside| inside.kind() == Kind::Number)?;
    Some(Json::from(&inside))
}

/// A repeated field: an array, or its only element.
pub(super) fn each<'a>(
    value: &Value<'a>,
    path: Path<'_>,
    mut take: impl FnMut(Value<'a>, Path<'_>) -> Result<(), RequestError>,
) -> Result<(), RequestError> {
    if value.kind() == Kind::Object { take(*value, path) } else { array(value, path, take) }
}

/// Accounts for the members that were not taken. `pattern` is the path with `[]`, in camel case.
pub(super) fn rest_of(pattern: &str, path: Path<'_>, fields: &Fields<'_>) -> Result<(), RequestError> {
    for member in fields.iter().filter(|member| !member.value.is_null()) {
        let name = camel(&member.key);
        let path = path.key(&member.key);
        let same = |field: &&Field| {
            let rest = field.name.strip_prefix(pattern).and_then(|rest| rest.strip_prefix('.'));
            rest == Some(&*name)
        };
        match crate::registry::gemini::NESTED.iter().find(same) {
            Some(field) if field.harmless.contains(&member.value.raw()) => {}
            Some(Field { carriage: Carriage::Refused(why), .. }) => return Err(decode::refuse(path, why)),
            Some(_) => {}
            None => return Err(decode::refuse(path, decode::UNKNOWN)),
        }
    }
    Ok(())
}
