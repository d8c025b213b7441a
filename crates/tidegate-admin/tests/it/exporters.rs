//! Exporters over the API: the values of headers are never shown again, targets and headers are checked.

use http::StatusCode;
use serde_json::json;

use crate::harness::World;

const URL: &str = "https://collector.example.com/v1/traces";

#[tokio::test]
async fn an_exporter_is_made_changed_and_removed_and_its_headers_are_never_shown_again() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let owner = &tenant.owner;
    let headers = json!({"Authorization": "Basic canary-one", "x-mlflow-experiment-id": "7"});
    let body = json!({"name": "mlflow", "url": URL, "headers": headers});
    let made = world.post(owner, "/exporters", &body).await.expect(StatusCode::CREATED);
    assert_eq!(made.body["header_names"], json!(["authorization", "x-mlflow-experiment-id"]));
    assert_eq!((&made.body["sent"], &made.body["dropped"]), (&json!(0), &json!(0)));
    let path = format!("/exporters/{}", made.str("/id"));
    let off = world.patch(owner, &path, &json!({"enabled": false})).await.expect(StatusCode::OK);
    assert_eq!(
        (off.body["enabled"].as_bool(), off.body["header_names"].as_array().unwrap().len()),
        (Some(false), 2)
    );
    let change = json!({"headers": {"authorization": "Bearer canary-two"}});
    let changed = world.patch(owner, &path, &change).await.expect(StatusCode::OK);
    assert_eq!((&changed.body["header_names"], changed.etag()), (&json!(["authorization"]), "\"3\"".into()));
    for place in [path.as_str(), "/exporters", "/audit"] {
        let shown = world.get(owner, place).await.expect(StatusCode::OK);
        assert!(!shown.text.contains("canary"), "{}", shown.text);
    }
    assert!(!made.text.contains("canary") && !changed.text.contains("canary"));
    world.delete(owner, &path).await.expect(StatusCode::NO_CONTENT);
    world.get(owner, &path).await.refused(404, "not_found");
}

#[tokio::test]
async fn what_is_no_target_and_no_header_is_refused_with_the_field() {
    let world = World::start().await;
    let owner = world.tenant("acme").await.owner;
    for url in ["", "collector.example.com", "ftp://x.example.com", "https://u:p@x.example.com/v1/traces"] {
        let refused = world.post(&owner, "/exporters", &json!({"name": "w", "url": url})).await;
        assert_eq!(refused.refused(422, "validation_failed").fields(), ["url"], "{url}");
    }
    for (name, value) in
        [("Host", "evil.example.com"), ("content-length", "5"), ("a b", "x"), ("x-fine", "a\r\nb: c")]
    {
        let body = json!({"name": "w", "url": URL, "headers": {name: value}});
        let refused = world.post(&owner, "/exporters", &body).await;
        assert_eq!(refused.refused(422, "validation_failed").fields(), [format!("headers.{name}")], "{name}");
    }
    let twice = json!({"name": "w", "url": URL, "headers": {"x-a": "1", "X-A": "2"}});
    let refused = world.post(&owner, "/exporters", &twice).await;
    assert_eq!(refused.refused(422, "validation_failed").fields(), ["headers"]);
}
