//! Configuration that cannot hold is refused, with the name of the key, and a non-zero exit.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tidegate_testkit::{binaries, port, postgres};

use crate::support::binary;

/// A command that must end by itself.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    run_with(folder, arguments, &[])
}

/// The same with these variables in its environment.
fn run_with(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut child = Command::new(binary())
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("{arguments:?} did not end: {:?}", child.wait_with_output().unwrap());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

/// The command fails and says all of these.
fn assert_refused(folder: &Path, arguments: &[&str], said: &[&str]) {
    let output = run(folder, arguments);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{arguments:?} was taken");
    assert_eq!(output.status.code(), Some(1), "a clear end, no crash: {text}");
    for word in said {
        assert!(text.contains(word), "{arguments:?} must say {word:?}: {text}");
    }
    assert!(!text.contains("panicked") && !text.contains("canary"), "{text}");
}

fn write(folder: &Path, content: &str) -> String {
    let file = folder.join("tidegate.toml");
    fs::write(&file, content).unwrap();
    file.to_string_lossy().into_owned()
}

#[test]
fn check_config_names_the_key_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let table = [
        ("node", "[node]\nlisten_adress = \"127.0.0.1:1\"", "listen_adress"),
        ("node", "[node]\nlisten = 7", "listen"),
        ("node", "[node]\nworkers = \"many\"", "workers"),
        ("node", "[redis]\nurl = \"redis+sentinel://canary-a:26379/primary\"", "redis.url"),
        ("node", "[redis]\nurl = \"redis://canary-a:6379,b:6379\"", "one endpoint"),
        ("node", "[redis]\nurl = \"rediss://canary:secret@a#insecure\"", "redis.url"),
        ("node", "[redis]\nurl = \"rediss://a\"\nca_file = \"absent.pem\"", "redis.ca_file"),
        ("node", "[redis]\nca_file = \"absent.pem\"", "redis.ca_file"),
        ("node", "[redis.sentinel]\naddresses = [\"a:26379\"]\ngroup = \"tg\"", "redis.sentinel"),
        (
            "node",
            "[redis]\nurl = \"redis://canary@a\"\nsentinel = {addresses = [\"a\"], group = \"tg\"}",
            "Sentinels need",
        ),
        ("node", "[redis]\nurl = \"redis://a\"\nsentinel = {addresses = [\"a:1\"]}", "Sentinels need"),
        ("node", "[redis]\nurl = \"redis://a\"\nsentinel = {address = \"a:1\"}", "address"),
        ("node", "[redis.cluster]\naddresses = [\"a:6379\"]", "redis.cluster"),
        (
            "node",
            "[redis]\nurl = \"redis://canary@a\"\ncluster = {addresses = [\"a\"]}",
            "redis.cluster needs",
        ),
        ("node", "[redis]\nurl = \"redis://a\"\ncluster = {}", "redis.cluster needs"),
        (
            "node",
            "[redis]\nurl = \"redis://canary@a/2\"\ncluster = {addresses = [\"a:1\"]}",
            "redis.cluster needs",
        ),
        ("node", "[redis]\nurl = \"redis://a\"\ncluster = {seeds = [\"a:1\"]}", "seeds"),
        (
            "node",
            "[redis]\nurl = \"redis://a\"\nsentinel = {addresses = [\"a:1\"], group = \"tg\"}\ncluster = {addresses = [\"a:1\"]}",
            "no redis.sentinel",
        ),
        ("node", "[upstream]\nproxy = \"https://canary:secret@proxy:3128\"", "upstream.proxy"),
        ("node", "", "node.trust_roots_file"),
        ("control-plane", "[database]\nurl = 3", "url"),
        ("control-plane", "", "database.url"),
        (
            "control-plane",
            "[database]\nurl = \"postgres://a@b/c\"\nfeed_url = \"postgres://a@b/c\"",
            "encryption",
        ),
        ("migrate", "", "database.migrate_url"),
        ("control-plane", "[logs]\nformat = \"json\"", "logs"),
        ("node", "not toml at all", "TOML"),
    ];
    for (command, content, key) in table {
        let file = write(folder.path(), content);
        assert_refused(folder.path(), &[command, "--config", &file, "--check-config"], &[key]);
    }
    assert_refused(folder.path(), &["node", "--config", "absent.toml", "--check-config"], &["absent.toml"]);
}

