//! Gemini's own schema: a piece of OpenAPI, with names of types in capitals.

use serde_json::{Map, Value};

use super::message::Message;
use crate::ask::Invalid;

const KNOWN: &[&str] = &[
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "items",
    "maxItems",
    "minItems",
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "anyOf",
    "propertyOrdering",
    "default",
    "additionalProperties",
    "ref",
    "defs",
];
const TYPES: &[&str] = &["STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"];

/// Refuses what the service does not know.
pub(super) fn check(value: &Value, at: &str) -> Result<(), Invalid> {
    let schema = Message::read(value, KNOWN, at)?;
    if let Some(kind) = schema.text("type")?
        && !TYPES.contains(&kind.to_ascii_uppercase().as_str())
    {
        return Err(Invalid::new(format!("Invalid value at '{at}.type', \"{kind}\""), at));
    }
    for (name, part) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        check(part, &format!("{at}.properties[{name}]"))?;
    }
    if let Some(items) = schema.get("items") {
        check(items, &format!("{at}.items"))?;
    }
    schema.each("anyOf")?.into_iter().try_for_each(|(part, at)| check(part, &at))
}

/// The same as JSON schema, as far as an answer needs it.
pub(super) fn lowered(value: &Value) -> Value {
    let Some(object) = value.as_object() else { return value.clone() };
    let lower = |(key, value): (&String, &Value)| {
        let value = match (key.as_str(), value) {
            ("type", Value::String(kind)) => kind.to_ascii_lowercase().into(),
            ("properties", Value::Object(parts)) => {
                parts.iter().map(|(name, part)| (name.clone(), lowered(part))).collect::<Map<_, _>>().into()
            }
            ("items", part) => lowered(part),
            ("anyOf" | "any_of", Value::Array(parts)) => parts.iter().map(lowered).collect(),
            (_, value) => value.clone(),
        };
        (if key == "any_of" { "anyOf".to_owned() } else { key.clone() }, value)
    };
    object.iter().map(lower).collect::<Map<_, _>>().into()
}
