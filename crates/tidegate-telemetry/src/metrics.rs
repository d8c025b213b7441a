//! Metrics: one registry per process, rendered for `/metrics`.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;

const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// The process's metrics, named `tidegate_…`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Default for Metrics {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Registry::with_prefix("tidegate"))))
    }
}

impl Metrics {
    /// Registers metrics: `f` is given the registry (prefix `tidegate` already set).
    pub fn register(&self, f: impl FnOnce(&mut Registry)) {
        f(&mut self.0.lock());
    }

    /// All metrics in the OpenMetrics text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail; a collector that does is left out.
        if prometheus_client::encoding::text::encode(&mut text, &self.0.lock()).is_err() {
            tracing::warn!("a metric could not be written");
        }
        text
    }
}

/// Answers `GET /metrics`; `None` for every other request.
#[must_use]
pub fn respond<B>(metrics: &Metrics, request: &http::Request<B>) -> Option<Response<Full<Bytes>>> {
    if request.uri().path() != "/metrics" {
        return None;
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refused = Response::new(Full::default());
        *refused.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        return Some(refused);
    }
    let mut response = Response::new(Full::from(metrics.render()));
    response.headers_mut().insert(header::CONTENT_TYPE, OPENMETRICS);
    Some(response)
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn a_registered_counter_is_served() {
        let metrics = Metrics::default();
        let calls = Counter::<u64>::default();
        metrics.register(|registry| registry.register("calls", "Calls", calls.clone()));
        calls.inc();
        assert!(metrics.render().contains("tidegate_calls_total 1"));
        let request = |path: &str| http::Request::get(path).body(()).unwrap();
        assert_eq!(respond(&metrics, &request("/metrics")).unwrap().status(), StatusCode::OK);
        assert!(respond(&metrics, &request("/other")).is_none());
    }
}
