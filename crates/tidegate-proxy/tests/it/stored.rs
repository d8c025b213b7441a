//! What lies in the account that signs in: never over the operator's credential, always over one's own.

use serde_json::json;
use tidegate_types::resource::{DialectName, Resource};

use crate::plain::OPENAI_ANSWER;
use crate::provider::{Provider as Peer, json as answer};
use crate::stage::own_credential;
use crate::world::{MODEL, Offer, World, anthropic, openai};

fn own() -> Resource {
    Resource::Credential(own_credential())
}

fn chat(part: &serde_json::Value) -> String {
    json!({"model": MODEL, "messages": [{"role": "user", "content": [part]}]}).to_string()
}

async fn tried(dialect: DialectName, path: &str, body: &str, named: &str) {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let offer = match dialect {
        DialectName::AnthropicMessages => anthropic("a", &peer),
        dialect => Offer { dialect, ..openai("a", &peer) },
    };
    let world = World::start(&[offer]).await;
    let reply = world.post(path, body).await;
    assert_eq!((reply.status, peer.count()), (400, 0), "{dialect:?}: {}", reply.body);
    assert!(reply.body.contains(named) && reply.body.contains("operator"), "{}", reply.body);
    world.assert_settled(None).await;
    world.put(vec![own()]);
    // The operator's credential stays the second choice: it refuses again, after the own one was tried.
    world.post(path, body).await;
    assert_eq!(peer.count(), 1, "{dialect:?}");
    assert!(peer.last().head.contains("sk-stored"), "{}", peer.last().head);
}

#[tokio::test]
async fn a_file_of_the_operators_account_is_refused_by_name_when_bytes_are_passed_on() {
    let openai = chat(&json!({"type": "file", "file": {"file_id": "file-1"}}));
    tried(DialectName::OpenaiChat, "/v1/chat/completions", &openai, "messages[0].content[0].file.file_id")
        .await;
    let source = json!({"type": "document", "source": {"type": "file", "file_id": "file_1"}});
    let body = json!({"model": MODEL, "max_tokens": 5, "messages": [{"role": "user", "content": [source]}]});
    let body = body.to_string();
    tried(DialectName::AnthropicMessages, "/v1/messages", &body, "messages[0].content[0].source.file_id")
        .await;
    let body = json!({"model": MODEL, "input": "hi", "previous_response_id": "resp_1"}).to_string();
    tried(DialectName::OpenaiResponses, "/v1/responses", &body, "previous_response_id").await;
}

#[tokio::test]
async fn an_object_of_the_operators_bucket_is_refused_by_name_when_the_call_is_translated() {
    let s3 = chat(&json!({"type": "image_url", "image_url": {"url": "s3://operator/secret.png"}}));
    tried(DialectName::BedrockConverse, "/v1/chat/completions", &s3, "s3Location").await;
    let gs = chat(&json!({"type": "image_url", "image_url": {"url": "gs://operator/secret.png"}}));
    tried(DialectName::Gemini, "/v1/chat/completions", &gs, "fileUri").await;
}

#[tokio::test]
async fn content_at_public_addresses_still_goes_over_the_operators_credential() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let part = json!({"type": "image_url", "image_url": {"url": "https://example.com/x.png"}});
    assert_eq!(world.chat(&chat(&part)).await.status, 200);
}
