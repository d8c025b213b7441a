//! The control plane's `/metrics`, `/livez` and `/readyz`, on a port of their own.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tidegate_store::Store;
use tidegate_telemetry::{Metrics, respond};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Serves until told to stop.
pub(crate) async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    store: Store,
    leaving: CancellationToken,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            // Ended ones are taken away as they end.
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let (metrics, store, leaving) = (metrics.clone(), store.clone(), leaving.clone());
        connections.spawn(async move {
            let service =
                service_fn(move |request| answer(request, metrics.clone(), store.clone(), leaving.clone()));
            // A broken connection concerns only the one who broke it.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    metrics: Metrics,
    store: Store,
    leaving: CancellationToken,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if let Some(response) = respond(&metrics, &request) {
        return Ok(response);
    }
    let (status, text) = match request.uri().path() {
        "/livez" => (StatusCode::OK, "alive\n"),
        "/readyz" if leaving.is_cancelled() => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
        "/readyz" if store.is_alive().await => (StatusCode::OK, "ready\n"),
        "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
        _ => (StatusCode::NOT_FOUND, "not found\n"),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    Ok(response)
}
