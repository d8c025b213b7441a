//! Webhooks over the API: the secret is shown once, tests and deliveries can be seen, targets are checked.

use http::StatusCode;
use serde_json::json;

use crate::harness::World;

#[tokio::test]
async fn a_webhook_is_made_changed_tested_and_removed_and_its_secret_is_shown_once() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let owner = &tenant.owner;
    let body =
        json!({"name": "pager", "url": "https://x.example.com/hook?a=1", "kinds": ["budget.exhausted"]});
    let made = world.post(owner, "/webhooks", &body).await.expect(StatusCode::CREATED);
    let (id, secret) = (made.str("/id"), made.str("/secret"));
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
    let path = format!("/webhooks/{id}");
    let shown = world.get(owner, &path).await.expect(StatusCode::OK);
    assert_eq!((shown.str("/name"), shown.body["enabled"].as_bool()), ("pager".into(), Some(true)));
    for answer in [&shown, &world.get(owner, "/webhooks").await, &world.get(owner, "/audit").await] {
        assert!(!answer.text.contains(&secret[6..]) && !answer.text.contains("whsec_"), "{}", answer.text);
    }
    let changed =
        world.patch(owner, &path, &json!({"enabled": false, "kinds": []})).await.expect(StatusCode::OK);
    assert_eq!((changed.body["enabled"].as_bool(), changed.etag()), (Some(false), "\"2\"".into()));
    let rotated = world.post(owner, &format!("{path}/rotate"), &json!({})).await.expect(StatusCode::OK);
    assert_ne!(rotated.str("/secret"), secret);
    assert!(rotated.body["old_secret_until"].is_string());

    let sent = world.post(owner, &format!("{path}/test"), &json!({})).await.expect(StatusCode::ACCEPTED);
    let notice = sent.str("/notice_id");
    let listed = world.get(owner, &format!("{path}/deliveries")).await.expect(StatusCode::OK);
    assert_eq!(
        (listed.rows()[0]["notice_id"].as_str(), &listed.rows()[0]["state"]),
        (Some(notice.as_str()), &json!("pending"))
    );
    assert_eq!(world.get(owner, "/notices").await.rows()[0]["kind"], "webhook.test");
    let again = json!({"notice_id": notice});
    world.post(owner, &format!("{path}/redeliver"), &again).await.expect(StatusCode::ACCEPTED);
    let unknown = json!({"notice_id": "msg_00000000000000000000000001"});
    world.post(owner, &format!("{path}/redeliver"), &unknown).await.refused(404, "not_found");
    world.delete(owner, &path).await.expect(StatusCode::NO_CONTENT);
    world.get(owner, &path).await.refused(404, "not_found");
    assert_eq!(world.get(owner, "/webhooks").await.rows().len(), 0);
}

#[tokio::test]
async fn what_is_no_target_is_refused_with_the_field_and_the_platform_has_webhooks_of_its_own() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    for url in [
        "",
        "x.example.com",
        "ftp://x.example.com",
        "https://",
        "https://u:p@x.example.com/",
        "https://x.example.com/#f",
        "file:///etc/passwd",
    ] {
        let refused = world.post(&tenant.owner, "/webhooks", &json!({"name": "w", "url": url})).await;
        assert_eq!(refused.refused(422, "validation_failed").fields(), ["url"], "{url}");
    }
    for kinds in
        [json!(["weather"]), json!(["budget.exhausted", "budget.exhausted"]), json!(["webhook.test"])]
    {
        let body = json!({"name": "w", "url": "https://x.example.com/", "kinds": kinds});
        let refused = world.post(&tenant.owner, "/webhooks", &body).await;
        assert!(refused.status.is_client_error(), "{}", refused.text);
    }
    let body = json!({"name": "ops", "url": "https://ops.example.com/"});
    world.post(&world.root, "/webhooks", &body).await.expect(StatusCode::CREATED);
    assert_eq!(world.get(&world.root, "/webhooks").await.rows().len(), 1);
    assert_eq!(world.get(&tenant.owner, "/webhooks").await.rows().len(), 0);
}
