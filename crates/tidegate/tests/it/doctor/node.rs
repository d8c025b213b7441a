//! A node's side: Redis, Sentinels, the state folder, the way to the control plane, the egress.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use tidegate_testkit::cluster::{Cluster, Shape};
use tidegate_testkit::installation::Installation;
use tidegate_testkit::{port, redis};

use super::{certificate, ill, look, value};
use crate::support::{install, nodes};

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "a table of faults")]
async fn the_doctor_finds_nothing_where_all_is_well_and_each_planted_fault_of_a_node() {
    let mut installation = install(nodes(1)).await;
    let whole = ill(&installation, "node-0.toml", &[]);
    let simulator = installation.simulator.as_ref().unwrap().url("listening on ").unwrap();
    let said = look(&whole, &["--reach", &format!("{simulator}/openai/v1/models")]);
    assert!(said.well, "{}", said.text);
    for (check, saw) in [
        ("configuration", "a node's"),
        ("redis.url reachable", "standalone"),
        ("redis role", "the primary"),
        ("redis.url tls", "on this machine"),
        ("redis version", "."),
        ("redis maxmemory-policy", "noeviction"),
        ("redis commands", "every one"),
        ("redis persistence", "needed"),
        ("redis memory", "MiB"),
        ("redis clock", "give or take"),
        ("node.state_dir writable", "state"),
        ("node.state_dir identity", "certificate is valid for"),
        ("node.control_plane_url", "vouched for"),
        ("node.listen", "in use"),
        ("reach", "answers"),
    ] {
        said.assert(check, "ok", saw);
    }
    said.of("node.state_dir sync");
    let dead = port::free().unwrap();
    let control = value(&installation, "node-0.toml", "control_plane_url");
    // The same listener, by an address that is not in its certificate.
    let by_another_name =
        control.replace("127.0.0.1", "[::ffff:127.0.0.1]").replace("localhost", "[::ffff:127.0.0.1]");
    fs::write(installation.folder().join("foreign.pem"), certificate(installation.folder()).0).unwrap();
    for (changes, check, state, saw) in [
        (
            vec![("url", format!("url = \"redis://:canary@127.0.0.1:{dead}\""))],
            "redis.url reachable",
            "failed",
            "refused",
        ),
        (
            vec![("control_plane_url", format!("control_plane_url = \"https://127.0.0.1:{dead}\""))],
            "node.control_plane_url",
            "failed",
            "refused",
        ),
        (
            vec![("control_plane_url", format!("control_plane_url = {simulator:?}"))],
            "node.control_plane_url",
            "failed",
            "https",
        ),
        (
            vec![(
                "control_plane_url",
                format!("control_plane_url = {:?}", simulator.replace("http:", "https:")),
            )],
            "node.control_plane_url",
            "failed",
            "answers, but",
        ),
        (
            vec![("control_plane_url", format!("control_plane_url = {by_another_name:?}"))],
            "node.control_plane_url",
            "failed",
            "name",
        ),
        (
            vec![("trust_roots_file", "trust_roots_file = \"foreign.pem\"".to_owned())],
            "node.control_plane_url",
            "failed",
            "UnknownIssuer",
        ),
        (
            vec![("trust_roots_file", "trust_roots_file = \"absent.pem\"".to_owned())],
            "configuration",
            "failed",
            "absent.pem",
        ),
        (
            vec![("state_dir", "state_dir = \"/proc/nowhere/state\"".to_owned())],
            "node.state_dir writable",
            "failed",
            "cannot be written",
        ),
        (
            vec![("join_token", String::new()), ("state_dir", "state_dir = \"another\"".to_owned())],
            "node.state_dir identity",
            "failed",
            "nothing to get one by",
        ),
        (
            vec![("state_dir", "state_dir = \"another\"".to_owned())],
            "node.state_dir identity",
            "ok",
            "enrols",
        ),
        (
            vec![("name", "name = \"n\"\njournal_max_bytes = 1000000000000000000".to_owned())],
            "node.state_dir space",
            "warning",
            "free",
        ),
        (vec![("listen", "listen = \"192.0.2.1:80\"".to_owned())], "node.listen", "failed", "192.0.2.1"),
        (vec![("listen", "lisen = 1".to_owned())], "configuration", "failed", "lisen"),
        (
            vec![(
                "[[upstream.private]]",
                format!("[upstream]\nproxy = \"http://user:canary@127.0.0.1:{dead}\"\n[[upstream.private]]"),
            )],
            "upstream.proxy",
            "failed",
            "refused",
        ),
    ] {
        look(&ill(&installation, "node-0.toml", &changes), &[]).assert(check, state, saw);
    }
    let whole = ill(&installation, "node-0.toml", &[]);
    look(&whole, &["--reach", "http://169.254.169.254/latest"]).assert("reach", "failed", "169.254.169.254");
    in_redis(&mut installation);
}

