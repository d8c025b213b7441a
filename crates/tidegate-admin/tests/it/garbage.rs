//! Garbage of every kind gets a clear 4xx and never a 5xx.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::harness::World;

/// Operations of the document: method, path (without `/api/v1`), whether it takes a body.
pub(crate) fn operations() -> Vec<(Method, String, Option<Value>)> {
    let document = tidegate_admin::openapi();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let path = path.strip_prefix("/api/v1").unwrap().to_owned();
            found.push((method, path, operation.get("requestBody").cloned()));
        }
    }
    assert!(found.len() > 60, "only {} operations", found.len());
    found
}

#[tokio::test]
async fn no_garbage_body_makes_a_server_error() {
    let world = World::start().await;
    world.catalogue().await;
    let tenant = world.tenant("acme").await;
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let corpus = [
        "",
        "null",
        "0",
        "[]",
        "{}",
        "{",
        "\"x\"",
        "{\"name\":1}",
        "{\"name\":null}",
        "{\"name\":\"\\u0000\"}",
        "{\"name\":\"x\",\"name\":\"y\"}",
        "{\"__proto__\":{}}",
        "{\"limit\":1e400}",
        "{\"limit\":\"-0.1\"}",
        "{\"id\":\"team_00000000000000000000000000\"}",
        "{\"name\":\"\u{202e}\"}",
        "\u{feff}{}",
        "{\"targets\":[{}]}",
        "{\"limit\":\"99999999999999999999\",\"name\":\"x\",\"window\":{\"every\":\"month\"}}",
        "{\"name\":\"x\",\"limit\":\"1\",\"window\":{\"start\":\"9999-12-31T00:00:00Z\",\"end\":\"0000-01-01T00:00:00Z\"}}",
        "{\"email\":\"a@b.c\",\"role\":\"god\"}",
        "{\"secret\":{\"api_key\":\"x\"}}",
        deep.as_str(),
    ];
    for (method, path, body) in operations() {
        if body.is_none() {
            continue;
        }
        let path = path.replace("{id}", &tenant.team);
        for text in corpus {
            for token in [&tenant.owner, &world.root] {
                let answer = world.send(method.clone(), token, &path, &[], Some(text.to_owned())).await;
                let known = answer.status.is_client_error() || answer.status.is_success();
                assert!(known, "{method} {path} {text:.80}: {} {}", answer.status, answer.text);
                if answer.status.is_client_error() {
                    assert!(answer.body["code"].is_string(), "{method} {path}: {}", answer.text);
                }
            }
        }
    }
}

#[tokio::test]
async fn no_garbage_id_query_or_header_makes_a_server_error() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let ids = [
        "x",
        "%00",
        "..%2f..",
        "team_",
        "team_ZZZZZZZZZZZZZZZZZZZZZZZZZZ",
        "%ff%fe",
        "team_7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
    ];
    let queries = [
        "limit=-1",
        "limit=1&limit=2",
        "cursor=",
        "cursor=%00",
        "organization=",
        "organization=%ff",
        "wait=",
        "=",
        "&&",
        "limit=%zz",
    ];
    for (method, path, body) in operations() {
        let body = body.map(|_| "{}".to_owned());
        for id in ids {
            let answer =
                world.send(method.clone(), &tenant.owner, &path.replace("{id}", id), &[], body.clone()).await;
            assert!(!answer.status.is_server_error(), "{method} {path} {id}: {}", answer.text);
        }
        for query in queries {
            let path = format!("{}?{query}", path.replace("{id}", &tenant.team));
            let answer = world.send(method.clone(), &world.root, &path, &[], body.clone()).await;
            assert!(!answer.status.is_server_error(), "{method} {path}: {}", answer.text);
        }
    }
    for (name, value) in [
        ("if-match", "\u{7f}"),
        ("if-match", "nonsense"),
        ("idempotency-key", ""),
        ("authorization", "Bearer"),
    ] {
        let request = Request::builder().method("PATCH").uri(format!("/api/v1/teams/{}", tenant.team));
        let request = request.header(
            name,
            http::HeaderValue::from_bytes(value.as_bytes()).unwrap_or(http::HeaderValue::from_static("x")),
        );
        let answer = world.raw(request.body(Body::from("{}")).unwrap()).await;
        assert!(answer.status.is_client_error(), "{name}: {}", answer.text);
    }
}

#[tokio::test]
async fn bodies_have_a_limit_a_type_and_valid_json() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(1024 * 1024));
    let send = |body: String| world.send(Method::POST, &tenant.owner, "/teams", &[], Some(body));
    send(large).await.refused(413, "body_too_large");
    send("{\"name\": ".to_owned()).await.refused(400, "invalid_json");
    let request = Request::builder()
        .method("POST")
        .uri("/api/v1/teams")
        .header("authorization", format!("Bearer {}", tenant.owner));
    let plain = request.header("content-type", "text/plain").body(Body::from("{}")).unwrap();
    world.raw(plain).await.refused(415, "unsupported_media_type");
}

#[tokio::test]
async fn an_unknown_endpoint_or_method_is_a_problem_too() {
    let world = World::start().await;
    world.get(&world.root, "/nonsense").await.refused(404, "no_such_endpoint");
    let wrong = world.send(Method::PUT, &world.root, "/teams", &[], Some("{}".to_owned())).await;
    assert!(wrong.refused(405, "method_not_allowed").headers.contains_key("allow"));
}

#[tokio::test]
async fn every_answer_has_the_security_headers_and_believes_no_forwarded_ones() {
    let world = World::start().await;
    let headers =
        [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-host", "evil"), ("x-forwarded-user", "root")];
    let answer = world.send(Method::GET, "", "/teams", &headers, None).await.refused(401, "unauthenticated");
    for name in [
        "x-content-type-options",
        "content-security-policy",
        "x-frame-options",
        "cache-control",
        "x-request-id",
    ] {
        assert!(answer.headers.contains_key(name), "{name}");
    }
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
    let ok = world.send(Method::GET, &world.root, "/me", &[("host", "evil.example")], None).await;
    ok.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_budget_larger_than_nodes_can_count_is_refused() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let budget = |limit| json!({"name": limit, "limit": limit, "window": {"every": "day"}});
    world.post(&tenant.owner, "/budgets", &budget("9007199.254740992")).await.expect(StatusCode::CREATED);
    let refused = world.post(&tenant.owner, "/budgets", &budget("9007199.254740993")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
}
