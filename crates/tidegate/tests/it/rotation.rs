//! Keys are rotated while applications call: no call fails, old keys can be removed, and who kept them before
//! is asked no more.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use tidegate_secrets::keygen::write_key_encryption_key;
use tidegate_testkit::installation::Installation;

use crate::support::kms::{self, Kms};
use crate::support::vault::{JWT, TOKEN, Vault};
use crate::support::{App, Ask, apps, full, install, nodes, seconds, until};

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
async fn a_key_of_aws_kms_keeps_the_root_keys_by_a_pair_of_keys_or_by_a_role() {
    let mut installation = install(nodes(1)).await;
    let (_, key) = installation.key("first", &json!({})).await.unwrap();
    let load = Load::begin(&apps(&installation, &key)[0]);
    let folder = installation.folder().to_owned();
    let (old, secret, token) =
        (folder.join("key-encryption-key"), folder.join("aws-secret"), folder.join("eks-token"));
    let kms = Kms::start().await;
    fs::write(&secret, kms::KEYS.1).unwrap();
    fs::write(&token, kms::TOKEN).unwrap();
    let at = format!(
        "[encryption.kms]\nregion = {:?}\nkey = {:?}\nendpoint = {:?}",
        kms::REGION,
        kms::KEY,
        kms.address
    );
    let by_keys = format!("{at}\naccess_key_id = {:?}\nsecret_access_key_file = {secret:?}", kms::KEYS.0);
    keep_by(&folder, &format!("previous_key_files = [{old:?}]\n{by_keys}"));
    installation.restart_control_plane(0).await.unwrap();
    let all = rotate(&installation, "kek").await;
    assert_eq!(all["root_keys"][0]["wrapper"], format!("aws-kms:{}/{}", kms::REGION, kms::KEY), "{all}");
    fs::remove_file(&old).unwrap();
    // The same key, by a role that is given for a service account's token; it is asked at the start only.
    let by_role = format!(
        "{at}\nrole = {:?}\ntoken_file = {token:?}\nsts_endpoint = \"{}/sts\"",
        kms::ROLE,
        kms.address
    );
    keep_by(&folder, &by_role);
    let before = kms.decrypted();
    installation.restart_control_plane(0).await.unwrap();
    assert!(kms.decrypted() > before);
    kms.disable(true);
    issues_keys(&installation, "key-is-disabled").await;
    load.end().await;
    // Without its keeper a control plane does not start, and says why; nor with a wrong secret or token.
    let refused = installation.restart_control_plane(0).await.unwrap_err().to_string();
    assert!(refused.contains("disabled"), "{refused}");
    kms.disable(false);
    fs::write(&token, "another token").unwrap();
    let refused = installation.restart_control_plane(0).await.unwrap_err().to_string();
    assert!(refused.contains("STS refuses"), "{refused}");
    fs::write(&secret, "another-secret").unwrap();
    keep_by(&folder, &by_keys);
    let refused = installation.restart_control_plane(0).await.unwrap_err().to_string();
    assert!(refused.contains("does not accept the credentials"), "{refused}");
    fs::write(&secret, kms::KEYS.1).unwrap();
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

/// Numbers that look random, from a seed that is told.
struct Draw(u64);

impl Draw {
    fn begin() -> Self {
        let given = std::env::var("TIDEGATE_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(std::process::id()) << 20 | 0x5eed);
        println!("TIDEGATE_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// Which rotations are there, and how many of them are done.
pub(crate) async fn rotations(installation: &Installation) -> (usize, usize) {
    let path = "/encryption/rotations?organization=system";
    let Ok(all) = installation.admin.get(path).await else { return (0, 0) };
    let all = all["data"].as_array().cloned().unwrap_or_default();
    (all.len(), all.iter().filter(|one| one["state"] == "done").count())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_killed_in_the_middle_of_rotations_goes_on_with_them_and_no_call_fails() {
    let mut installation = install(nodes(1)).await;
    let own = json!({"name": "own", "provider": "sim-openai", "scope": "organization", "secret": {"api_key": "sk-own"}});
    installation.admin.post("/credentials?wait=fleet", &own).await.unwrap();
    for number in 0..20 {
        let body = json!({"slug": format!("tenant-{number}"), "name": format!("tenant {number}")});
        let tenant = installation.admin.post("/organizations", &body).await.unwrap();
        let at = format!("/credentials?organization={}", tenant["id"].as_str().unwrap());
        installation.admin.post(&at, &own).await.unwrap();
    }
    let (_, key) = installation.key("first", &json!({})).await.unwrap();
    let app = apps(&installation, &key).remove(0);
    app.expect(&Ask::chat("Hello"), 200).await;
    let load = Load::begin(&app);
    let mut draw = Draw::begin();
    let path = "/encryption/rotations?organization=system";
    for kind in ["kek", "data_key", "pool_key", "pepper"] {
        installation.admin.post(path, &json!({ "kind": kind })).await.unwrap();
    }
    let (mut interrupted, mut round) = (0, 0);
    let rounds = if full() { 25 } else { 3 };
    while round < rounds || (interrupted == 0 && round < rounds + 20) {
        // Sooner and sooner as long as nothing was met while it ran.
        let most = if interrupted == 0 { 9_000 >> round.min(6) } else { 9_000 };
        tokio::time::sleep(std::time::Duration::from_millis(draw.below(most))).await;
        let (all, done) = rotations(&installation).await;
        installation.control_planes[0].kill();
        println!("kill {round}: {done} of {all} done");
        round += 1;
        interrupted += usize::from(done < all);
        if done == all {
            installation.restart_control_plane(0).await.unwrap();
            for kind in ["kek", "data_key", "pool_key", "pepper"] {
                installation.admin.post(path, &json!({ "kind": kind })).await.unwrap();
            }
        } else {
            installation.restart_control_plane(0).await.unwrap();
        }
    }
    assert!(interrupted > 0, "a kill when nothing runs shows nothing");
    let finished = || async {
        let (all, done) = rotations(&installation).await;
        all >= 4 && done == all
    };
    until("every rotation is done", seconds(120), finished).await;
    load.end().await;
    let all = installation.admin.get(path).await.unwrap();
    assert_eq!(all["root_keys"].as_array().map(Vec::len), Some(1), "{all}");
    assert_eq!(all["root_keys"][0]["state"], "active");
    assert!(all["data"].as_array().unwrap().iter().all(|one| one["problem"].is_null()), "{all}");
    // Nothing lies under a key that is gone: what is stored opens, at a node and at the control plane.
    let newest = "DO $$ BEGIN ASSERT NOT EXISTS (SELECT 1 FROM credentials c WHERE NOT EXISTS (SELECT 1 FROM \
        data_keys d WHERE d.organization_id = c.organization_id AND d.version = c.data_key_version)); END $$";
    installation.sql(newest).unwrap();
    installation.restart_control_plane(0).await.unwrap();
    installation.restart_node(0).await.unwrap();
    issues_keys(&installation, "afterwards").await;
    app_at(&installation, &key).expect(&Ask::chat("Hello"), 200).await;
}

fn app_at(installation: &Installation, key: &str) -> App {
    apps(installation, key).remove(0)
}
