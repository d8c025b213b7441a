//! Keys are rotated while applications call: no call fails, old keys can be removed, and who kept them before
//! is asked no more.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use tidegate_secrets::keygen::write_key_encryption_key;
use tidegate_testkit::installation::Installation;

use crate::support::vault::{JWT, TOKEN, Vault};
use crate::support::{App, Ask, apps, install, nodes, seconds, until};

/// Applications that call until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    callers: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    fn begin(app: &App) -> Self {
        let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let caller = |_| {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            let app = App::new(&app.base, &app.key);
            tokio::spawn(async move {
                let mut failed = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    match app.call(&Ask::chat("Hello")).await {
                        Ok(reply) if reply.status == 200 => {
                            done.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(reply) => failed.push(format!("{} {}", reply.status, reply.text)),
                        Err(error) => failed.push(error.to_string()),
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
                failed
            })
        };
        let callers = (0..3).map(caller).collect();
        Self { stop, done, callers }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        for caller in self.callers {
            assert_eq!(caller.await.unwrap(), Vec::<String>::new());
        }
        assert!(self.done.load(Ordering::SeqCst) > 100, "a load that calls nobody shows nothing");
    }
}

async fn rotate(installation: &Installation, kind: &str) -> Value {
    let admin = &installation.admin;
    let path = "/encryption/rotations?organization=system";
    let begun = admin.post(path, &json!({ "kind": kind })).await.unwrap();
    let id = begun["id"].as_str().unwrap().to_owned();
    let done = || async {
        let all = admin.get(path).await.unwrap();
        let mine = all["data"].as_array().unwrap().iter().find(|one| one["id"] == *id).cloned().unwrap();
        assert_eq!(mine["problem"], Value::Null, "{mine}");
        mine["state"] == "done"
    };
    until(kind, seconds(90), done).await;
    admin.get(path).await.unwrap()
}

/// Replaces the section of the key-encryption key in the control plane's configuration.
fn keep_by(folder: &Path, section: &str) {
    let file = folder.join("control-0.toml");
    let text = fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once("[encryption]").unwrap();
    let after = &rest[rest.find("[control_plane]").unwrap()..];
    fs::write(&file, format!("{before}[encryption]\n{section}\n\n{after}")).unwrap();
}

