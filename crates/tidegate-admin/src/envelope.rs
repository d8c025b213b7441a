//! What surrounds every request: its id, security headers, time and panic limits, and the one
//! place where a [`Problem`] becomes a body.
//!
//! Knows no resource. Nothing here looks at `Host` or `X-Forwarded-*`.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName};
use http::{HeaderValue, StatusCode};
use tidegate_telemetry::entropy;
use tidegate_types::id::{Id, IdKind};

use crate::problem::Problem;
use crate::state::App;

/// Longest time for one request, `wait=fleet` included.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SECURITY: [(HeaderName, HeaderValue); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// Kind of the ids of requests.
#[derive(Debug, Clone, Copy)]
struct RequestKind;

impl IdKind for RequestKind {
    const PREFIX: &'static str = "req";
}

/// The outermost layer of the API.
pub(crate) async fn surround(State(app): State<App>, request: Request, next: Next) -> Response {
    let id: Id<RequestKind> = entropy::new_id(app.clock.now());
    let id = id.to_string();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answer = futures_catch(tokio::time::timeout(REQUEST_TIMEOUT, next.run(request))).await;
    let response = match answer {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            "timeout",
            format!("The request took longer than {} seconds.", REQUEST_TIMEOUT.as_secs()),
        )
        .into_response(),
        Err(()) => {
            tracing::error!(request_id = %id, %method, "a handler panicked");
            Problem::internal().into_response()
        }
    };
    if response.status().is_server_error() {
        tracing::warn!(request_id = %id, %method, path, status = response.status().as_u16(), "request failed");
    }
    let mut response = render(response, &id);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.extend(SECURITY);
    response
}

/// Runs `work`; a panic in it becomes an error instead of a closed connection.
async fn futures_catch<T>(work: impl Future<Output = T>) -> Result<T, ()> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| {
        match std::panic::catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => std::task::Poll::Ready(Err(())),
        }
    })
    .await
}

/// Writes the body of a refusal. A refusal that axum itself made gets one as well.
fn render(mut response: Response, request_id: &str) -> Response {
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        None => match response.status() {
            StatusCode::METHOD_NOT_ALLOWED => Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "This endpoint does not have that method.",
            ),
            _ => return response,
        },
    };
    let allow = response.headers().get(header::ALLOW).cloned();
    let body = serde_json::to_vec(&problem.body(request_id)).unwrap_or_default();
    let mut answer = (problem.status, body).into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if problem.status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(allow) = allow {
        headers.insert(header::ALLOW, allow);
    }
    answer
}

/// No endpoint has this path.
pub(crate) async fn no_endpoint() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_endpoint",
        "There is no such endpoint; see /api/v1/openapi.json.",
    )
}
