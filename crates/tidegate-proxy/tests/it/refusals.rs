//! The table of refusals, as each surface shows it.

use serde_json::{Value, json};
use tidegate_proxy::Settings;
use tidegate_secrets::virtual_key::{PepperBytes, Peppers, issue};
use tidegate_types::Timestamp;
use tidegate_types::resource::{AllowList, KeyStatus, Policy, Privacy, Resource, VirtualKey, ZdrTier};
use tidegate_types::usage::{CallOutcome, RefusalCause};

use crate::client::{Reply, request, send};
use crate::plain::OPENAI_ANSWER;
use crate::provider::{Provider, json as answer};
use crate::world::{MODEL, World, openai, policy};

/// Status and body, the call's id left out.
fn shown(reply: &Reply) -> Value {
    let id = reply.header("x-tidegate-id");
    assert!(id.starts_with("gen_") && id.len() == 30, "{reply:?}");
    let named = if reply.headers.contains_key("request-id") { "request-id" } else { "x-request-id" };
    assert_eq!(reply.header(named), id);
    let body: Value = serde_json::from_str(&reply.body.replace(id, "[id]")).unwrap();
    json!({ "status": reply.status, "body": body })
}

/// What both surfaces say to the same request.
async fn both(world: &World, model: &str, more: &str) -> Value {
    let messages = r#""messages":[{"role":"user","content":"hi"}]"#;
    let chat = world.chat(&format!(r#"{{"model":"{model}"{more},{messages}}}"#)).await;
    let message = world.messages(&format!(r#"{{"model":"{model}","max_tokens":9{more},{messages}}}"#)).await;
    json!({ "chat": shown(&chat), "messages": shown(&message) })
}

async fn world() -> World {
    let peer = Provider::start(vec![answer(OPENAI_ANSWER)]).await;
    World::start(&[openai("a", &peer)]).await
}

fn put_key(world: &World, change: impl FnOnce(&mut VirtualKey)) {
    let mut key = world.virtual_key();
    change(&mut key);
    world.put(vec![Resource::Key(key)]);
}

#[tokio::test]
async fn the_table_of_refusals() {
    let world = world().await;
    let mut table = serde_json::Map::new();
    let mut note = |name: &str, shown: Value| {
        table.insert(name.to_owned(), shown);
    };
    note("unknown model", both(&world, "acme/chatt", "").await);
    note("bad field", both(&world, MODEL, r#","stream":"yes""#).await);
    note("duplicate field", both(&world, MODEL, r#","temperature":1,"temperature":2"#).await);
    put_key(&world, |key| key.status = KeyStatus::Paused);
    note("paused key", both(&world, MODEL, "").await);
    put_key(&world, |key| key.expires_at = Some(Timestamp::from_seconds(1)));
    note("expired key", both(&world, MODEL, "").await);
    let elsewhere = AllowList { ips: vec!["10.0.0.0/8".parse().unwrap()], ..AllowList::default() };
    put_key(&world, |key| key.allow = elsewhere);
    note("wrong address", both(&world, MODEL, "").await);
    let others = AllowList { models: vec!["other/*".into()], ..AllowList::default() };
    put_key(&world, |key| key.allow = others);
    note("model not allowed", both(&world, MODEL, "").await);
    put_key(&world, |_| ());
    world.forget_facts();
    world.put(vec![Resource::Policy(Policy { privacy: Privacy::of_tier(ZdrTier::Zdr), ..policy() })]);
    note("nobody keeps nothing", both(&world, MODEL, "").await);
    world.put(vec![Resource::Policy(policy())]);
    world.forget_price();
    note("no price", both(&world, MODEL, "").await);
    // The last, for a key that was revoked stays so.
    put_key(&world, |key| key.status = KeyStatus::Revoked);
    note("revoked key", both(&world, MODEL, "").await);
    insta::assert_json_snapshot!(Value::Object(table));
}

#[tokio::test]
async fn strangers_and_lost_requests_are_told_in_the_dialect_of_their_path() {
    let world = world().await;
    let mut table = serde_json::Map::new();
    for (name, method, path) in [
        ("no key, chat", "POST", "/v1/chat/completions"),
        ("no key, messages", "POST", "/v1/messages"),
        ("no path", "GET", "/v2/anything"),
        ("no path, messages", "POST", "/v1/messages/anything"),
        ("wrong method, chat", "GET", "/chat/completions"),
        ("wrong method, messages", "PUT", "/v1/messages"),
    ] {
        let reply = send(world.address, &request(method, path, &[], "{}")).await;
        let mut shown = shown(&reply);
        shown["allow"] = reply.header("allow").into();
        table.insert(name.to_owned(), shown);
    }
    let cut_off = &world.key[..world.key.len() - 1];
    for (name, key) in [
        ("key cut off", cut_off),
        ("key of a provider", "sk-proj-0123456789"),
        ("service token", "tgs_01M7YZN16QFZ7C182A6QZWEHMM_wbdgoM6ExAjjmgp9vQrbMRQz2imoX1hO_49fb3414"),
    ] {
        for path in ["/v1/chat/completions", "/v1/messages"] {
            let reply = send(world.address, &request("POST", path, &[("x-api-key", key)], "{}")).await;
            assert!(!reply.body.contains(key), "no key is repeated: {}", reply.body);
            table.insert(format!("{name}, {path}"), shown(&reply));
        }
    }
    insta::assert_json_snapshot!(Value::Object(table));
    assert!(world.journal.calls.lock().is_empty(), "callers without a key leave no record");
}

#[tokio::test]
async fn a_well_formed_key_of_a_known_id_with_another_secret_is_refused() {
    let world = world().await;
    let peppers = Peppers::new(&[PepperBytes { version: 1, bytes: [9; 32] }]).unwrap();
    let (forged, _) = issue(world.virtual_key().id, [6; 32], &peppers);
    for (method, path) in [
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/messages"),
        ("GET", "/v1/models"),
        ("GET", "/v1/key"),
    ] {
        let status = async |key: &str| {
            send(world.address, &request(method, path, &[("x-api-key", key)], "{}")).await.status
        };
        assert_eq!(status(forged.expose()).await, 401, "{path}");
        assert_ne!(status(&world.key).await, 401, "the real key goes further: {path}");
    }
}

#[tokio::test]
async fn refusals_of_known_keys_are_recorded() {
    let world = world().await;
    both(&world, "acme/none", "").await;
    let record = world.recorded(2).await;
    assert_eq!(record.outcome, CallOutcome::Refused { cause: RefusalCause::UnknownModel, budget_id: None });
    assert_eq!((record.status, record.attempts.len()), (404, 0));
    put_key(&world, |key| key.status = KeyStatus::Revoked);
    both(&world, MODEL, "").await;
    let record = world.recorded(4).await;
    assert_eq!(
        record.outcome,
        CallOutcome::Refused { cause: RefusalCause::Unauthenticated, budget_id: None }
    );
    assert!(world.journal.events.lock().is_empty());
}

#[tokio::test]
async fn a_key_bound_to_addresses_sees_the_client_behind_the_operators_own_proxies_only() {
    let ips = AllowList { ips: vec!["198.51.100.0/24".parse().unwrap()], ..AllowList::default() };
    let body = format!(r#"{{"model":"{MODEL}","messages":[{{"role":"user","content":"hi"}}]}}"#);
    for (trusted, told, status) in [
        (vec!["127.0.0.0/8"], "198.51.100.7", 200),
        (vec!["127.0.0.0/8"], "203.0.113.7, 198.51.100.7", 200),
        (vec!["127.0.0.0/8"], "198.51.100.7, 203.0.113.7", 403),
        (vec!["192.0.2.0/24"], "198.51.100.7", 403),
        (vec![], "198.51.100.7", 403),
    ] {
        let peer = Provider::start(vec![answer(OPENAI_ANSWER)]).await;
        let trusted_proxies = trusted.iter().map(|text| text.parse().unwrap()).collect();
        let settings = Settings { trusted_proxies, ..Settings::default() };
        let world = World::with(&[openai("a", &peer)], settings).await;
        put_key(&world, |key| key.allow = ips.clone());
        let reply = world.post_with("/v1/chat/completions", &[("x-forwarded-for", told)], &body).await;
        assert_eq!(reply.status, status, "{trusted:?} {told}: {}", reply.body);
    }
}

/// Every path of the gateway's port, and the method that it wants.
const PATHS: [(&str, &str); 33] = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/chat/completions"),
    ("POST", "/v1/responses"),
    ("POST", "/v1/responses/compact"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/messages/count_tokens"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/images/generations"),
    ("POST", "/v1/images/edits"),
    ("POST", "/v1/audio/speech"),
    ("POST", "/v1/audio/transcriptions"),
    ("POST", "/v1/rerank"),
    ("POST", "/v1beta/models/acme%2Fchat:generateContent"),
    ("POST", "/v1beta/models/acme%2Fchat:streamGenerateContent"),
    ("POST", "/model/acme%2Fchat/converse"),
    ("POST", "/model/acme%2Fchat/converse-stream"),
    ("POST", "/v1/ai/language-model"),
    ("POST", "/v3/ai/language-model"),
    ("POST", "/v4/ai/language-model"),
    ("POST", "/v4/ai/embedding-model"),
    ("POST", "/v4/ai/image-model"),
    ("POST", "/v4/ai/video-model/start"),
    ("POST", "/v4/ai/video-model/status"),
    ("POST", "/proxy/chat/chat/completions"),
    ("POST", "/gateway/mlflow/v1/chat/completions"),
    ("POST", "/gateway/openai/v1/chat/completions"),
    ("POST", "/gateway/anthropic/v1/messages"),
    ("POST", "/gateway/acme%2Fchat/mlflow/invocations"),
    ("GET", "/v1/key"),
    ("GET", "/v1/credits"),
    ("GET", "/v1/generation"),
    ("GET", "/v1/report"),
    ("GET", "/proxy/status"),
];

#[tokio::test]
async fn without_a_key_of_ours_every_path_but_lists_and_probes_answers_401() {
    let world = world().await;
    let foreign: [&[(&str, &str)]; 4] = [
        &[],
        &[("authorization", "Bearer ")],
        &[("authorization", "Bearer sk-something-else")],
        &[("x-api-key", "sk-ant-something-else"), ("x-forwarded-for", "127.0.0.1")],
    ];
    for (method, path) in PATHS {
        for headers in foreign {
            let reply =
                send(world.address, &request(method, path, headers, r#"{"model":"acme/chat"}"#)).await;
            // Nobody is told without a key what is not there.
            let unknown = path == "/proxy/status" && reply.status == 404;
            assert!(reply.status == 401 || unknown, "{method} {path} {headers:?}: {reply:?}");
        }
    }
    // The control: what answers without one.
    for path in ["/livez", "/readyz", "/v1/models"] {
        assert_eq!(send(world.address, &request("GET", path, &[], "")).await.status, 200, "{path}");
    }
    assert!(world.journal.calls.lock().is_empty() && world.journal.events.lock().is_empty());
}
