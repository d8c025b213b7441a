//! The way from a node to its control plane: name, connection, and a certificate that the node's roots vouch for.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tidegate_telemetry::SystemClock;
use tidegate_types::Timestamp;
use tidegate_types::clock::Clock as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::finding::Findings;
use super::validity::Certificate;
use crate::config::Node;

const PATIENCE: Duration = Duration::from_secs(10);
/// A control plane makes its certificate at each start, for a year.
const SOON_DAYS: i64 = 30;

/// Looks at the control plane as a node dials it.
pub(super) async fn look(node: &Node, findings: &mut Findings) {
    let check = "node.control_plane_url";
    match timeout(PATIENCE, certificate(node)).await {
        Ok(Ok(valid)) => {
            let anew = "restart the control planes: each start makes a new certificate";
            let one = Certificate {
                check,
                whose: "answers; its certificate is vouched for, and".to_owned(),
                valid,
                soon_days: SOON_DAYS,
                soon: anew,
                over: anew,
                replaced: false,
            };
            one.judge(SystemClock.now(), findings);
        }
        Ok(Err(error)) => {
            let why = format!("{error:#}");
            findings.failed(check, &why, advice(&why));
        }
        Err(_) => findings.failed(check, "no answer in time", advice("")),
    }
}

fn advice(why: &str) -> &'static str {
    if why.contains("UnknownIssuer") || why.contains("unknown issuer") || why.contains("BadSignature") {
        "node.trust_roots_file is of another installation, or somebody else answers: `tidegate fleet join -o json` prints the roots"
    } else if why.contains("not valid for name") || why.contains("NotValidForName") {
        "add the name to control_plane.grpc_names (chart: controlPlane.extraGrpcNames), or dial one that is there"
    } else if why.contains("xpired") || why.contains("NotValidYet") {
        "look at the clocks, then restart the control planes"
    } else {
        "look at host and port, whether a control plane runs, and at network policies and what terminates TLS in between"
    }
}

/// From when until when the certificate is valid that is shown to this node.
async fn certificate(node: &Node) -> Result<(Timestamp, Timestamp)> {
    let url = node.control_plane_url.as_deref().context("it is not given")?;
    let url = reqwest::Url::parse(url).context("it is no URL")?;
    anyhow::ensure!(url.scheme() == "https", "it is not https://");
    let host = url.host_str().context("it names no host")?.trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let file = node.trust_roots_file.as_ref().context("node.trust_roots_file is not given")?;
    let mut roots = rustls::RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(file).context("node.trust_roots_file")? {
        roots.add(root.context("node.trust_roots_file")?).context("node.trust_roots_file")?;
    }
    let mut tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect((host.as_str(), port)).await.with_context(|| format!("{host}:{port}"))?;
    let name = ServerName::try_from(host.clone()).context("it names no host")?;
    let stream = tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, tcp).await;
    let stream = stream.with_context(|| format!("{host}:{port} answers, but"))?;
    let (_, session) = stream.get_ref();
    anyhow::ensure!(session.alpn_protocol() == Some(b"h2"), "{host}:{port} speaks TLS, but no gRPC");
    let leaf = session.peer_certificates().and_then(<[_]>::first).context("it shows no certificate")?;
    Ok(tidegate_secrets::ca::validity(leaf)?)
}
