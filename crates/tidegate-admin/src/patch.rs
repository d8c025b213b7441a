//! JSON merge patch (RFC 7396): the patch is laid over the changeable part of a resource, and
//! the result is read like a fresh one, so that a field is checked the same way in both.

use axum::extract::{FromRequest, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::body::{self, Json};
use crate::problem::Problem;

/// A merge patch as sent: an object.
#[derive(Debug, Clone)]
pub(crate) struct MergePatch(Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for MergePatch {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Json::<Map<String, Value>>::from_request(request, state).await.map(|Json(map)| Self(map))
    }
}

impl MergePatch {
    /// The changeable part as it is after this patch.
    pub(crate) fn apply<T: Serialize + DeserializeOwned>(&self, current: &T) -> Result<T, Problem> {
        let mut target = serde_json::to_value(current).map_err(|_| Problem::internal())?;
        merge(&mut target, &self.0);
        serde_path_to_error::deserialize(target).map_err(|error| {
            let path = error.path().to_string();
            body::refuse(&path, error.inner())
        })
    }

    /// Takes out a field that has a handling of its own (a new secret).
    pub(crate) fn take<T: DeserializeOwned>(&mut self, field: &'static str) -> Result<Option<T>, Problem> {
        let Some(value) = self.0.remove(field) else { return Ok(None) };
        serde_path_to_error::deserialize(value).map(Some).map_err(|error| {
            let path = match error.path().to_string().as_str() {
                "." => field.to_owned(),
                inner => format!("{field}.{inner}"),
            };
            body::refuse(&path, error.inner())
        })
    }
}

fn merge(target: &mut Value, patch: &Map<String, Value>) {
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (name, change) in patch {
        match change {
            Value::Null => {
                fields.remove(name);
            }
            Value::Object(inner) => merge(fields.entry(name.clone()).or_insert(Value::Null), inner),
            other => {
                fields.insert(name.clone(), other.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_patch_follows_the_examples_of_the_rfc() {
        let cases = [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":"foo"}), json!({"b":{"c":{"d":null}}}), json!({"a":"foo","b":{"c":{}}})),
        ];
        for (target, patch, expected) in cases {
            let Value::Object(patch) = patch else { continue };
            assert_eq!(MergePatch(patch).apply::<Value>(&target).unwrap(), expected);
        }
    }
}
