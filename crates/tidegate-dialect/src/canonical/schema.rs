//! JSON schemas of structured output, as providers with strict ones take them: every object closed,
//! every member required. Looks at the schema's own keywords only.

use std::collections::HashSet;

use crate::json::{Kind, Value, Writer};

/// Keywords whose value is a schema, an array of schemas, or an object of schemas.
const SCHEMA: &[&str] = &["items", "not", "if", "then", "else", "contains", "additionalProperties"];
const ARRAYS: &[&str] = &["anyOf", "oneOf", "allOf", "prefixItems"];
const OBJECTS: &[&str] = &["properties", "$defs", "definitions", "patternProperties"];

/// Whether every object in it is closed and requires all of its members.
pub(crate) fn is_strict(schema: &Value<'_>) -> bool {
    let mut strict = true;
    if describes_object(schema) {
        let closed = schema.get("additionalProperties").and_then(|value| value.bool()) == Some(false);
        let names = schema.get("required");
        let required: HashSet<_> =
            names.iter().flat_map(Value::elements).filter_map(|name| name.text()).collect();
        let members = schema.get("properties");
        strict =
            closed && members.is_none_or(|members| members.members().all(|one| required.contains(&one.key)));
    }
    strict && each(schema).all(|inner| is_strict(&inner))
}

/// Writes it with every object closed that does not say whether it is; as it came when all of them say so.
pub(crate) fn write_closed(json: &mut Writer, schema: &Value<'_>) {
    if says_all(schema) { json.raw(schema.raw()).done() } else { close(json, schema) }
}

fn says_all(schema: &Value<'_>) -> bool {
    let says = !describes_object(schema) || schema.get("additionalProperties").is_some();
    says && each(schema).all(|inner| says_all(&inner))
}

fn close(json: &mut Writer, schema: &Value<'_>) {
    if schema.kind() != Kind::Object {
        json.raw(schema.raw());
        return;
    }
    json.object(|json| {
        for member in schema.members() {
            let value = &member.value;
            json.key(&member.key);
            match (&*member.key, value.kind()) {
                (key, Kind::Object) if SCHEMA.contains(&key) => close(json, value),
                (key, Kind::Array) if ARRAYS.contains(&key) || key == "items" => {
                    json.array(|json| value.elements().for_each(|inner| close(json, &inner)));
                }
                (key, Kind::Object) if OBJECTS.contains(&key) => {
                    json.object(|json| {
                        value.members().for_each(|inner| close(json.key(&inner.key), &inner.value));
                    });
                }
                _ => json.raw(value.raw()).done(),
            }
        }
        if describes_object(schema) && schema.get("additionalProperties").is_none() {
            json.key("additionalProperties").bool(false);
        }
    });
}

fn describes_object(schema: &Value<'_>) -> bool {
    let object = |value: &Value<'_>| value.text().as_deref() == Some("object");
    schema.get("type").is_some_and(|kind| object(&kind) || kind.elements().any(|kind| object(&kind)))
        || schema.get("properties").is_some()
}

/// The schemas right inside of it.
fn each<'a>(schema: &Value<'a>) -> impl Iterator<Item = Value<'a>> + use<'a> {
    schema.members().flat_map(|member| {
        let value = member.value;
        let mut inner: Vec<Value<'a>> = Vec::new();
        match (&*member.key, value.kind()) {
            (key, Kind::Object) if SCHEMA.contains(&key) => inner.push(value),
            (key, Kind::Array) if ARRAYS.contains(&key) || key == "items" => inner.extend(value.elements()),
            (key, Kind::Object) if OBJECTS.contains(&key) => {
                inner.extend(value.members().map(|member| member.value));
            }
            _ => {}
        }
        inner
    })
}