/// An end without its quote, and values of the wrong type, each at a secret: whoever reads the file says where,
/// and nothing of what is written there.
#[test]
fn what_does_not_load_is_told_without_the_secrets_that_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let table = [
        ("[database]\nurl = \"postgres://a:canary-password@h/db", "", "line 2, column "),
        ("[node]\n\njoin_token = canary-token", "", "line 3, column 14"),
        ("[encryption]\nkey = 2718281828", "", "encryption.key"),
        ("[redis.sentinel]\npassword = [\"canary\", 2718281828]", "", "redis.sentinel.password"),
        ("[node]\nworkers = \"canary-password\"", "", "node.workers"),
        ("", "canary-password", "TIDEGATE_NODE__WORKERS"),
        ("", "2718281828.5", "TIDEGATE_NODE__WORKERS"),
    ];
    for (content, workers, place) in table {
        let file = write(folder.path(), content);
        let variables = [("TIDEGATE_NODE__WORKERS", workers)];
        for arguments in [
            &["node", "--config", &file][..],
            &["control-plane", "--config", &file, "--check-config"],
            &["doctor", "--config", &file],
            &["doctor", "--json", "--config", &file],
        ] {
            let output = run_with(folder.path(), arguments, &variables[usize::from(workers.is_empty())..]);
            let said = [&output.stdout[..], &output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert_eq!(output.status.code(), Some(1), "{arguments:?} {content:?}: {said}");
            assert!(said.contains(place), "{arguments:?} must say {place:?}: {said}");
            assert!(!said.contains("canary") && !said.contains("2718281828"), "a secret is in {said}");
        }
    }
}

#[test]
fn passwords_of_the_environment_are_taken_as_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("roots.pem"), "").unwrap();
    let content = "[node]\ncontrol_plane_url = \"https://127.0.0.1:1\"\ntrust_roots_file = \"roots.pem\"\n\
                   [redis]\nurl = \"redis://a\"\nsentinel = {addresses = [\"a:26379\"], group = \"tg\"}\n";
    let file = write(folder.path(), content);
    for password in ["0123456", "[brackets]", "\"quotes\"", "true"] {
        let variables = [("TIDEGATE_REDIS__SENTINEL__PASSWORD", password), ("TIDEGATE_NODE__WORKERS", "2")];
        let output = run_with(folder.path(), &["node", "--config", &file, "--check-config"], &variables);
        assert!(output.status.success(), "{password}: {output:?}");
    }
}

#[test]
fn a_configuration_in_order_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "[database]\nmigrate_url = \"postgres://owner@127.0.0.1/tidegate\"");
    let output = run(folder.path(), &["migrate", "--config", &file, "--check-config"]);
    assert!(output.status.success(), "{output:?}");
}

fn sql(server: &postgres::Server, statement: &str) {
    let psql = binaries::find("psql").unwrap();
    let done = Command::new(psql)
        .args(["-qX", "-c", statement])
        .arg(server.address().superuser_url("postgres"))
        .status();
    assert!(done.unwrap().success(), "{statement}");
}

/// A control plane's configuration with this login for everything.
fn control_plane(folder: &Path, url: &str) -> String {
    let [api, grpc, metrics] = [(); 3].map(|()| port::free().unwrap());
    let content = format!(
        "[database]\nurl = {url:?}\nfeed_url = {url:?}\nmigrate_url = {url:?}\n[encryption]\nkey_file = \"key\"\n\
         [control_plane]\nlisten = \"127.0.0.1:{api}\"\ngrpc_listen = \"127.0.0.1:{grpc}\"\nmetrics_listen = \"127.0.0.1:{metrics}\"\n",
    );
    write(folder, &content)
}

#[test]
fn the_control_plane_refuses_logins_that_see_past_row_level_security() {
    let folder = tempfile::tempdir().unwrap();
    let server = postgres::Server::start().unwrap();
    assert!(run(folder.path(), &["keygen", "--out", "key"]).status.success());
    sql(&server, "CREATE ROLE schema_owner LOGIN CREATEROLE PASSWORD 'canary-password'");
    sql(&server, "CREATE DATABASE owned OWNER schema_owner");
    let owner = server.address().url("schema_owner", "canary-password", "owned");
    let file = control_plane(folder.path(), &owner);
    let migrated = run(folder.path(), &["migrate", "--config", &file]);
    assert!(migrated.status.success(), "{migrated:?}");

    for url in [owner, server.address().superuser_url("owned")] {
        let file = control_plane(folder.path(), &url);
        assert_refused(
            folder.path(),
            &["control-plane", "--config", &file],
            &["refusing to use this database login"],
        );
        let output = run(folder.path(), &["control-plane", "--config", &file]);
        let text = String::from_utf8_lossy(&output.stderr);
        for password in ["canary-password", &server.address().password] {
            assert!(!text.contains(password), "a password is in {text}");
        }
    }
}

#[test]
fn a_node_without_an_identity_says_that_it_needs_a_join_token() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("roots.pem"), "").unwrap();
    let content = "[node]\nlisten = \"127.0.0.1:0\"\nmetrics_listen = \"127.0.0.1:0\"\nstate_dir = \"state\"\n\
                   control_plane_url = \"https://127.0.0.1:1\"\ntrust_roots_file = \"roots.pem\"\n";
    let file = write(folder.path(), content);
    assert_refused(folder.path(), &["node", "--config", &file], &["join"]);
}

#[test]
fn a_key_encryption_key_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    assert!(run(folder.path(), &["keygen", "--out", "key"]).status.success());
    let key = fs::read(folder.path().join("key")).unwrap();
    assert_refused(folder.path(), &["keygen", "--out", "key"], &["key"]);
    assert_eq!(fs::read(folder.path().join("key")).unwrap(), key);
}
