//! `tidegate doctor` on a running installation: all is in order; each planted fault is found by its name, with
//! what to do, and without a secret.

mod node;

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::Value;
use tidegate_testkit::installation::Installation;
use tidegate_testkit::process::wait_until;
use tidegate_testkit::{binaries, port, postgres};

use crate::configuration::run;
use crate::support::{install, nodes};

/// What one run of the doctor said.
struct Said {
    well: bool,
    text: String,
    report: Value,
}

impl Said {
    /// State of a check, and what was seen.
    fn of(&self, check: &str) -> (&str, &str) {
        let all = self.report["checks"].as_array().unwrap();
        let mut found = all.iter().filter(|one| one["check"] == check);
        let one = found.next().unwrap_or_else(|| panic!("{check} is not in {}", self.text));
        (one["state"].as_str().unwrap(), one["saw"].as_str().unwrap())
    }

    /// The check has this state and says this; what is not in order says what to do.
    fn assert(&self, check: &str, state: &str, saw: &str) {
        let found = self.of(check);
        assert!(found.0 == state && found.1.contains(saw), "{check} must be {state}, {saw}: {}", self.text);
        let all = self.report["checks"].as_array().unwrap();
        for one in all.iter().filter(|one| one["state"] != "ok") {
            assert!(one["do"].as_str().is_some_and(|advice| advice.len() > 5), "{one} says what to do");
        }
        assert_eq!(self.well, all.iter().all(|one| one["state"] != "failed"), "{}", self.text);
        assert_eq!(self.report["ok"], self.well);
        assert!(!self.text.contains("canary"), "a secret is in {}", self.text);
    }
}

fn look(file: &Path, more: &[&str]) -> Said {
    let named = file.to_string_lossy().into_owned();
    let arguments = [&["doctor", "--json", "--config", &named], more].concat();
    let output = run(file.parent().unwrap(), &arguments);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    Said { well: output.status.success(), text, report }
}

/// A copy of a configuration where lines that begin with `find` are replaced.
fn ill(installation: &Installation, file: &str, changes: &[(&str, String)]) -> PathBuf {
    let text = fs::read_to_string(installation.folder().join(file)).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (find, put) in changes {
        let line = lines.iter_mut().find(|line| line.starts_with(find));
        put.clone_into(line.unwrap_or_else(|| panic!("{find} in {text}")));
    }
    let ill = installation.folder().join("ill.toml");
    fs::write(&ill, lines.join("\n")).unwrap();
    fs::set_permissions(&ill, fs::Permissions::from_mode(0o600)).unwrap();
    ill
}

/// The value of a key in a configuration file.
fn value(installation: &Installation, file: &str, key: &str) -> String {
    let text = fs::read_to_string(installation.folder().join(file)).unwrap();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap();
    line.split('"').nth(1).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "a table of faults")]
