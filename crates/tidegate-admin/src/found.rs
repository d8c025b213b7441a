//! A single object as an answer, with its ETag.

use axum::response::{IntoResponse, Response};
use http::header;
use serde::Serialize;
use tidegate_store::Stored;

use crate::etag;

/// An object and its version.
#[derive(Debug)]
pub(crate) struct Found<T> {
    view: T,
    version: i64,
}

impl<T> Found<T> {
    /// The answer for a stored object.
    pub(crate) fn new<'a, V>(stored: &'a Stored<V>) -> Self
    where
        T: From<&'a V>,
    {
        Self { view: T::from(&stored.value), version: stored.version }
    }

    /// The answer for a view that was made elsewhere.
    pub(crate) const fn of(view: T, version: i64) -> Self {
        Self { view, version }
    }
}

impl<T: Serialize> IntoResponse for Found<T> {
    fn into_response(self) -> Response {
        ([(header::ETAG, etag::header(self.version))], axum::Json(self.view)).into_response()
    }
}
