//! What the gateway adds to answers about itself, where each kind of client looks for it.

use serde_json::Value;

use crate::plain::{ANTHROPIC_ANSWER, OPENAI_ANSWER, ask};
use crate::provider::{Provider, json, stream, whole};
use crate::streams::{OPENAI_STREAM, ask_stream};
use crate::world::{World, anthropic, openai};

#[tokio::test]
async fn an_openai_client_finds_cost_and_generation_id() {
    let peer = Provider::start(vec![json(OPENAI_ANSWER), stream(&OPENAI_STREAM)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let reply = world.chat(&ask()).await;
    let cost = world.recorded(1).await.cost;
    let gateway = format!(r#"{{"generationId":"{}","cost":"{cost}"}}"#, reply.header("x-tidegate-id"));
    assert!(reply.body.contains(&format!(r#""provider_metadata":{{"gateway":{gateway}}}"#)), "{reply:?}");
    assert!(reply.body.contains(&format!(r#""total_tokens":15,"cost":{cost}}}"#)), "{reply:?}");
    let reply = world.chat(&ask_stream()).await;
    assert!(reply.body.contains(r#""cost":0.000000018}"#), "{}", reply.body);
}

#[tokio::test]
async fn an_openai_client_that_uses_the_gateways_options_finds_the_plan_and_the_attempts() {
    let failing = whole(500, "", r#"{"error":{"message":"no","type":"server_error"}}"#);
    for streamed in [false, true] {
        let answer =
            if streamed { stream(&OPENAI_STREAM) } else { json(&OPENAI_ANSWER.replace("1e400", "1")) };
        let (a, b) = (
            Provider::start(vec![failing.clone()]).await,
            Provider::start(vec![answer.clone(), answer]).await,
        );
        let world = World::start(&[openai("a", &a), openai("b", &b)]).await;
        let plain =
            if streamed { ask().replace(r#""messages""#, r#""stream":true,"messages""#) } else { ask() };
        let options = r#""providerOptions":{"gateway":{"order":["a","b"]}},"messages""#;
        let reply = world.chat(&plain.replace(r#""messages""#, options)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let holder = if streamed { "delta" } else { "message" };
        let told: Vec<Value> = reply
            .body
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line.trim_start_matches("data: ")).ok())
            .map(|piece| piece["choices"][0][holder]["provider_metadata"]["gateway"]["routing"].clone())
            .filter(Value::is_object)
            .collect();
        assert_eq!(told.len(), 1, "{reply:?}");
        let attempts = &told[0]["modelAttempts"][0]["providerAttempts"];
        assert_eq!((&attempts[0]["provider"], &attempts[0]["statusCode"]), (&"a".into(), &500.into()));
        assert_eq!((&attempts[1]["provider"], &attempts[1]["success"]), (&"b".into(), &true.into()));
        assert_eq!(told[0]["finalProvider"], "b");
        // Who asks nothing of the gateway gets no more than before.
        assert!(!world.chat(&plain).await.body.contains("routing"));
    }
}

#[tokio::test]
async fn pydantic_ai_finds_the_cost_beside_the_usage() {
    let peer = Provider::start(vec![json(OPENAI_ANSWER), json(OPENAI_ANSWER)]).await;
    let other = Provider::start(vec![json(ANTHROPIC_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer), anthropic("b", &other)]).await;
    let reply = world.post("/proxy/a/chat/completions", &ask()).await;
    assert!(reply.body.contains(r#""logfire_ai_gateway":{"cost":"0.000000018"}"#), "{reply:?}");
    assert_eq!(peer.count(), 1);
    // Where bodies are strict a header tells.
    let contents = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#;
    let strict = "/proxy/a/v1beta1/publishers/google/models/acme%2Fchat:generateContent";
    let reply = world.post(strict, contents).await;
    assert_eq!(reply.header("logfire-ai-gateway-cost"), "0.000000018USD", "{reply:?}");
    // The path names the provider, whoever else offers the model.
    let reply = world.post("/proxy/b/chat/completions", &ask()).await;
    assert_eq!((reply.status, other.count()), (200, 1), "{reply:?}");
    let reply = world.post("/proxy/nobody/chat/completions", &ask()).await;
    assert_eq!(reply.status, 404, "{reply:?}");
    assert!(reply.body.contains("neither a route of the organization nor a provider"), "{reply:?}");
}

#[tokio::test]
async fn mlflow_reads_errors_as_detail() {
    let peer = Provider::start(vec![json(OPENAI_ANSWER), json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let reply = world.post("/gateway/mlflow/v1/chat/completions", &ask()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.body.ends_with(r#","provider":"a"}"#), "{reply:?}");
    let took = |name: &str| reply.header(name).parse::<f64>().unwrap();
    let (whole, ours) = (took("x-mlflow-gateway-duration-ms"), took("x-mlflow-gateway-overhead-duration-ms"));
    assert!(ours > 0.0 && ours <= whole, "{ours} of {whole}");
    let reply = world.post("/gateway/openai/v1/chat/completions", &ask()).await;
    assert!(!reply.body.contains(r#""provider":"#), "passed on as it is: {reply:?}");
    let reply = world.post("/gateway/nothing/mlflow/invocations", &ask()).await;
    assert_eq!(
        (reply.status, &reply.json()["detail"]["error_code"]),
        (404, &"RESOURCE_DOES_NOT_EXIST".into())
    );
    let reply = world.post("/gateway/sim%2Fchat/mlflow/invocations", "{}").await;
    assert!(reply.json()["detail"].is_string() || reply.json()["detail"].is_object(), "{reply:?}");
}
