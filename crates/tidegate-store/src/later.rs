//! What a later release wrote and this one does not know: it must not be lost by writing over it.
//!
//! Nothing of the kind is: settings that are absent, null or empty say nothing that could be lost.

use serde_json::Value;
use tidegate_types::resource::{Resource, unknown_features};

use crate::convert::{from_json, to_json};
use crate::{Result, StoreError};

/// Reads a stored resource. Each release stores nothing that it cannot read: what cannot be read, a later one wrote.
///
/// # Errors
/// [`StoreError::Later`] naming the kind.
pub(crate) fn read(content: Value) -> Result<Resource> {
    let kind = content.get("resource").and_then(Value::as_str).unwrap_or("resource");
    let what = format!("a value of this {}", kind.replace('_', " "));
    from_json(content, "resource").map_err(|_| StoreError::Later(what))
}

/// Refuses where writing the document over would lose something.
///
/// # Errors
/// [`StoreError::Later`] naming what.
pub(crate) fn refuse(content: &Value, requires: Option<&[String]>) -> Result<()> {
    if let Some(feature) = requires.into_iter().flat_map(unknown_features).next() {
        return Err(StoreError::Later(feature.to_owned()));
    }
    let resource = read(content.clone())?;
    match lost(content, &to_json(&resource, "resource")?, "") {
        Some(field) => Err(StoreError::Later(field)),
        None => Ok(()),
    }
}

/// The first field of `stored` that is not in `again`, by its path. Names of fields only, never values.
fn lost(stored: &Value, again: &Value, path: &str) -> Option<String> {
    match (stored, again) {
        (Value::Object(stored), Value::Object(again)) => stored.iter().find_map(|(name, value)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            match again.get(name) {
                Some(again) => lost(value, again, &path),
                None => (!is_nothing(value)).then_some(path),
            }
        }),
        (Value::Array(stored), Value::Array(again)) => {
            stored.iter().zip(again).find_map(|(stored, again)| lost(stored, again, path))
        }
        _ => None,
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_nothing),
        // `false` and 0 may be what somebody asked for.
        Value::Bool(_) | Value::Number(_) => false,
    }
}
