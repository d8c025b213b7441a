//! What providers demand of a schema that an answer must follow strictly.

use serde_json::Value;

/// Path of the first object that admits undeclared members, or (where `all` are required)
/// leaves declared ones optional; `None` when there is no such object.
pub(crate) fn first_open_object(schema: &Value, all: bool) -> Option<String> {
    search(schema, all, "")
}

fn search(schema: &Value, all: bool, at: &str) -> Option<String> {
    let object = schema.as_object()?;
    if object.get("type").is_some_and(|kind| kind == "object") {
        let closed = object.get("additionalProperties") == Some(&Value::Bool(false));
        if !closed || (all && !requires_all(schema)) {
            return Some(if at.is_empty() { "/".to_owned() } else { at.to_owned() });
        }
    }
    for (key, value) in object {
        let path = format!("{at}/{key}");
        let found = match (key.as_str(), value) {
            ("properties" | "$defs" | "definitions", Value::Object(members)) => {
                members.iter().find_map(|(name, part)| search(part, all, &format!("{path}/{name}")))
            }
            ("anyOf" | "allOf" | "oneOf", Value::Array(parts)) => {
                parts.iter().find_map(|part| search(part, all, &path))
            }
            ("items", part) => search(part, all, &path),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

fn requires_all(schema: &Value) -> bool {
    let declared = schema.get("properties").and_then(Value::as_object);
    let required = schema.get("required").and_then(Value::as_array);
    declared.into_iter().flatten().all(|(name, _)| {
        required.is_some_and(|required| required.iter().any(|entry| entry.as_str() == Some(name)))
    })
}

/// Whether a tool's name is one that providers take.
pub(crate) fn is_tool_name(name: &str, longest: usize) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !name.is_empty() && name.len() <= longest && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn open_objects_are_found_wherever_they_are() {
        let leaf =
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
        assert_eq!(first_open_object(&leaf, false), None);
        assert_eq!(first_open_object(&leaf, true).as_deref(), Some("/"));
        let nested = json!({"type": "object", "additionalProperties": false, "required": ["b"], "properties": {
            "b": {"type": "array", "items": {"anyOf": [{"type": "null"}, {"type": "object"}]}}}});
        assert_eq!(first_open_object(&nested, true).as_deref(), Some("/properties/b/items/anyOf"));
    }
}
