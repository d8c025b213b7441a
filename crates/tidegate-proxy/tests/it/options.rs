//! What callers ask of the gateway itself.

use crate::plain::{OPENAI_ANSWER, ask};
use crate::provider::{Provider, json};
use crate::world::{World, openai};

fn with(options: &str) -> String {
    let more = format!(r#""providerOptions":{{"gateway":{options}}},"messages""#);
    ask().replace(r#""messages""#, &more)
}

#[tokio::test]
async fn only_and_order_choose_among_the_plans_providers() {
    let (a, b) =
        (Provider::start(vec![json(OPENAI_ANSWER)]).await, Provider::start(vec![json(OPENAI_ANSWER)]).await);
    let world = World::start(&[openai("a", &a), openai("b", &b)]).await;
    assert_eq!(world.chat(&with(r#"{"only":["b"]}"#)).await.status, 200);
    assert_eq!(world.chat(&with(r#"{"order":["b"]}"#)).await.status, 200);
    assert_eq!((a.count(), b.count()), (0, 2));
    assert!(!b.last().body.contains("providerOptions"), "{}", b.last().body);
    let reply = world.chat(&with(r#"{"only":["c"]}"#)).await;
    assert_eq!((reply.status, reply.json()["error"]["type"].as_str()), (400, Some("no_providers_available")));
}
