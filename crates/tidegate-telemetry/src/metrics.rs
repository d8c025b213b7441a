//! Metrics: one registry per process, rendered for `/metrics`.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use parking_lot::Mutex;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;

const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// The process's metrics, named `tidegate_…`, and those whose names a convention gives. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    own: Arc<Mutex<Registry>>,
    conventional: Arc<Mutex<Registry>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let own = Arc::new(Mutex::new(Registry::with_prefix("tidegate")));
        Self { own, conventional: Arc::default() }
    }
}

impl Metrics {
    /// Registers metrics: `f` is given the registry (prefix `tidegate` already set).
    pub fn register(&self, f: impl FnOnce(&mut Registry)) {
        f(&mut self.own.lock());
    }

    /// Registers metrics whose whole names a convention gives, without a prefix.
    pub fn register_conventional(&self, f: impl FnOnce(&mut Registry)) {
        f(&mut self.conventional.lock());
    }

    /// All metrics in the OpenMetrics text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail; a collector that does is left out.
        for registry in [&self.own, &self.conventional] {
            if encode_registry(&mut text, &registry.lock()).is_err() {
                tracing::warn!("a metric could not be written");
            }
        }
        let _ = encode_eof(&mut text);
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
        let standard = Counter::<u64>::default();
        metrics.register_conventional(|registry| registry.register("standard", "Calls", standard.clone()));
        calls.inc();
        let text = metrics.render();
        assert!(text.contains("tidegate_calls_total 1") && text.contains("\nstandard_total 0"), "{text}");
        assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1, "{text}");
        let request = |path: &str| http::Request::get(path).body(()).unwrap();
        assert_eq!(respond(&metrics, &request("/metrics")).unwrap().status(), StatusCode::OK);
        assert!(respond(&metrics, &request("/other")).is_none());
    }
}
