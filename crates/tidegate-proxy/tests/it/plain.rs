//! Whole answers: passed through, translated, metered, recorded.

use tidegate_types::NanoUsd;
use tidegate_types::resource::Resource;
use tidegate_types::usage::{CallOutcome, EventKind, MeterMethod, Outcome};

use crate::provider::{Provider, json};
use crate::world::{MODEL, World, anthropic, budget, openai};

pub(crate) const OPENAI_ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"chat-at-a","choices":[{"index":0,"message":{"role":"assistant","content":"Hello \ud83d\ude00"},"finish_reason":"stop","logprobs":null}],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15},"x_odd":12345678901234567890123,"y":1e400}"#;
pub(crate) const ANTHROPIC_ANSWER: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"chat-at-a","content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":12,"output_tokens":3}}"#;

pub(crate) fn ask() -> String {
    format!(r#"{{"model":"{MODEL}","messages":[{{"role":"user","content":"hi"}}]}}"#)
}

pub(crate) fn ask_anthropic() -> String {
    format!(r#"{{"model":"{MODEL}","max_tokens":100,"messages":[{{"role":"user","content":"hi"}}]}}"#)
}

#[tokio::test]
async fn a_call_passes_through_byte_by_byte_and_is_billed_by_its_usage() {
    let peer = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let reply = world.chat(&ask()).await;
    assert_eq!((reply.status, &*reply.passed()), (200, OPENAI_ANSWER));
    assert!(reply.header("x-tidegate-id").starts_with("gen_"));
    assert_eq!(reply.header("x-request-id"), reply.header("x-tidegate-id"));
    assert_eq!(reply.header("x-tidegate-simulated"), "true");
    let asked = peer.last();
    assert!(asked.head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{}", asked.head);
    assert!(asked.head.contains("authorization: Bearer sk-a\r\n"), "{}", asked.head);
    assert_eq!(asked.body, ask().replace(MODEL, "chat-at-a"));
    let record = world.recorded(1).await;
    assert_eq!((record.status, record.outcome), (200, CallOutcome::Answered));
    assert_eq!(record.call_id.to_string(), reply.header("x-tidegate-id"));
    assert_eq!((record.usage.input_tokens, record.usage.output_tokens), (12, 3));
    assert_eq!(record.cost, NanoUsd::new(18));
    let events = world.journal.events.lock().clone();
    assert_eq!(
        events.iter().map(|event| event.kind).collect::<Vec<_>>(),
        [EventKind::Intent, EventKind::Final]
    );
    assert_eq!((events[1].outcome, events[1].method), (Outcome::Completed, MeterMethod::Reported));
    assert_eq!(events[1].cost, NanoUsd::new(18));
}

#[tokio::test]
async fn no_id_that_a_caller_brings_suppresses_a_charge() {
    let peer = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let cap = budget(1, "1");
    world.put(vec![Resource::Budget(cap.clone())]);
    let first = world.chat(&ask()).await;
    let id = first.header("x-tidegate-id");
    for name in ["x-request-id", "x-tidegate-id", "x-client-request-id", "idempotency-key"] {
        let again = world.post_with("/v1/chat/completions", &[(name, id)], &ask()).await;
        assert_eq!(again.status, 200, "{name}");
        assert_ne!(again.header("x-tidegate-id"), id, "{name}");
    }
    world.recorded(5).await;
    world.assert_settled(Some(cap.id)).await;
    assert_eq!(world.balance(cap.id).await.spent, NanoUsd::new(5 * 18));
}

#[tokio::test]
async fn each_surface_reaches_each_dialect() {
    for (target_is_openai, answer) in [(true, OPENAI_ANSWER), (false, ANTHROPIC_ANSWER)] {
        // serde_json has no number for 1e400.
        let peer = Provider::start(vec![json(&answer.replace("1e400", "1"))]).await;
        let offer = if target_is_openai { openai("a", &peer) } else { anthropic("a", &peer) };
        let world = World::start(&[offer]).await;
        let chat = world.chat(&ask()).await;
        assert_eq!(chat.status, 200, "{chat:?}");
        assert!(chat.json()["choices"][0]["message"]["content"].as_str().unwrap().starts_with("Hello"));
        assert_eq!(chat.json()["usage"]["prompt_tokens"], 12);
        let message = world.messages(&ask_anthropic()).await;
        assert_eq!(message.status, 200, "{message:?}");
        assert!(message.json()["content"][0]["text"].as_str().unwrap().starts_with("Hello"));
        assert_eq!(message.json()["usage"]["output_tokens"], 3);
        assert_eq!(message.header("request-id"), message.header("x-tidegate-id"));
        let (path, key) = if target_is_openai {
            ("POST /v1/chat/completions ", "authorization: Bearer sk-a")
        } else {
            ("POST /v1/messages ", "x-api-key: sk-a")
        };
        let head = peer.last().head;
        assert!(head.starts_with(path) && head.contains(key), "{head}");
        assert_eq!(peer.last().json()["model"], "chat-at-a");
        world.recorded(2).await;
        world.assert_settled(None).await;
        assert!(world.finals().iter().all(|event| event.cost == NanoUsd::new(18)));
    }
}

#[tokio::test]
async fn connections_are_kept_on_both_sides() {
    let peer = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    for number in 1..=20 {
        assert_eq!(world.chat(&ask()).await.status, 200);
        world.recorded(number).await;
    }
    assert_eq!(peer.count(), 20);
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn counting_a_prompts_tokens_costs_nothing() {
    let peer = Provider::start(vec![json(r#"{"input_tokens":14}"#)]).await;
    let world = World::start(&[anthropic("a", &peer)]).await;
    let reply = world.post("/v1/messages/count_tokens", &ask()).await;
    assert_eq!((reply.status, &*reply.body), (200, r#"{"input_tokens":14}"#));
    assert!(peer.last().head.contains("/messages/count_tokens"), "{}", peer.last().head);
    let record = world.recorded(1).await;
    assert_eq!((record.cost, record.usage.requests), (NanoUsd::ZERO, 0));
}
