//! How Redis is reached: by TLS with an authority of one's own and a user, never as a part of something larger.

use std::sync::Arc;

use tidegate_limits::{LimitError, Limiter, Mode, RedisSettings, Unfit};
use tidegate_testkit::port;
use tidegate_testkit::redis::Server;
use tidegate_types::Secret;
use tokio_util::sync::CancellationToken;

use crate::support::{RealClock, eventually};

fn settings(url: &str, ca: Option<&str>) -> RedisSettings {
    RedisSettings { ca: ca.map(|pem| pem.as_bytes().to_vec()), ..RedisSettings::new(Secret::new(url), 1) }
}

async fn limiter(settings: RedisSettings) -> Result<Limiter, LimitError> {
    Limiter::redis(settings, Arc::new(RealClock), CancellationToken::new()).await
}

#[tokio::test]
async fn a_server_with_a_certificate_of_ones_own_is_reached_by_those_who_know_its_authority() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (own, foreign) =
        (made.cert.pem(), rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_string_lossy().into_owned()
    };
    let (certificate, key) = (file("tls.crt", &own), file("tls.key", &made.signing_key.serialize_pem()));
    let tls_port = port::free().unwrap().to_string();
    let server = Server::start_with(&[
        "--tls-port",
        &tls_port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &certificate,
        "--tls-auth-clients",
        "no",
    ])
    .unwrap();
    server.command(&["ACL", "SETUSER", "gate", "on", ">pass", "~tg:*", "+@all"]).unwrap();
    let url = format!("rediss://gate:pass@localhost:{tls_port}");
    let reached = limiter(settings(&url, Some(&own))).await.unwrap();
    eventually("it is reached", async || reached.mode() == Mode::Healthy).await;
    // Whom nobody known vouches for is not asked, whatever the reason.
    for ca in [None, Some(foreign.cert.pem())] {
        let refused = limiter(settings(&url, ca.as_deref())).await.unwrap();
        assert_ne!(refused.mode(), Mode::Healthy, "{ca:?}");
    }
    let wrong = format!("rediss://gate:wrong@localhost:{tls_port}");
    assert_ne!(limiter(settings(&wrong, Some(&own))).await.unwrap().mode(), Mode::Healthy);
}

#[tokio::test]
async fn a_node_of_a_cluster_is_refused_at_the_start() {
    // Its second port, 10,000 above the first, may be somebody's.
    let server = || Server::start_with(&["--cluster-enabled", "yes"]).ok();
    let server = std::iter::repeat_with(server).take(10).flatten().next().unwrap();
    // A busy machine may not answer within the second that a start waits.
    let refused = Some(LimitError::Unfit(Unfit::Mode("cluster".to_owned())));
    eventually("it is refused", async || limiter(settings(&server.url(), None)).await.err() == refused).await;
}

#[test]
fn what_is_not_one_endpoint_or_not_checked_is_refused_before_anybody_is_asked() {
    for url in [
        "redis+sentinel://a:1/primary",
        "redis://a:1,b:2",
        "http://a",
        "a:6379",
        "rediss://a#insecure",
        "valkey://a",
        "",
    ] {
        let refused = settings(url, None).check().unwrap_err();
        assert_eq!(refused, LimitError::Unfit(Unfit::Url), "{url}");
    }
    for (url, ca) in [("redis://a", "-----BEGIN"), ("rediss://a", "no certificate")] {
        assert_eq!(settings(url, Some(ca)).check().unwrap_err(), LimitError::Unfit(Unfit::Ca), "{url}");
    }
    for url in ["redis://a", "rediss://user:pass@a:6380/0", "unix:///run/redis.sock"] {
        settings(url, None).check().unwrap();
    }
}
