//! Gemini's own schema, a piece of OpenAPI 3.0, as JSON schema. Source: the reference of `Schema`.

use super::names::{camel, each, read};
use crate::RequestError;
use crate::canonical::Json;
use crate::decode::{UNKNOWN, refuse};
use crate::json::{Kind, Value, Writer};
use crate::read::{Fields, Path, text, wrong};

/// The JSON schema that says the same.
pub(super) fn to_json_schema(value: &Value<'_>, path: Path<'_>) -> Result<Json, RequestError> {
    let mut json = Writer::new();
    schema(&mut json, value, path)?;
    Ok(Json::of_valid(json.into_bytes()))
}

fn schema(json: &mut Writer, value: &Value<'_>, path: Path<'_>) -> Result<(), RequestError> {
    let fields = read(value, path)?;
    let nullable = super::names::get(&fields, "nullable").and_then(|value| value.bool()) == Some(true);
    let mut result = Ok(());
    json.object(|json| {
        result = fields.iter().filter(|member| !member.value.is_null()).try_for_each(|member| {
            keyword(json, &camel(&member.key), &member.value, nullable, path.key(&member.key))
        });
    });
    result
}

fn keyword(
    json: &mut Writer,
    key: &str,
    value: &Value<'_>,
    nullable: bool,
    path: Path<'_>,
) -> Result<(), RequestError> {
    match key {
        "type" => {
            let kind = text(value, path)?.to_ascii_lowercase();
            match (&*kind, nullable) {
                ("type_unspecified", _) => {}
                (kind, false) => json.key("type").text(kind).done(),
                (kind, true) => json.key("type").array(|json| json.text(kind).text("null").done()).done(),
            }
        }
        // An order of keys, and Gemini's way to say that there is a list of values.
        "nullable" | "propertyOrdering" => {}
        "format" if value.raw() == br#""enum""# => {}
        "enum" if nullable => {
            json.key("enum").array(|json| {
                value.elements().for_each(|value| json.raw(value.raw()).done());
                json.null();
            });
        }
        "properties" | "defs" => {
            let mut result = Ok(());
            json.key(if key == "defs" { "$defs" } else { key }).object(|json| {
                result = Fields::read(value, path).and_then(|fields| {
                    fields.iter().try_for_each(|member| {
                        json.key(&member.key);
                        schema(json, &member.value, path.key(&member.key))
                    })
                });
            });
            result?;
        }
        "items" => schema(json.key("items"), value, path)?,
        "additionalProperties" if value.kind() == Kind::Object => {
            schema(json.key("additionalProperties"), value, path)?;
        }
        "anyOf" => {
            let mut result = Ok(());
            json.key("anyOf")
                .array(|json| result = each(value, path, |value, path| schema(json, &value, path)));
            result?;
        }
        "ref" => json.key("$ref").raw(value.raw()).done(),
        "example" => json.key("examples").array(|json| json.raw(value.raw()).done()).done(),
        // Whole numbers of 64 bits may be written as strings.
        "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties" => {
            let number = match value.text() {
                Some(text) => text.parse().ok(),
                None => value.whole(),
            };
            let number: u64 = number.ok_or_else(|| wrong(path, "a whole number, not negative"))?;
            json.key(key).whole(number);
        }
        "additionalProperties"
        | "title"
        | "description"
        | "format"
        | "enum"
        | "required"
        | "minimum"
        | "maximum"
        | "pattern"
        | "default" => json.key(key).raw(value.raw()).done(),
        _ => return Err(refuse(path, UNKNOWN)),
    }
    Ok(())
}
