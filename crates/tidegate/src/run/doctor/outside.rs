//! Ports of this machine, the egress proxy, and what lies behind it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tidegate_types::OrganizationId;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::finding::Findings;
use crate::config::Upstream;
use crate::run::node;

const PATIENCE: Duration = Duration::from_secs(10);
/// Of an answer no more is read.
const MOST: usize = 1 << 20;

/// Whether a host, as URLs have it, is this machine: nobody else hears what is said to it.
pub(super) fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Whether a listener gets its port.
pub(super) async fn port(key: &str, address: SocketAddr, findings: &mut Findings) {
    match TcpListener::bind(address).await {
        Ok(_) => findings.ok(key, format!("{address} is free")),
        // What runs already is looked at, too.
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            findings.ok(key, format!("{address} is in use: fine where it runs already"));
        }
        Err(error) => findings.failed(
            key,
            format!("{address}: {error}"),
            "an address of this machine, and a port that its user may have (1024 and above)",
        ),
    }
}

/// Whether the egress proxy takes connections.
pub(super) async fn proxy(upstream: &Upstream, findings: &mut Findings) {
    let Some(url) = upstream.proxy.as_deref().and_then(|url| reqwest::Url::parse(url).ok()) else { return };
    let (Some(host), port) = (url.host_str(), url.port_or_known_default().unwrap_or(80)) else { return };
    let host = host.trim_matches(['[', ']']);
    let advice = "look at upstream.proxy, and whether the proxy runs and lets this machine in";
    match timeout(PATIENCE, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => {
            findings.ok("upstream.proxy", format!("{host}:{port} takes connections; try --reach URL"))
        }
        Ok(Err(error)) => findings.failed("upstream.proxy", format!("{host}:{port}: {error}"), advice),
        Err(_) => findings.failed("upstream.proxy", format!("{host}:{port}: no connection in time"), advice),
    }
}

/// Whether a URL is reached on the way that providers are.
pub(super) async fn reach(upstream: &Upstream, url: &str, findings: &mut Findings) {
    let check = "reach";
    let upstreams = match node::upstreams(upstream) {
        Ok(upstreams) => upstreams,
        Err(error) => {
            return findings.failed(check, format!("{error:#}"), "mend the section upstream");
        }
    };
    match upstreams.fetch(OrganizationId::SYSTEM, url, MOST, PATIENCE).await {
        Ok(answer) => findings.ok(check, format!("{url} answers {}", answer.status)),
        // It came, and was more than is read.
        Err("size") => findings.ok(check, format!("{url} answers")),
        Err(word) => findings.failed(check, format!("{url}: {word}"), unreached(word)),
    }
}

fn unreached(word: &str) -> &'static str {
    match word {
        "url" => {
            "an https:// URL without user, fragment or spaces; http:// only where upstream.private allows it"
        }
        "forbidden_address" => {
            "its address is private or reserved: list it in upstream.private if that is meant"
        }
        "dns" => "its name is not found: look at this machine's DNS, or set upstream.proxy_resolves",
        "tls" => "its certificate is not vouched for: upstream.extra_ca_file",
        "proxy" => "the proxy refuses it: let it pass there",
        _ => "look at the network, its firewall, and upstream.proxy",
    }
}
