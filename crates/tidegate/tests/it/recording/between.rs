//! Stands between a node and its control plane, passes on every call byte by byte, and keeps what went by.
//!
//! The node enrols with an authority of the recorder's, and the recorder in its place: both sides speak TLS with
//! somebody whom they trust. Nothing but the enrolment is understood here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use axum::extract::Request;
use axum::response::Response;
use http_body_util::BodyExt as _;
use tidegate_proto::enroll::enroll_service_client::EnrollServiceClient;
use tidegate_proto::enroll::enroll_service_server::{EnrollService, EnrollServiceServer};
use tidegate_proto::enroll::{EnrollRequest, EnrollResponse, RenewRequest, RetireRequest, RetireResponse};
use tidegate_secrets::ca::{CertificateAuthority, NodeKey};
use tidegate_secrets::pem;
use tidegate_telemetry::SystemClock;
use tidegate_types::Clock as _;
use tokio::net::TcpListener;
use tonic::Status;
use tonic::codegen::Service as _;
use tonic::service::Routes;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig};

/// Streams of one kind that are kept; a node opens another one after every break.
const MOST: usize = 4;

/// A running recorder.
pub(super) struct Between {
    inner: Arc<Inner>,
    port: u16,
}

struct Inner {
    authority: CertificateAuthority,
    control: String,
    roots: String,
    /// To the control plane, as the node, once it has enrolled.
    channel: OnceLock<Channel>,
    /// What went by, by call, number and side.
    heard: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Between {
    /// Listens in front of a control plane.
    pub(super) async fn start(control: &str, roots: &str) -> Self {
        let now = SystemClock.now();
        let inner = Arc::new(Inner {
            authority: CertificateAuthority::generate(now).unwrap(),
            control: control.to_owned(),
            roots: roots.to_owned(),
            channel: OnceLock::new(),
            heard: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = inner.authority.issue_server(&["127.0.0.1".to_owned()], now).unwrap();
        let chain: String = own.chain.iter().map(|der| pem::certificate(der)).collect();
        let key = pem::private_key(own.key.secret_der());
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(chain, key.expose()));
        let enroller = EnrollServiceServer::from_arc(Arc::clone(&inner));
        let relaying = Arc::clone(&inner);
        let relay = move |request: Request| relay(Arc::clone(&relaying), request);
        let relayed = Routes::new(enroller).into_axum_router().fallback(relay);
        let server = Server::builder().tls_config(tls).unwrap().add_routes(Routes::from(relayed));
        let incoming = futures_util::stream::unfold(listener, |listener| async {
            let accepted = listener.accept().await.map(|(socket, _)| socket);
            Some((accepted, listener))
        });
        tokio::spawn(server.serve_with_incoming(incoming));
        Self { inner, port }
    }

    pub(super) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Whom the node has to trust.
    pub(super) fn roots_pem(&self) -> String {
        pem::certificate(self.inner.authority.root())
    }

    /// Writes what went by, a file for each side of each call; their names.
    pub(super) fn write(&self, folder: &Path) -> Vec<String> {
        std::fs::create_dir_all(folder).unwrap();
        let heard = self.inner.heard.lock().unwrap();
        for (name, bytes) in &*heard {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        heard.keys().cloned().collect()
    }
}

impl Inner {
    async fn dial(&self, identity: Option<Identity>) -> Channel {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.roots));
        let tls = match identity {
            Some(identity) => tls.identity(identity),
            None => tls,
        };
        let endpoint = Endpoint::from_shared(self.control.clone()).unwrap().tls_config(tls).unwrap();
        endpoint.connect().await.unwrap()
    }

    /// A place for both sides of one more call; `None` when enough of its kind were kept.
    fn place(&self, path: &str) -> Option<String> {
        let call = path.trim_start_matches("/tidegate.").replace('/', ".");
        let mut heard = self.heard.lock().unwrap();
        let number = (0..MOST).find(|number| !heard.contains_key(&format!("{call}.{number}.node")))?;
        heard.insert(format!("{call}.{number}.node"), Vec::new());
        Some(format!("{call}.{number}"))
    }

    fn keep(self: &Arc<Self>, place: Option<&str>, side: &str, body: axum::body::Body) -> axum::body::Body {
        let Some(place) = place else { return body };
        let (inner, name) = (Arc::clone(self), format!("{place}.{side}"));
        axum::body::Body::new(body.map_frame(move |frame| {
            if let Some(data) = frame.data_ref() {
                inner.heard.lock().unwrap().entry(name.clone()).or_default().extend_from_slice(data);
            }
            frame
        }))
    }
}

async fn relay(inner: Arc<Inner>, request: Request) -> Response {
    let place = inner.place(request.uri().path());
    let mut channel = inner.channel.get().unwrap().clone();
    let request = request.map(|body| tonic::body::Body::new(inner.keep(place.as_deref(), "node", body)));
    std::future::poll_fn(|context| channel.poll_ready(context)).await.unwrap();
    match channel.call(request).await {
        Ok(answer) => answer.map(|body| inner.keep(place.as_deref(), "control", axum::body::Body::new(body))),
        Err(error) => Status::unavailable(error.to_string()).into_http(),
    }
}

#[tonic::async_trait]
impl EnrollService for Inner {
    async fn enroll(
        &self,
        request: tonic::Request<EnrollRequest>,
    ) -> Result<tonic::Response<EnrollResponse>, Status> {
        let asked = request.into_inner();
        let key = NodeKey::generate().unwrap();
        let own = EnrollRequest { certificate_request: key.certificate_request().unwrap(), ..asked.clone() };
        let answer = EnrollServiceClient::new(self.dial(None).await).enroll(own).await?.into_inner();
        let chain: String = answer.certificate_chain.iter().map(|der| pem::certificate(der)).collect();
        let identity = Identity::from_pem(chain, pem::private_key(&key.expose()).expose());
        let _ = self.channel.set(self.dial(Some(identity)).await);
        let (node, now) = (answer.node_id.parse().unwrap(), SystemClock.now());
        let signed = self.authority.sign_node(&asked.certificate_request, node, &answer.pool, now).unwrap();
        Ok(tonic::Response::new(EnrollResponse {
            certificate_chain: signed.chain.iter().map(|der| der.to_vec()).collect(),
            trust_roots: vec![self.authority.root().to_vec()],
            not_after_micros: signed.not_after.as_micros(),
            ..answer
        }))
    }

    async fn renew(
        &self,
        _: tonic::Request<RenewRequest>,
    ) -> Result<tonic::Response<EnrollResponse>, Status> {
        Err(Status::unimplemented("no recording lasts so long"))
    }

    async fn retire(
        &self,
        _: tonic::Request<RetireRequest>,
    ) -> Result<tonic::Response<RetireResponse>, Status> {
        Err(Status::unimplemented("no recording retires a node"))
    }
}
