//! The document: committed, served, complete.

use http::StatusCode;
use tidegate_admin::PUBLIC_ENDPOINTS;
use tidegate_admin::capability::Noun;

use crate::garbage::operations;
use crate::harness::World;

/// `UPDATE_OPENAPI=1` writes the file instead.
#[test]
fn the_committed_document_is_the_generated_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let generated = serde_json::to_string_pretty(&tidegate_admin::openapi()).unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == generated,
        "openapi.json is stale: run this test with UPDATE_OPENAPI=1 and commit the file"
    );
}

#[tokio::test]
async fn the_document_is_served_without_a_token() {
    let world = World::start().await;
    let served = world.get("", "/openapi.json").await.expect(StatusCode::OK);
    assert_eq!(served.body, tidegate_admin::openapi());
    assert!(served.str("/openapi").starts_with("3.1"));
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    let document = tidegate_admin::openapi();
    let text = document.to_string();
    let mut found = 0;
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "nothing at {pointer}");
        found += 1;
    }
    assert!(found > 50);
}

#[test]
fn every_endpoint_has_a_declared_capability_and_a_name_of_its_own() {
    let mut names = std::collections::HashSet::new();
    let document = tidegate_admin::openapi();
    for (method, path, _) in operations() {
        let operation = &document["paths"][format!("/api/v1{path}")][method.as_str().to_lowercase()];
        assert!(
            names.insert(operation["operationId"].as_str().unwrap().to_owned()),
            "{path} has a taken name"
        );
        assert!(Noun::of_path(path.trim_start_matches('/')).is_some(), "{method} {path} has no capability");
    }
}

#[tokio::test]
async fn without_a_token_everything_but_the_public_endpoints_answers_401() {
    let world = World::start().await;
    let mut refused = 0;
    for (method, path, body) in operations() {
        let full = format!("/api/v1{path}");
        if PUBLIC_ENDPOINTS.contains(&(method.as_str().to_lowercase().as_str(), full.as_str())) {
            continue;
        }
        let path = path.replace("{id}", "x");
        world
            .send(method, "", &path, &[], body.map(|_| "{}".to_owned()))
            .await
            .refused(401, "unauthenticated");
        refused += 1;
    }
    assert!(refused > 60);
}
