//! The OpenAPI 3.1 document: made from the same registrations as the router, then completed
//! with what every operation has in common (security, refusals, headers, merge patches).

use serde_json::{Map, Value, json};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

use crate::capability::{Noun, Reach};
use crate::problem::{FieldError, ProblemBody};

/// Endpoints that need no token.
pub const PUBLIC: [(&str, &str); 4] = [
    ("post", "/api/v1/sessions"),
    ("post", "/api/v1/sessions/link"),
    ("get", "/api/v1/fleet/trust-roots"),
    ("get", "/api/v1/openapi.json"),
];

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Tidegate management API",
        version = "1",
        description = "Organizations, teams, virtual keys, credentials, catalogue, budgets, policies, routes, usage.\n\nThe organization comes from the token; platform tokens add `?organization=`. Bodies have at most 1 MiB, requests take at most 60 seconds. Times are RFC 3339, money is a decimal string in USD. Refusals are `application/problem+json` with a stable `code`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(ProblemBody, FieldError))
)]
struct Base;

/// The document before any endpoint is registered.
pub(crate) fn base() -> OpenApi {
    Base::openapi()
}

/// The whole document.
pub(crate) fn complete(registered: &OpenApi) -> Value {
    let mut document = serde_json::to_value(registered).unwrap_or_default();
    let mut patches = Vec::new();
    if let Some(Value::Object(paths)) = document.get_mut("paths") {
        for (path, item) in paths.iter_mut() {
            let Value::Object(operations) = item else { continue };
            for (method, operation) in operations.iter_mut() {
                let Value::Object(operation) = operation else { continue };
                patches.extend(complete_operation(path, method, operation));
            }
        }
    }
    if let Some(Value::Object(components)) = document.get_mut("components") {
        components.insert("securitySchemes".to_owned(), security_schemes());
        if let Some(Value::Object(schemas)) = components.get_mut("schemas") {
            for name in patches {
                let Some(mut schema) = schemas.get(&name).cloned() else { continue };
                if let Value::Object(fields) = &mut schema {
                    fields.remove("required");
                    fields.insert(
                        "description".to_owned(),
                        json!("Merge patch (RFC 7396): fields that are absent stay."),
                    );
                }
                schemas.insert(format!("{name}Patch"), schema);
            }
        }
    }
    document
}

fn security_schemes() -> Value {
    json!({"token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A session token (POST /sessions) or a service token (tgs_…)."
    }})
}

/// Adds what operations have in common. Answers the schema of a merge patch's whole, if it has one.
fn complete_operation(path: &str, method: &str, operation: &mut Map<String, Value>) -> Option<String> {
    let public = PUBLIC.contains(&(method, path));
    if !public {
        operation.insert("security".to_owned(), json!([{"token": []}]));
    }
    let refusal = json!({
        "description": "Refused",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
    });
    if let Some(Value::Object(responses)) = operation.get_mut("responses") {
        responses.insert("default".to_owned(), refusal);
    }
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    if let Value::Array(parameters) = parameters
        && !public
    {
        parameters.extend(common_parameters(path, method));
    }
    patch_schema(method, operation)
}

/// What may be removed and has no versions: there is no tag that a client could name.
const UNVERSIONED: [&str; 2] = ["/api/v1/fleet/{id}", "/api/v1/sessions/current"];

fn common_parameters(path: &str, method: &str) -> Vec<Value> {
    let parameter = |place: &str, name: &str, text: &str| json!({"in": place, "name": name, "required": false, "description": text, "schema": {"type": "string"}});
    let noun = path.strip_prefix("/api/v1/").and_then(Noun::of_path);
    let mut found = Vec::new();
    if noun.is_some_and(|noun| noun.reach() != Reach::System) {
        found.push(parameter("query", "organization", "Whose data: an id, or `system` (platform roles). Needed by platform tokens, and by people with several organizations."));
    }
    if method != "get" && noun.is_some_and(|noun| noun != Noun::Own) {
        found.push(parameter(
            "query",
            "wait",
            "`fleet`: answer when every live node has applied the change.",
        ));
    }
    if method == "post" {
        found.push(parameter(
            "header",
            "Idempotency-Key",
            "The same key and body get the same answer for 24 hours.",
        ));
    }
    if (method == "patch" || method == "delete") && !UNVERSIONED.contains(&path) {
        found.push(parameter(
            "header",
            "If-Match",
            "ETag of the version that you read; 412 when there is a newer one.",
        ));
    }
    found
}

/// Points a PATCH's body at the schema without required fields.
fn patch_schema(method: &str, operation: &mut Map<String, Value>) -> Option<String> {
    if method != "patch" {
        return None;
    }
    let content = operation.get_mut("requestBody")?.get_mut("content")?;
    let Value::Object(content) = content else { return None };
    let mut body = content.remove("application/json")?;
    let reference = body.get_mut("schema")?.get_mut("$ref")?;
    let name = reference.as_str()?.rsplit('/').next()?.to_owned();
    *reference = Value::String(format!("#/components/schemas/{name}Patch"));
    content.insert("application/merge-patch+json".to_owned(), body.clone());
    content.insert("application/json".to_owned(), body);
    Some(name)
}
