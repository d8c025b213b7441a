//! Secrets that went in, or were shown once, are in no later answer.

use http::StatusCode;
use serde_json::json;

use crate::garbage::operations;
use crate::harness::{PASSWORD, World};

#[tokio::test]
async fn no_answer_repeats_a_secret() {
    let world = World::start().await;
    world.catalogue().await;
    let tenant = world.tenant("acme").await;
    let canary = "sk-canary-1f2e3d4c5b6a";
    let credential = json!({"name": "c", "provider": "openai", "secret": {"api_key": canary}});
    world.post(&tenant.owner, "/credentials", &credential).await.expect(StatusCode::CREATED);
    let mut system = credential.clone();
    system["scope"] = json!("system");
    world.post(&world.root, "/credentials", &system).await.expect(StatusCode::CREATED);
    let key = json!({"team_id": tenant.team, "name": "k"});
    let key = world.post(&tenant.owner, "/keys", &key).await.expect(StatusCode::CREATED);
    let token = json!({"name": "t", "role": "viewer"});
    let token = world.post(&tenant.owner, "/service-tokens", &token).await.expect(StatusCode::CREATED);
    let join = world.post(&world.root, "/join-tokens", &json!({})).await.expect(StatusCode::CREATED);
    let invited = json!({"email": "n@acme.example.com", "role": "viewer"});
    let invited = world.post(&tenant.owner, "/members", &invited).await.expect(StatusCode::CREATED);
    let link = invited.str("/sign_in_link");
    let secrets = [
        canary.to_owned(),
        key.str("/key"),
        token.str("/token"),
        join.str("/token"),
        link.rsplit('#').next().unwrap().to_owned(),
        PASSWORD.to_owned(),
        "argon2".to_owned(),
        "hmac".to_owned(),
        "sealed".to_owned(),
        "label_key".to_owned(),
    ];
    // The positive control: they were shown when they were made.
    assert!(key.text.contains(&secrets[1]) && token.text.contains(&secrets[2]));
    let mut read = 0;
    for caller in [&tenant.owner, &world.root] {
        for (method, path, _) in operations() {
            if method != http::Method::GET {
                continue;
            }
            for path in paths(&world, caller, &path, &tenant.id).await {
                let answer = world.get(caller, &path).await;
                for secret in &secrets {
                    assert!(!answer.text.contains(secret.as_str()), "{path} shows a secret: {}", answer.text);
                }
                read += usize::from(answer.status.is_success());
            }
        }
    }
    assert!(read > 40, "only {read} answers were read");
}

/// A path, with every id that its list shows.
async fn paths(world: &World, caller: &str, path: &str, organization: &str) -> Vec<String> {
    let query = if caller == world.root { format!("?organization={organization}") } else { String::new() };
    let Some((list, rest)) = path.split_once("/{id}") else {
        return vec![path.to_owned(), format!("{path}{query}")];
    };
    let rows = world.get(caller, &format!("{list}{query}")).await;
    let ids = rows.body["data"].as_array().into_iter().flatten().filter_map(|row| row["id"].as_str());
    ids.map(|id| format!("{list}/{id}{rest}{query}")).collect()
}
