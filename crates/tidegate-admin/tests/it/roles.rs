//! Every endpoint with every role: the answer is what the capability table says.

use http::Method;
use tidegate_admin::capability::{Action, Noun, ROLES, Reach, platform_allows, role_allows};
use tidegate_store::PlatformRole;

use crate::garbage::operations;
use crate::harness::World;

/// Paths that decide by more than the table.
const SPECIAL: [&str; 2] = ["/sessions/current", "/organizations/{id}"];

#[tokio::test]
async fn the_answer_to_every_role_at_every_endpoint_is_in_the_table() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let (mut allowed, mut refused) = (0, 0);
    for role in ROLES {
        let name = serde_json::to_value(role).unwrap();
        let name = name.as_str().unwrap();
        let token = world.member(&tenant.id, &format!("{name}-2@acme.example.com"), name).await;
        for (method, path, body) in operations() {
            let Some(noun) = noun(&path) else { continue };
            let says = role_allows(role, noun, Action::of_method(&method));
            let passed = passes(&world, &token, &method, &path, body.is_some(), "").await;
            assert_eq!(passed, says, "{name} {method} {path}");
            if passed { allowed += 1 } else { refused += 1 }
        }
    }
    assert!(allowed > 100 && refused > 100, "{allowed} {refused}");
}

#[tokio::test]
async fn the_answer_to_every_platform_role_is_in_the_table() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let body = serde_json::json!({"name": "v", "platform_role": "platform_viewer"});
    let viewer = world.post(&world.root, "/service-tokens", &body).await.str("/token");
    for (token, role) in [(&world.root, PlatformRole::PlatformAdmin), (&viewer, PlatformRole::PlatformViewer)]
    {
        for (method, path, body) in operations() {
            let Some(noun) = noun(&path) else { continue };
            let action = Action::of_method(&method);
            if noun.reach() != Reach::System {
                let query = format!("?organization={}", tenant.id);
                let passed = passes(&world, token, &method, &path, body.is_some(), &query).await;
                assert_eq!(
                    passed,
                    platform_allows(role, noun, action, true),
                    "{role:?} {method} {path} in a tenant"
                );
            }
            if noun.reach() != Reach::Tenant {
                let passed = passes(&world, token, &method, &path, body.is_some(), "").await;
                assert_eq!(passed, platform_allows(role, noun, action, false), "{role:?} {method} {path}");
            }
        }
    }
}

fn noun(path: &str) -> Option<Noun> {
    let public = path == "/sessions" || path == "/sessions/link";
    if public || SPECIAL.contains(&path) { None } else { Noun::of_path(path.trim_start_matches('/')) }
}

/// Whether the guard lets the caller through: anything but 403 (the body is nonsense on purpose,
/// so that nothing is changed).
async fn passes(
    world: &World,
    token: &str,
    method: &Method,
    path: &str,
    has_body: bool,
    query: &str,
) -> bool {
    let path = format!("{}{query}", path.replace("{id}", "x"));
    let body = has_body.then(|| "[\"nonsense\"]".to_owned());
    let answer = world.send(method.clone(), token, &path, &[], body).await;
    assert!(!answer.status.is_server_error(), "{method} {path}: {}", answer.text);
    assert_ne!(answer.status.as_u16(), 401, "{method} {path}");
    answer.status.as_u16() != 403
}