async fn the_doctor_finds_nothing_where_all_is_well_and_each_planted_fault_of_a_control_plane() {
    let installation = install(nodes(0)).await;
    let whole = ill(&installation, "control-0.toml", &[]);
    let said = look(&whole, &[]);
    assert!(said.well, "{}", said.text);
    for (check, saw) in [
        ("configuration", "a control plane's"),
        ("database.url reachable", "as tg_app"),
        ("database.feed_url rights", "its role only"),
        ("database.migrate_url rights", "it may make"),
        ("database.url pooler", "sessions are sessions"),
        ("postgres schema", "as this program needs it"),
        ("postgres role", "the primary"),
        ("postgres version", "no extension is needed"),
        ("postgres clock", "give or take"),
        ("postgres connections", "are free"),
        ("encryption keeper", "local:"),
        ("encryption sealed", "opens all"),
        ("control_plane.grpc_listen", "in use"),
    ] {
        said.assert(check, "ok", saw);
    }
    let lines = run(installation.folder(), &["doctor", "--config", &whole.to_string_lossy()]);
    let lines = String::from_utf8_lossy(&lines.stdout).into_owned();
    assert!(lines.contains("ok       postgres role") && lines.contains("0 failed"), "{lines}");
    // What lies in the configuration.
    let dead = port::free().unwrap();
    let (url, feed) =
        (value(&installation, "control-0.toml", "url"), value(&installation, "control-0.toml", "feed_url"));
    let owner = value(&installation, "control-0.toml", "migrate_url");
    let key = installation.folder().join("other-key");
    assert!(run(installation.folder(), &["keygen", "--out", &key.to_string_lossy()]).status.success());
    let superuser = installation.postgres.address().superuser_url("tidegate");
    for (find, put, check, saw) in [
        (
            "feed_url",
            format!("feed_url = \"postgres://nobody:canary@127.0.0.1:{dead}/x\""),
            "database.feed_url reachable",
            "refused",
        ),
        (
            "url",
            format!("url = {:?}", url.replace("only-in", "canary-in")),
            "database.url reachable",
            "authentication failed",
        ),
        (
            "url",
            format!("url = {:?}", url.replace("/tidegate", "/absent")),
            "database.url reachable",
            "does not exist",
        ),
        ("url", format!("url = {owner:?}"), "database.url rights", "owns tables"),
        ("feed_url", format!("feed_url = {superuser:?}"), "database.feed_url rights", "superuser"),
        ("url", format!("url = {feed:?}"), "database.url rights", "not a member of tidegate_app"),
        (
            "migrate_url",
            format!("migrate_url = {url:?}"),
            "database.migrate_url rights",
            "may not make tables",
        ),
        ("url", format!("url = \"{url}?sslmode=verify-full\""), "database.url reachable", "TLS"),
        ("key_file", format!("key_file = {key:?}"), "encryption sealed", "does not open"),
        ("key_file", "key_file = \"absent\"".to_owned(), "configuration", "absent"),
        (
            "grpc_listen",
            "grpc_listen = \"192.0.2.1:8443\"".to_owned(),
            "control_plane.grpc_listen",
            "192.0.2.1",
        ),
        ("listen", "lisen = 1".to_owned(), "configuration", "lisen"),
    ] {
        look(&ill(&installation, "control-0.toml", &[(find, put)]), &[]).assert(check, "failed", saw);
    }
    in_the_database(&installation);
}

/// Faults of the server itself.
fn in_the_database(installation: &Installation) {
    let whole = ill(installation, "control-0.toml", &[]);
    let sql = |statement: &str| installation.sql(statement).unwrap();
    fs::set_permissions(&whole, fs::Permissions::from_mode(0o644)).unwrap();
    look(&whole, &[]).assert("configuration file", "warning", "mode 644");
    fs::set_permissions(&whole, fs::Permissions::from_mode(0o600)).unwrap();
    // A clock that is a minute ahead, to those who ask as this login.
    sql("CREATE SCHEMA wrong");
    sql(
        "CREATE FUNCTION wrong.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT pg_catalog.now() + interval ''1 minute'''",
    );
    sql("GRANT USAGE ON SCHEMA wrong TO PUBLIC");
    sql("ALTER ROLE tg_app SET search_path = wrong, public, pg_catalog");
    look(&whole, &[]).assert("postgres clock", "failed", "ahead of");
    sql("ALTER ROLE tg_app RESET search_path");
    // A schema of an earlier release, of a later one, and none.
    let newest = &installation.query("SELECT max(version) FROM _sqlx_migrations").unwrap()[0][0];
    sql(&format!("UPDATE _sqlx_migrations SET success = false WHERE version = {newest}"));
    look(&whole, &[]).assert("postgres schema", "failed", "this program needs");
    sql("UPDATE _sqlx_migrations SET success = true");
    sql(
        "UPDATE _sqlx_migrations SET version = version + 100000 WHERE version = (SELECT max(version) FROM _sqlx_migrations)",
    );
    look(&whole, &[]).assert("postgres schema", "ok", "of a later release");
    sql(
        "UPDATE _sqlx_migrations SET version = version - 100000 WHERE version = (SELECT max(version) FROM _sqlx_migrations)",
    );
    sql("ALTER TABLE _sqlx_migrations RENAME TO away");
    let said = look(&whole, &[]);
    said.assert("postgres schema", "warning", "none yet");
    said.assert("encryption sealed", "warning", "not looked at");
    assert!(said.well, "before an installation there is no schema: {}", said.text);
    sql("ALTER TABLE away RENAME TO _sqlx_migrations");
    sql("ALTER ROLE tg_app BYPASSRLS");
    look(&whole, &[]).assert("database.url rights", "failed", "bypasses row-level security");
    sql("ALTER ROLE tg_app NOBYPASSRLS");
    assert!(look(&whole, &[]).well, "everything is as it was");
}

