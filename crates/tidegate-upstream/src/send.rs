//! Sending a request: take or make a connection, send, and say what became of it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ahash::AHashMap;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body::{Frame, SizeHint};
use parking_lot::RwLock;
use tidegate_types::OrganizationId;

use crate::body::ResponseBody;
use crate::connect::{Connector, Settings};
use crate::endpoint::{Endpoint, EndpointError};
use crate::failure::{SendError, SettingsError};
use crate::h1::{H1, Outgoing};
use crate::pool::{Connection, H2};

/// What is sent: one piece.
#[derive(Debug)]
pub struct RequestBody(Bytes);

impl RequestBody {
    pub(crate) fn bytes(&self) -> Bytes {
        self.0.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = std::mem::take(&mut self.0);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

/// The way out, for all of a process. Cheap to clone.
#[derive(Clone)]
pub struct Upstreams(Arc<Inner>);

struct Inner {
    connector: Connector,
    idle_timeout: Duration,
    max_idle: usize,
    endpoints: RwLock<AHashMap<Box<str>, Arc<Endpoint>>>,
}

/// Base URLs remembered; tenants can make up new ones without end.
const MAX_ENDPOINTS: usize = 10_000;

impl Upstreams {
    /// Reads the trust roots and gets ready.
    ///
    /// # Errors
    /// [`SettingsError`] when the extra certificates cannot be read or TLS cannot be set up.
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        Ok(Self(Arc::new(Inner {
            connector: Connector::new(settings)?,
            idle_timeout: settings.idle_timeout,
            max_idle: settings.max_idle,
            endpoints: RwLock::default(),
        })))
    }

    /// The endpoint of a base URL, with its pool; parsed on first use.
    ///
    /// # Errors
    /// [`EndpointError`] when it is no base URL.
    pub fn endpoint(&self, base_url: &str) -> Result<Arc<Endpoint>, EndpointError> {
        if let Some(known) = self.0.endpoints.read().get(base_url) {
            return Ok(known.clone());
        }
        let parsed = Arc::new(Endpoint::parse(base_url)?);
        let mut endpoints = self.0.endpoints.write();
        if endpoints.len() >= MAX_ENDPOINTS {
            // Whoever still uses one holds it; the others lose a warm connection.
            endpoints.clear();
        }
        Ok(endpoints.entry(base_url.into()).or_insert(parsed).clone())
    }

    /// A connection for one request: a kept one that is still open, or a new one. Nothing has
    /// been sent yet. `owner` is whose provider it is: the operator's list of private targets
    /// depends on it.
    ///
    /// # Errors
    /// [`SendError`], never one that [`SendError::was_sent`].
    pub async fn line(&self, endpoint: &Arc<Endpoint>, owner: OrganizationId) -> Result<Line, SendError> {
        let accepts = |remote| self.0.connector.permits(endpoint, remote, owner);
        let connection = match endpoint.pool.take(self.0.idle_timeout, accepts).await {
            Some(kept) => kept,
            None => Box::pin(self.0.connector.connect(endpoint, owner)).await?,
        };
        Ok(Line { connection, endpoint: endpoint.clone(), max_idle: self.0.max_idle })
    }

    /// Posts `body` to a path of the endpoint (from [`Endpoint::path`]). Resolves when the head
    /// of the answer is there; dropping the future aborts.
    ///
    /// # Errors
    /// [`SendError`]; [`SendError::was_sent`] says whether the provider may have seen it.
    pub async fn post(
        &self,
        endpoint: &Arc<Endpoint>,
        owner: OrganizationId,
        path: PathAndQuery,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<ResponseBody>, SendError> {
        self.send(endpoint, owner, post(path, headers, body)).await
    }

    /// Sends a request (from [`post`] or [`get`]), as [`Self::post`] does.
    ///
    /// # Errors
    /// As there.
    pub async fn send(
        &self,
        endpoint: &Arc<Endpoint>,
        owner: OrganizationId,
        mut request: Request<RequestBody>,
    ) -> Result<Response<ResponseBody>, SendError> {
        // A connection may close between take and write; then the request comes back unwritten.
        for _ in 0..3 {
            match self.line(endpoint, owner).await?.send(request).await {
                Ok(response) => return Ok(response),
                Err(Unsent { request: Some(back), .. }) => request = *back,
                Err(Unsent { error, request: None }) => return Err(error),
            }
        }
        Err(SendError::Unwritten)
    }

    /// Closes connections that nobody used lately. Call it every few seconds.
    pub fn sweep(&self) {
        for endpoint in self.0.endpoints.read().values() {
            endpoint.pool.sweep(self.0.idle_timeout);
        }
    }
}

/// A POST with everything but what the connection adds.
#[must_use]
pub fn post(path: PathAndQuery, headers: HeaderMap, body: Bytes) -> Request<RequestBody> {
    let mut request = Request::new(RequestBody(body));
    *request.method_mut() = Method::POST;
    *request.headers_mut() = headers;
    *request.uri_mut() = Uri::from(path);
    request
}

/// A GET with everything but what the connection adds.
#[must_use]
pub fn get(path: PathAndQuery, headers: HeaderMap) -> Request<RequestBody> {
    let mut request = post(path, headers, Bytes::new());
    *request.method_mut() = Method::GET;
    request.headers_mut().remove(http::header::CONTENT_TYPE);
    request
}

/// A connection that one request may use.
pub struct Line {
    connection: Connection,
    endpoint: Arc<Endpoint>,
    max_idle: usize,
}

impl Line {
    /// Does all that can be done before the first byte is written.
    #[must_use]
    pub fn prepare(self, mut request: Request<RequestBody>) -> Prepared {
        let Self { connection, endpoint, max_idle } = self;
        let ready = match connection {
            Connection::H1(h1) => Ready::H1(h1, Outgoing::new(&request, &endpoint.host_header)),
            Connection::H2(h2) => {
                if let Some(path) = request.uri().path_and_query().cloned() {
                    *request.uri_mut() = endpoint.absolute(path);
                }
                Ready::H2(h2)
            }
        };
        Prepared { ready, request, endpoint, max_idle }
    }

    /// Sends the request; resolves when the head of the answer is there. Dropping the future
    /// aborts.
    ///
    /// # Errors
    /// [`Unsent`], with the request when it was never written.
    pub async fn send(self, request: Request<RequestBody>) -> Result<Response<ResponseBody>, Unsent> {
        self.prepare(request).send().await
    }
}

/// A request with its connection, of which nothing has been written.
pub struct Prepared {
    ready: Ready,
    request: Request<RequestBody>,
    endpoint: Arc<Endpoint>,
    max_idle: usize,
}

/// A connection, and the request as bytes where it takes those.
enum Ready {
    H1(Box<H1>, Outgoing),
    H2(H2),
}

impl Prepared {
    /// As [`Line::send`].
    ///
    /// # Errors
    /// As there.
    pub async fn send(self) -> Result<Response<ResponseBody>, Unsent> {
        let Self { ready, request, endpoint, max_idle } = self;
        match ready {
            Ready::H1(h1, out) => over_h1(h1, (request, out), endpoint, max_idle).await,
            Ready::H2(mut h2) => {
                endpoint.pool.share(&h2);
                let answer = h2.sender.try_send_request(request).await.map_err(Unsent::from_hyper)?;
                Ok(answer.map(ResponseBody::h2))
            }
        }
    }
}

async fn over_h1(
    mut h1: Box<H1>,
    (request, mut out): (Request<RequestBody>, Outgoing),
    home: Arc<Endpoint>,
    max_idle: usize,
) -> Result<Response<ResponseBody>, Unsent> {
    match std::future::poll_fn(|cx| h1.poll_answer(cx, &mut out)).await {
        Ok(head) => Ok(Response::from_parts(head, ResponseBody::h1(h1, home, max_idle))),
        Err(error) => Err(Unsent { error, request: (!out.has_begun()).then(|| Box::new(request)) }),
    }
}

/// An exchange without an answer.
#[derive(Debug)]
pub struct Unsent {
    /// What happened.
    pub error: SendError,
    /// The request, when not a byte of it was written: it may be sent again.
    pub request: Option<Box<Request<RequestBody>>>,
}

impl Unsent {
    fn from_hyper(mut failed: hyper::client::conn::TrySendError<Request<RequestBody>>) -> Self {
        let request = failed.take_message().map(Box::new);
        let error = match &request {
            Some(_) => SendError::Unwritten,
            None if failed.error().is_parse() => SendError::Garbled,
            None => SendError::Broken,
        };
        Self { error, request }
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prepared")
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Line")
    }
}

impl std::fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upstreams")
    }
}
