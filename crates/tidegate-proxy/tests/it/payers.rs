//! Whose money a call is: a budget says itself whether calls over an organization's own credentials count.

use serde_json::{Value, json};
use tidegate_types::NanoUsd;
use tidegate_types::resource::*;

use crate::plain::OPENAI_ANSWER;
use crate::provider::{Provider as Peer, json as answer, whole};
use crate::stage::own_credential;
use crate::world::{MODEL, World, budget, openai};

/// A call, with a credential of its own or without.
fn chat(own: bool) -> String {
    let byok = if own { json!({"a": [{"apiKey": "own"}]}) } else { json!({}) };
    let messages = json!([{"role": "user", "content": "hi"}]);
    json!({"model": MODEL, "max_tokens": 50, "messages": messages, "providerOptions": {"gateway": {"byok": byok}}})
        .to_string()
}

fn stored() -> Resource {
    Resource::Credential(own_credential())
}

/// Two budgets: one that counts everything, one that counts what the operator pays.
async fn spent(world: &World) -> [NanoUsd; 2] {
    world.assert_settled(None).await;
    for id in [1, 2] {
        world.assert_settled(Some(budget(id, "1").id)).await;
    }
    [world.balance(budget(1, "1").id).await.spent, world.balance(budget(2, "1").id).await.spent]
}

#[tokio::test]
async fn a_budget_counts_calls_over_own_credentials_only_where_it_says_so() {
    const COST: NanoUsd = NanoUsd::new(18);
    let twice = NanoUsd::new(36);
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    world.put(vec![
        Resource::Budget(budget(1, "1")),
        Resource::Budget(Budget { count_byok: false, ..budget(2, "1") }),
    ]);
    assert_eq!(world.chat(&chat(true)).await.status, 200);
    world.recorded(1).await;
    assert_eq!(spent(&world).await, [COST, NanoUsd::ZERO], "brought along");
    assert_eq!(world.chat(&chat(false)).await.status, 200);
    world.recorded(2).await;
    assert_eq!(spent(&world).await, [twice, COST], "the operator's");
    world.put(vec![stored()]);
    assert_eq!(world.chat(&chat(false)).await.status, 200);
    world.recorded(3).await;
    assert!(peer.last().head.contains("sk-stored"));
    assert_eq!(spent(&world).await, [NanoUsd::new(54), COST], "stored");
}

#[tokio::test]
async fn own_credentials_go_on_when_the_operators_budget_is_used_up_and_do_not_fall_back_on_it() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    // Less than any call of the operator's costs at most.
    world.put(vec![Resource::Budget(Budget { count_byok: false, ..budget(2, "0.000000005") })]);
    assert_eq!(world.chat(&chat(false)).await.status, 402);
    assert_eq!(peer.count(), 0);
    assert_eq!(world.chat(&chat(true)).await.status, 200);
    // The provider does not take the own one: the operator's would be charged, and there is no money for it.
    peer.script(vec![whole(401, "", "{}"), answer(OPENAI_ANSWER)]);
    let reply = world.chat(&chat(true)).await;
    assert!(reply.status >= 400, "{reply:?}");
    let heads: Vec<Value> =
        peer.asked.lock().iter().map(|asked| asked.head.contains("sk-a").into()).collect();
    assert_eq!(heads, [Value::Bool(false), Value::Bool(false)], "the operator's key was never sent");
    world.assert_settled(Some(budget(2, "1").id)).await;
    assert_eq!(world.balance(budget(2, "1").id).await.spent, NanoUsd::ZERO);
}