/// A standby of nothing, and a server that encrypts.
#[test]
fn the_doctor_knows_a_standby_and_who_may_be_believed() {
    let folder = tempfile::tempdir().unwrap();
    assert!(run(folder.path(), &["keygen", "--out", "key"]).status.success());
    let mut server = postgres::Server::start().unwrap();
    let data = server.folder().join("data");
    let made = certificate(folder.path());
    fs::write(data.join("server.crt"), made.0).unwrap();
    fs::write(data.join("server.key"), made.1).unwrap();
    fs::set_permissions(data.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let own = fs::metadata(&data).unwrap();
    for file in ["server.crt", "server.key"] {
        std::os::unix::fs::chown(data.join(file), Some(own.uid()), Some(own.gid())).unwrap();
    }
    let url = server.address().superuser_url("postgres");
    let file = folder.path().join("control.toml");
    let look_at = |url: &str| {
        let text =
            format!("[database]\nurl = {url:?}\nfeed_url = {url:?}\n[encryption]\nkey_file = \"key\"\n");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        look(&file, &[])
    };
    look_at(&url).assert("database.url tls", "ok", "on this machine");
    let conf = data.join("postgresql.conf");
    fs::write(&conf, format!("{}\nssl = on\n", fs::read_to_string(&conf).unwrap())).unwrap();
    server.start_again().unwrap();
    look_at(&url).assert("database.url tls", "warning", "TLSv1.3, but whoever answers is believed");
    let ca = folder.path().join("ca.crt");
    let named = url.replace("127.0.0.1", "localhost");
    look_at(&format!("{named}?sslmode=verify-full&sslrootcert={}", ca.display())).assert(
        "database.url tls",
        "ok",
        "certificate and name are checked",
    );
    fs::write(data.join("standby.signal"), "").unwrap();
    server.start_again().unwrap();
    look_at(&url).assert("postgres role", "failed", "standby");
}

/// A certificate for `localhost` and its key; the certificate is written beside as `ca.crt`.
fn certificate(folder: &Path) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(folder.join("ca.crt"), made.cert.pem()).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// PgBouncer in front of the installation's server, which ends with this value.
struct Pooler(Child);

impl Drop for Pooler {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn pooler(folder: &Path, to: &postgres::Server, mode: &str, ignored: &str) -> (Pooler, u16) {
    let (listen, at) = (port::free().unwrap(), to.address());
    let file = folder.join("pgbouncer.ini");
    let content = format!(
        "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {listen}\nunix_socket_dir =\n\
         auth_type = plain\nauth_file = {}\npool_mode = {mode}\nignore_startup_parameters = {ignored}\n",
        at.host,
        at.port,
        folder.join("users").display()
    );
    fs::write(&file, content).unwrap();
    let users = ["tg_app", "tg_feed", "tg_owner"]
        .map(|login| format!("\"{login}\" \"only-in-this-throw-away-cluster\"\n"))
        .concat();
    fs::write(folder.join("users"), users).unwrap();
    let program = binaries::find("pgbouncer").unwrap();
    let mut command =
        postgres::as_other_user(&program, folder, &tidegate_testkit::host::Host::default()).unwrap();
    let child = command.arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pooler = Pooler(child);
    wait_until("pgbouncer listens", || TcpStream::connect(("127.0.0.1", listen)).is_ok()).unwrap();
    (pooler, listen)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_recognises_a_pooler_and_says_which_of_its_modes_will_do() {
    let installation = install(nodes(0)).await;
    let folder = tempfile::tempdir().unwrap();
    let direct = format!("@127.0.0.1:{}/", installation.postgres.address().port);
    let through = |listen: u16| {
        let url = |key: &str| {
            value(&installation, "control-0.toml", key).replace(&direct, &format!("@127.0.0.1:{listen}/"))
        };
        let lines = [
            ("url", format!("url = {:?}", url("url"))),
            ("feed_url", format!("feed_url = {:?}", url("feed_url"))),
        ];
        look(&ill(&installation, "control-0.toml", &lines), &[])
    };
    let (transactions, listen) =
        pooler(folder.path(), &installation.postgres, "transaction", "extra_float_digits,options");
    through(listen).assert("database.url pooler", "failed", "pools transactions");
    drop(transactions);
    let (strict, listen) = pooler(folder.path(), &installation.postgres, "session", "");
    through(listen).assert("database.url pooler", "failed", "refuses start-up parameters");
    drop(strict);
    let (_sessions, listen) =
        pooler(folder.path(), &installation.postgres, "session", "extra_float_digits,options");
    let said = through(listen);
    said.assert("database.url pooler", "ok", "sessions are sessions");
    assert!(said.well, "{}", said.text);
}
