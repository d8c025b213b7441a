//! The servers start, stop, come back and leave nothing behind.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::TcpStream;
use std::process::Command;

use tidegate_testkit::{binaries, postgres, process, redis};

fn sql(address: &postgres::Address, text: &str) -> String {
    let output = Command::new(binaries::find("psql").unwrap())
        .args([&address.superuser_url("postgres"), "-Atqc", text])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn postgres_keeps_its_data_over_a_crash() {
    let mut server = postgres::Server::start().unwrap();
    sql(server.address(), "create table t as select 42 as x");
    sql(server.address(), "checkpoint");
    server.stop();
    assert!(TcpStream::connect(("127.0.0.1", server.address().port)).is_err());
    server.start_again().unwrap();
    assert_eq!(sql(server.address(), "select x from t"), "42");
}

#[test]
fn postgres_refuses_a_wrong_password() {
    let server = postgres::Server::shared().unwrap();
    let wrong = server.url("postgres", "wrong", "postgres");
    let status =
        Command::new(binaries::find("psql").unwrap()).args([&wrong, "-Atqc", "select 1"]).output().unwrap();
    assert!(!status.status.success());
}

#[test]
fn the_shared_cluster_is_the_same_for_everyone() {
    let first = postgres::Server::shared().unwrap();
    assert_eq!(first, postgres::Server::shared().unwrap());
    assert_eq!(sql(&first, "select 1"), "1");
}

#[test]
fn redis_is_emptied_by_a_restart_and_by_a_flush() {
    let mut server = redis::Server::start().unwrap();
    let run_id = |server: &redis::Server| server.command(&["INFO", "server"]).unwrap();
    server.command(&["SET", "a", "1"]).unwrap();
    server.flush().unwrap();
    assert_eq!(server.command(&["GET", "a"]).unwrap(), "");
    let before = run_id(&server);
    server.stop();
    assert!(TcpStream::connect(("127.0.0.1", server.port())).is_err());
    server.start_again().unwrap();
    assert_ne!(before, run_id(&server));
}

#[test]
fn redis_can_be_frozen() {
    let server = redis::Server::start().unwrap();
    assert!(server.freeze());
    assert!(server.thaw());
    process::wait_until("redis answers", || server.command(&["PING"]).is_ok_and(|answer| answer == "PONG"))
        .unwrap();
}
