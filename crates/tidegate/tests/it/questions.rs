//! What a caller may ask about its own calls: credits, one generation, reports. Nobody else's.

use serde_json::{Value, json};

use crate::support::{Ask, apps, client, install, nodes, seconds, until};

async fn asked(url: &str, key: &str, path: &str) -> (u16, Value) {
    let reply = client().get(format!("{url}{path}")).bearer_auth(key).send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_finds_its_generation_its_sums_and_its_credit() {
    let installation = install(nodes(1)).await;
    let (id, key) = installation.key("app", &json!({"tags": {"app": "web"}})).await.unwrap();
    installation.budget("app", "2.50", json!({"key": id})).await.unwrap();
    let app = apps(&installation, &key).remove(0);
    let reply = app.expect(&Ask::chat("Hello"), 200).await;
    let generation = reply.id();
    let url = installation.gateway(0).unwrap();
    let path = format!("/v1/generation?id={generation}");
    until("the record arrives", seconds(10), || async { asked(&url, &key, &path).await.0 == 200 }).await;
    let (_, found) = asked(&url, &key, &path).await;
    let cost = found["data"]["total_cost"].as_f64().unwrap();
    assert_eq!((&found["data"]["id"], &found["data"]["streamed"]), (&json!(generation), &json!(false)));
    assert!(cost > 0.0 && found["data"]["provider_name"].as_str().unwrap().starts_with("sim-"), "{found}");
    assert!(found["data"]["native_tokens_completion"].as_u64().unwrap() > 0, "{found}");

    let (status, credits) = asked(&url, &key, "/v1/credits").await;
    assert_eq!(status, 200, "{credits}");
    let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    assert!((number(&credits["total_used"]) - cost).abs() < 1e-9, "{credits} {cost}");
    assert!((2.5 - number(&credits["balance"]) - cost).abs() < 1e-9, "{credits} {cost}");

    for group in ["day", "model", "provider", "credential_type", "api_key_name", "tag", "user"] {
        let (status, report) = asked(&url, &key, &format!("/v1/report?group_by={group}")).await;
        assert_eq!((status, report["results"].as_array().map(Vec::len)), (200, Some(1)), "{group}: {report}");
        let row = &report["results"][0];
        assert!((row["total_cost"].as_f64().unwrap() - cost).abs() < 1e-9, "{group}: {row}");
        assert_eq!(row["request_count"], 1, "{group}: {row}");
    }
    let (_, none) = asked(&url, &key, "/v1/report?model=sim/other").await;
    assert_eq!(none, json!({"results": []}));
    for (path, status) in [
        ("/v1/generation", 400),
        ("/v1/generation?id=nonsense", 400),
        ("/v1/generation?id=gen_01ARZ3NDEKTSV4RRFFQ69G5FAV", 404),
        ("/v1/report?group_by=secrets", 400),
        ("/v1/report?start_date=yesterday", 400),
        ("/v1/report?start_date=2026-02-30", 400),
    ] {
        let (found, body) = asked(&url, &key, path).await;
        assert_eq!(found, status, "{path}: {body}");
        assert!(body["error"]["message"].is_string(), "{path}: {body}");
    }
}
