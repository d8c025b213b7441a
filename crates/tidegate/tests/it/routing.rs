//! What applications ask of routing, by the examples of Vercel's documentation of provider
//! options and model fallbacks, and what `explain` says of the same calls beforehand.

use serde_json::{Value, json};

use crate::support::{App, Ask, apps, bill_lines, install, nodes};

/// A chat with `providerOptions.gateway`; the provider that answered, by the provider's own books.
async fn answered_by(
    installation: &tidegate_testkit::installation::Installation,
    app: &App,
    model: &str,
    options: &Value,
) -> String {
    let mut body = Ask::chat("Hello").model(model).body();
    body["providerOptions"] = json!({"gateway": options});
    let reply = app.client.post(format!("{}/v1/chat/completions", app.base)).bearer_auth(&app.key);
    let reply = reply.json(&body).send().await.unwrap();
    let (status, text) = (reply.status(), reply.text().await.unwrap());
    assert_eq!(status, 200, "{options}: {text}");
    let lines = bill_lines(installation).await;
    lines.last().unwrap()["provider"].as_str().unwrap().to_owned()
}

/// Providers of an explanation, in their order.
fn providers(explained: &Value) -> Vec<&str> {
    let candidates = explained["candidates"].as_array().unwrap();
    candidates.iter().map(|candidate| candidate["provider"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_provider_options_choose_who_answers_and_explain_says_so_beforehand() {
    let installation = install(nodes(1)).await;
    installation.model("sim/spare", "sim-anthropic", "sim").await.unwrap();
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    let app = apps(&installation, &key).remove(0);
    for (options, first) in [
        (json!({"order": ["sim-anthropic", "sim-openai"]}), "sim-anthropic"),
        (json!({"order": ["sim-openai"]}), "sim-openai"),
        (json!({"only": ["sim-anthropic"]}), "sim-anthropic"),
        (json!({"only": ["sim-openai", "sim-anthropic"], "order": ["sim-anthropic"]}), "sim-anthropic"),
        (json!({"sort": "cost"}), "sim-openai"),
        (json!({"models": ["sim/spare"], "only": ["sim-anthropic"]}), "sim-anthropic"),
    ] {
        let asked = json!({"key_id": id, "model": "sim/chat", "options": options});
        let told = installation.admin.post("/explain", &asked).await.unwrap();
        assert_eq!(providers(&told["now"]).first(), Some(&first), "{options}: {told}");
        assert_eq!(answered_by(&installation, &app, "sim/chat", &options).await, first, "{options}");
    }
    // The main model's provider fails: the fallback answers.
    installation
        .script(json!([{"when": {"provider": "sim-openai"}, "then": {"status": 500}}]))
        .await
        .unwrap();
    installation.model("sim/fragile", "sim-openai", "sim").await.unwrap();
    let (_, key) = installation.key("later", &json!({})).await.unwrap();
    let app = apps(&installation, &key).remove(0);
    let models = json!({"models": ["sim/spare"]});
    assert_eq!(answered_by(&installation, &app, "sim/fragile", &models).await, "sim-anthropic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_call_of_the_ai_sdk_carries_what_was_planned_and_tried() {
    let installation = install(nodes(1)).await;
    let (_, key) = installation.key("app", &json!({})).await.unwrap();
    let app = apps(&installation, &key).remove(0);
    installation.script(json!([{"then": {"status": 503}}])).await.unwrap();
    let body = json!({"prompt": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
        "providerOptions": {"gateway": {"sort": "cost", "models": ["sim/none"]}}});
    let reply = app
        .client
        .post(format!("{}/v3/ai/language-model", app.base))
        .bearer_auth(&app.key)
        .header("ai-language-model-id", "sim/chat")
        .header("ai-language-model-specification-version", "3")
        .header("ai-language-model-streaming", "false")
        .json(&body)
        .send()
        .await
        .unwrap();
    let status = reply.status();
    let answer: Value = reply.json().await.unwrap();
    assert_eq!(status, 503, "{answer}");
    assert!(answer["error"]["message"].is_string(), "{answer}");
    let routing = &answer["providerMetadata"]["gateway"]["routing"];
    assert_eq!(routing["sort"]["option"], "cost", "{answer}");
    assert_eq!(routing["sort"]["executionOrder"], json!(["sim-anthropic", "sim-openai"]), "{routing}");
    assert!(routing["sort"]["metrics"]["sim-openai"].as_f64().unwrap() > 0.0, "{routing}");
    let reasoning = routing["planningReasoning"].as_str().unwrap();
    assert!(reasoning.contains("sim-anthropic for sim/chat (asked for by name"), "{reasoning}");
    assert!(reasoning.contains("sim/none"), "{reasoning}");
    let attempts = routing["modelAttempts"][0]["providerAttempts"].as_array().unwrap();
    assert!(attempts.len() >= 2 && attempts.iter().all(|attempt| attempt["success"] == false), "{routing}");
    assert_eq!(attempts[0]["statusCode"], 503, "{routing}");
    assert_eq!(routing["totalProviderAttemptCount"], attempts.len(), "{routing}");
}