/// Faults of the counters' server.
fn in_redis(installation: &mut Installation) {
    let whole = ill(installation, "node-0.toml", &[]);
    let set = |words: &[&str]| installation.redis.as_ref().unwrap().command(words).unwrap();
    set(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    look(&whole, &[]).assert("redis maxmemory-policy", "failed", "allkeys-lru");
    set(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    set(&["CONFIG", "SET", "maxmemory", "1200kb"]);
    look(&whole, &[]).assert("redis memory", "warning", "MiB in use");
    set(&["CONFIG", "SET", "maxmemory", "0"]);
    let at = installation.redis.as_ref().unwrap().port();
    let as_user = |user: &str| {
        look(
            &ill(
                installation,
                "node-0.toml",
                &[("url", format!("url = \"redis://{user}:canary@127.0.0.1:{at}\""))],
            ),
            &[],
        )
    };
    as_user("nobody").assert("redis.url reachable", "failed", "refuses the user or the password");
    set(&["ACL", "SETUSER", "less", "on", ">canary", "~tg:*", "+@all", "-hincrby", "-zadd"]);
    as_user("less").assert("redis commands", "failed", "HINCRBY, ZADD");
    set(&["ACL", "SETUSER", "deaf", "on", ">canary", "~tg:*", "+@all", "-xadd"]);
    as_user("deaf").assert("redis commands", "warning", "XADD");
    set(&["ACL", "SETUSER", "elsewhere", "on", ">canary", "~other:*", "+@all"]);
    as_user("elsewhere").assert("redis commands", "failed", "tg:*");
    set(&["ACL", "SETUSER", "mute", "on", ">canary", "~tg:*", "+@all", "-info"]);
    as_user("mute").assert("redis commands", "failed", "INFO");
    assert_eq!(set(&["--scan", "--pattern", "tg:{doctor}*"]), "", "nothing is left behind");
    // A relay that tells the time a minute late.
    let late = format!("url = \"redis://127.0.0.1:{}\"", late_clock(at));
    look(&ill(installation, "node-0.toml", &[("url", late)]), &[]).assert("redis clock", "failed", "behind");
    let replica = installation.redis.as_ref().unwrap().replica().unwrap();
    let url = format!("url = {:?}", replica.url());
    look(&ill(installation, "node-0.toml", &[("url", url)]), &[]).assert("redis role", "failed", "slave");
    let mut sentinels =
        redis::Sentinels::around(installation.redis.as_ref().unwrap(), 3, 1, 60_000, "").unwrap();
    let by_sentinels = |group: &str| {
        let url = format!(
            "url = \"redis://127.0.0.1:1\"\nsentinel = {{addresses = {:?}, group = {group:?}}}",
            sentinels.addresses()
        );
        look(&ill(installation, "node-0.toml", &[("url", url)]), &[])
    };
    let said = by_sentinels("tidegate");
    said.assert("redis.sentinel", "ok", "3 of 3 agree");
    said.assert("redis role", "ok", "the primary");
    said.assert("redis.url tls", "warning", "not encrypted");
    by_sentinels("other").assert("redis.sentinel", "failed", "no such group");
    sentinels.stop(1);
    let addresses = sentinels.addresses();
    let url = format!(
        "url = \"redis://127.0.0.1:1\"\nsentinel = {{addresses = {addresses:?}, group = \"tidegate\"}}"
    );
    look(&ill(installation, "node-0.toml", &[("url", url)]), &[]).assert(
        "redis.sentinel",
        "warning",
        "cannot be reached",
    );
    clusters(installation);
    installation.redis.as_mut().unwrap().stop();
    let said = look(&ill(installation, "node-0.toml", &[]), &[]);
    said.assert("redis.url reachable", "failed", "refused");
    said.assert("node.control_plane_url", "ok", "vouched for");
}

/// A cluster in order, and what may be wrong with one.
fn clusters(installation: &Installation) {
    let mut cluster = Cluster::start(&Shape::default()).unwrap();
    let at = cluster.addresses();
    let url = format!("url = {:?}", cluster.primaries[0].url());
    let said = look(&ill(installation, "node-0.toml", &[("url", url)]), &[]);
    said.assert("redis role", "failed", "cluster");
    assert!(said.text.contains("redis.cluster.addresses"), "{}", said.text);
    let by = |addresses: &[String]| {
        let url = format!("url = \"redis://127.0.0.1:1\"\ncluster = {{addresses = {addresses:?}}}");
        look(&ill(installation, "node-0.toml", &[("url", url)]), &[])
    };
    let said = by(&at);
    said.assert("redis.cluster", "ok", "3 of 3 named");
    said.assert("redis.cluster slots", "ok", "16384 of 16384 are served, by 3");
    said.assert("redis.cluster coverage", "ok", "is no");
    said.assert("redis.url tls", "warning", "not encrypted");
    for primary in &at {
        said.assert(&format!("redis role ({primary})"), "ok", "a primary");
        said.assert(&format!("redis maxmemory-policy ({primary})"), "ok", "noeviction");
        said.assert(&format!("redis commands ({primary})"), "ok", "every one");
        said.assert(&format!("redis clock ({primary})"), "ok", "give or take");
    }
    cluster.primaries[2].command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).unwrap();
    cluster.primaries[1].command(&["CONFIG", "SET", "cluster-require-full-coverage", "yes"]).unwrap();
    cluster.primaries[1].command(&["CLUSTER", "DELSLOTSRANGE", "8000", "8009"]).unwrap();
    let said = by(&at[1..2]);
    said.assert(&format!("redis maxmemory-policy ({})", at[2]), "failed", "allkeys-lru");
    said.assert("redis.cluster coverage", "warning", "is yes");
    said.assert("redis.cluster slots", "failed", "16374 of 16384");
    cluster.primaries[0].stop();
    let said = by(&at);
    said.assert("redis.cluster", "warning", "2 of 3 named nodes answer");
    said.assert(&format!("redis primary ({})", at[0]), "failed", "refused");
    let plain = installation.redis.as_ref().unwrap().port();
    by(&[format!("127.0.0.1:{plain}")]).assert("redis.cluster", "failed", "no node of a cluster");
}

/// Passes everything on, but for the seconds of Redis' TIME, of which it takes a hundred away.
fn late_clock(to: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
            let (mut asks, mut answers) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut asks, &mut answers));
            let (mut server, mut client) = (server, client);
            std::thread::spawn(move || {
                let mut piece = [0; 65_536];
                while let Ok(length @ 1..) = server.read(&mut piece) {
                    let mut bytes = piece[..length].to_vec();
                    let head = b"*2\r\n$10\r\n";
                    if bytes.starts_with(head) {
                        let seconds: i64 = std::str::from_utf8(&bytes[9..19]).unwrap().parse().unwrap();
                        bytes[9..19].copy_from_slice((seconds - 100).to_string().as_bytes());
                    }
                    if client.write_all(&bytes).is_err() {
                        break;
                    }
                }
            });
        }
    });
    at
}
