//! TLS is verified, HTTP/2 is spoken when offered.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tidegate_upstream::{SendError, Settings, Upstreams};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::peer::{loopback, post};

/// A provider with a certificate of its own for `localhost`; its port and that certificate.
pub(crate) async fn start(alpn: &'static [u8]) -> (u16, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![alpn.to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(tls) = acceptor.accept(socket).await else { return };
                let answer = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                    let version = format!("{:?}", request.version());
                    Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(version))))
                });
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(tls), answer)
                    .await;
            });
        }
    });
    (port, made.cert.pem().into_bytes())
}

fn upstreams(port: u16, extra_ca: Option<Vec<u8>>) -> Upstreams {
    Upstreams::new(&Settings { private: loopback(&[port]), extra_ca, ..Settings::default() }).unwrap()
}

#[tokio::test]
async fn http2_is_spoken_when_the_provider_offers_it() {
    for (alpn, spoken) in [(&b"h2"[..], "HTTP/2.0"), (b"http/1.1", "HTTP/1.1")] {
        let (port, ca) = start(alpn).await;
        let upstreams = upstreams(port, Some(ca));
        for _ in 0..3 {
            let answer = post(&upstreams, &format!("https://localhost:{port}")).await;
            assert_eq!(answer, Ok((200, Bytes::from(spoken))));
        }
    }
}

#[tokio::test]
async fn an_untrusted_certificate_means_not_sent() {
    let (port, ca) = start(b"http/1.1").await;
    let error = post(&upstreams(port, None), &format!("https://localhost:{port}")).await.unwrap_err();
    assert_eq!((error, error.was_sent()), (SendError::Tls, false));
    // Trusted, but for another name.
    let error = post(&upstreams(port, Some(ca)), &format!("https://127.0.0.1:{port}")).await.unwrap_err();
    assert_eq!(error, SendError::Tls);
}

#[test]
fn a_ca_file_without_certificates_is_refused() {
    for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----"] {
        assert!(
            Upstreams::new(&Settings { extra_ca: Some(text.into()), ..Settings::default() }).is_err(),
            "{text}"
        );
    }
}
