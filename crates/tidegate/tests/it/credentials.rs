//! Credentials on a real installation: the test button, and what requests bring along leaves no trace.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tidegate_testkit::installation::Installation;

use crate::support::{client, install, nodes, seconds, until};

const CANARY: &str = "canary-K7MDENG-bPxRfiCY-EXAMPLEKEY";
/// Any eight characters of it are too many.
const PIECE: &str = "K7MDENG-";

async fn call(url: &str, key: &str, surface: &str, byok: &Value) -> (u16, String) {
    let options = json!({"gateway": {"byok": byok, "only": ["sim-openai"]}});
    let messages = json!([{"role": "user", "content": "Hello"}]);
    let body =
        json!({"model": "sim/chat", "max_tokens": 20, "messages": messages, "providerOptions": options});
    let reply = client().post(format!("{url}{surface}")).bearer_auth(key).json(&body).send().await.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
        {
            found.push(path.display().to_string());
        }
    }
    found
}

fn dumps(installation: &Installation) -> (String, String) {
    let url = installation.postgres.address().superuser_url("tidegate");
    let dump = Command::new("pg_dump").arg("--dbname").arg(&url).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let script = "local out={} for _,k in ipairs(redis.call('KEYS','*')) do out[#out+1]=k \
                  local t=redis.call('TYPE',k).ok local v={} if t=='hash' then v=redis.call('HGETALL',k) \
                  elseif t=='string' then v={redis.call('GET',k)} elseif t=='zset' then v=redis.call('ZRANGE',k,0,-1) elseif t=='stream' then for _,e in ipairs(redis.call('XRANGE',k,'-','+')) do for _,f in ipairs(e[2]) do v[#v+1]=f end end end \
                  for _,x in ipairs(v) do out[#out+1]=x end end return table.concat(out,' ')";
    let redis = installation.redis.as_ref().unwrap().command(&["EVAL", script, "0"]).unwrap();
    (String::from_utf8_lossy(&dump.stdout).into_owned(), redis)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_brings_along_is_in_no_log_no_file_no_table_and_no_counter() {
    let installation = install(nodes(1)).await;
    let (id, key) = installation.key("witness-of-the-dump", &json!({})).await.unwrap();
    installation.budget("all", "5.00", json!({"key": id})).await.unwrap();
    let url = installation.gateway(0).unwrap();
    let mapping = json!([{"gatewayModelSlug": "sim/chat", "customModelId": "sim"}]);
    let robot = json!({"clientEmail": CANARY, "privateKey": CANARY});
    let shapes = [
        (json!({"apiKey": CANARY}), 200),
        (json!({"apiKey": CANARY, "resourceName": "acme", "modelMappings": mapping}), 200),
        (json!({"accessKeyId": CANARY, "secretAccessKey": CANARY, "region": "eu-west-1"}), 200),
        (json!({"project": "p", "location": "l", "googleCredentials": robot}), 400),
        (json!({"apiKey": CANARY, "baseURL": CANARY}), 400),
    ];
    for (shape, status) in &shapes {
        for surface in ["/v1/chat/completions", "/v1/messages", "/v1/responses"] {
            let (found, body) = call(&url, &key, surface, &json!({"sim-openai": [shape]})).await;
            // The last surface has no `messages`: a malformed request is one more way to fail.
            assert!(found == *status || surface == "/v1/responses", "{surface} {shape}: {found} {body}");
            assert!(!body.contains(PIECE), "{body}");
        }
    }
    let calls = || async {
        installation
            .admin
            .get("/calls")
            .await
            .is_ok_and(|all| all["data"].as_array().is_some_and(|all| all.len() >= 6))
    };
    until("the records arrive", seconds(20), calls).await;
    let (tables, counters) = dumps(&installation);
    assert!(tables.contains("witness-of-the-dump") && counters.contains("5000000000"), "control: {counters}");
    assert!(!tables.contains(PIECE) && !counters.contains(PIECE));
    fs::write(installation.folder().join("control"), CANARY).unwrap();
    let files = files_with(installation.folder(), PIECE);
    assert!(files.len() == 1 && files[0].ends_with("control"), "{files:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_test_button_has_a_node_ask_the_provider() {
    let installation = install(nodes(1)).await;
    let admin = &installation.admin;
    let own = json!({"name": "own", "provider": "sim-openai", "scope": "organization", "secret": {"api_key": CANARY}});
    let made = admin.post("/credentials?wait=fleet", &own).await.unwrap();
    let path = format!("/credentials/{}/test", made["id"].as_str().unwrap());
    let accepted = || async { admin.post(&path, &Value::Null).await.is_ok_and(|told| told["ok"] == true) };
    until("the credential is accepted", seconds(20), accepted).await;
    let told = admin.post(&path, &Value::Null).await.unwrap();
    assert_eq!(
        (&told["code"], &told["status"], &told["model"]),
        (&json!("accepted"), &json!(200), &json!("sim/chat"))
    );
    assert!(!told.to_string().contains(PIECE), "{told}");
}