async fn issues_keys(installation: &Installation, name: &str) {
    let (_, key) = installation.key(name, &json!({})).await.unwrap();
    apps(installation, &key)[0].expect(&Ask::chat("Hello"), 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_key_is_rotated_under_load_and_no_call_fails() {
    let installation = install(nodes(1)).await;
    let own = json!({"name": "own", "provider": "sim-openai", "scope": "organization", "secret": {"api_key": "sk-own"}});
    installation.admin.post("/credentials?wait=fleet", &own).await.unwrap();
    let (id, key) = installation.key("first", &json!({})).await.unwrap();
    let app = apps(&installation, &key).remove(0);
    app.expect(&Ask::chat("Hello"), 200).await;
    let load = Load::begin(&app);
    for kind in ["data_key", "pool_key", "pepper", "kek"] {
        let all = rotate(&installation, kind).await;
        if kind == "kek" {
            assert_eq!(all["root_keys"].as_array().map(Vec::len), Some(1), "{all}");
            assert_eq!(all["root_keys"][0]["state"], "active");
        }
        issues_keys(&installation, &format!("after-{kind}")).await;
    }
    load.end().await;
    // The first key is the only one of the old pepper: with it, that retires.
    let peppers = "DO $$ BEGIN ASSERT (SELECT count(*) FROM peppers WHERE retired_at IS NULL) = ";
    installation.sql(&format!("{peppers} 2; END $$")).unwrap();
    for revoked in ["after-data_key", "after-pool_key"] {
        let all = installation.admin.get("/keys").await.unwrap();
        let one = all["data"].as_array().unwrap().iter().find(|one| one["name"] == revoked).unwrap().clone();
        installation.admin.delete(&format!("/keys/{}", one["id"].as_str().unwrap())).await.unwrap();
    }
    installation.admin.delete(&format!("/keys/{id}")).await.unwrap();
    let retired = || async { installation.sql(&format!("{peppers} 1; END $$")).is_ok() };
    until("the old pepper retires", seconds(10), retired).await;
    let audit = installation.admin.get("/audit?organization=system&limit=200").await.unwrap().to_string();
    for action in ["keys.rotate", "keys.rotated", "keys.rewrap", "keys.pool.create", "keys.pepper.create"] {
        assert!(audit.contains(action), "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_keeper_takes_over_and_the_old_key_is_removed() {
    let mut installation = install(nodes(1)).await;
    let own = json!({"name": "own", "provider": "sim-openai", "scope": "organization", "secret": {"api_key": "sk-own"}});
    installation.admin.post("/credentials?wait=fleet", &own).await.unwrap();
    let (_, key) = installation.key("first", &json!({})).await.unwrap();
    let load = Load::begin(&apps(&installation, &key)[0]);
    let folder = installation.folder().to_owned();
    let (old, new) = (folder.join("key-encryption-key"), folder.join("second-key"));
    write_key_encryption_key(&new).unwrap();
    // Another file.
    keep_by(&folder, &format!("key_file = {new:?}\nprevious_key_files = [{old:?}]"));
    installation.restart_control_plane(0).await.unwrap();
    rotate(&installation, "kek").await;
    fs::remove_file(&old).unwrap();
    keep_by(&folder, &format!("key_file = {new:?}"));
    installation.restart_control_plane(0).await.unwrap();
    issues_keys(&installation, "second-file").await;
    // Vault, by a token.
    let vault = Vault::start().await;
    let (token, jwt) = (folder.join("vault-token"), folder.join("jwt"));
    fs::write(&token, TOKEN).unwrap();
    fs::write(&jwt, JWT).unwrap();
    let at = format!("[encryption.vault]\naddress = {:?}\nkey = \"tidegate\"", vault.address);
    keep_by(&folder, &format!("previous_key_files = [{new:?}]\n{at}\ntoken_file = {token:?}"));
    installation.restart_control_plane(0).await.unwrap();
    let all = rotate(&installation, "kek").await;
    let keeper = all["root_keys"][0]["wrapper"].as_str().unwrap().to_owned();
    assert!(keeper.starts_with("vault:") && keeper.ends_with("transit/tidegate"), "{all}");
    fs::remove_file(&new).unwrap();
    // The same key of Vault, by a service account. It is asked at the start only.
    let by_role = format!("{at}\nkubernetes_role = \"tidegate\"\nkubernetes_token_file = {jwt:?}");
    keep_by(&folder, &by_role);
    let before = vault.decrypted();
    installation.restart_control_plane(0).await.unwrap();
    assert!(vault.decrypted() > before);
    vault.seal(true);
    issues_keys(&installation, "vault-is-sealed").await;
    load.end().await;
    // Without its keeper a control plane does not start, and says why.
    let refused = installation.restart_control_plane(0).await.unwrap_err().to_string();
    assert!(refused.contains("sealed"), "{refused}");
    vault.seal(false);
    installation.restart_control_plane(0).await.unwrap();
    issues_keys(&installation, "again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_a_node_rotates_the_key_of_its_pool() {
    let installation = install(nodes(2)).await;
    let (_, key) = installation.key("first", &json!({})).await.unwrap();
    let fleet = installation.admin.get("/fleet").await.unwrap();
    let all = fleet["data"].as_array().unwrap();
    let second = all.iter().find(|node| node["name"] == "node-1").unwrap();
    installation.admin.delete(&format!("/fleet/{}", second["id"].as_str().unwrap())).await.unwrap();
    let path = "/encryption/rotations?organization=system";
    let done = || async {
        let all = installation.admin.get(path).await.unwrap();
        let first = &all["data"][0];
        first["kind"] == "pool_key" && first["pool"] == "default" && first["state"] == "done"
    };
    until("the pool's key is rotated", seconds(60), done).await;
    let own = json!({"name": "own", "provider": "sim-openai", "scope": "organization", "secret": {"api_key": "sk-own"}});
    installation.admin.post("/credentials", &own).await.unwrap();
    let newest = "DO $$ BEGIN ASSERT (SELECT min(version) FROM pool_keys) = 2; END $$";
    installation.sql(newest).unwrap();
    apps(&installation, &key)[0].expect(&Ask::chat("Hello"), 200).await;
}
