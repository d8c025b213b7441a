//! Makes a JSON value that satisfies a schema, for tool arguments and structured output.

use serde_json::{Map, Value, json};

/// A value for `schema`; `hint` fills free texts.
pub(crate) fn value(schema: &Value, hint: &str) -> Value {
    build(schema, schema, hint, 0)
}

fn build(root: &Value, schema: &Value, hint: &str, depth: usize) -> Value {
    if depth > 12 {
        return Value::Null;
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let found = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return found.map_or(Value::Null, |schema| build(root, schema, hint, depth + 1));
    }
    if let Some(fixed) = schema.get("const") {
        return fixed.clone();
    }
    if let Some(first) = schema.get("enum").and_then(Value::as_array).and_then(|values| values.first()) {
        return first.clone();
    }
    for union in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema.get(union).and_then(Value::as_array).and_then(|all| all.first()) {
            return build(root, first, hint, depth + 1);
        }
    }
    typed(root, schema, hint, depth)
}

fn typed(root: &Value, schema: &Value, hint: &str, depth: usize) -> Value {
    let name = match schema.get("type") {
        Some(Value::String(name)) => name.as_str(),
        Some(Value::Array(names)) => names.first().and_then(Value::as_str).unwrap_or("null"),
        _ if schema.get("properties").is_some() => "object",
        _ => "string",
    };
    match name {
        "object" => {
            let none = Map::new();
            let members = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
            members.iter().map(|(key, part)| (key.clone(), build(root, part, hint, depth + 1))).collect()
        }
        "array" => {
            let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(1, 16);
            let item = schema.get("items").map_or(Value::Null, |part| build(root, part, hint, depth + 1));
            Value::Array((0..least).map(|_| item.clone()).collect())
        }
        "integer" => {
            schema.get("minimum").filter(|least| least.is_i64()).cloned().unwrap_or_else(|| json!(7))
        }
        "number" => schema.get("minimum").cloned().unwrap_or_else(|| json!(7.5)),
        "boolean" => json!(true),
        "null" => Value::Null,
        _ => json!(hint.chars().take(24).collect::<String>()),
    }
}
