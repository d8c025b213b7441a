//! One message to a URL that an organization configured whole: a webhook, a trace.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::RETRY_AFTER;
use http_body_util::{BodyExt as _, Limited};
use tidegate_types::OrganizationId;

use crate::{SendError, Upstreams, origin_and_tail};

/// Bytes of an answer that are read: the rest is nobody's business, and ends the connection.
const MOST_ANSWER: usize = 64 * 1024;

/// What the receiver answered.
#[derive(Debug)]
pub struct Delivered {
    /// The status.
    pub status: u16,
    /// Seconds of a `retry-after` header that is a number.
    pub retry_after: Option<i64>,
    /// The body; empty when it was longer than 64 KiB or broke off.
    pub body: Bytes,
}

impl Upstreams {
    /// Posts a message to a whole URL, without following redirects.
    ///
    /// # Errors
    /// A word of a closed list, fit for a label: `url`, `timeout`, or that of [`SendError::word`].
    pub async fn deliver(
        &self,
        owner: OrganizationId,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
        time_out: Duration,
    ) -> Result<Delivered, &'static str> {
        let exchange = self.exchange(owner, url, headers, body);
        tokio::time::timeout(time_out, exchange).await.unwrap_or(Err("timeout"))
    }

    async fn exchange(
        &self,
        owner: OrganizationId,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Delivered, &'static str> {
        let (base, tail) = origin_and_tail(url).ok_or("url")?;
        let endpoint = self.endpoint(&base).map_err(|_| "url")?;
        let path = endpoint.path(&tail).ok_or("url")?;
        let response = self.post(&endpoint, owner, path, headers, body).await.map_err(SendError::word)?;
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let (status, retry_after) =
            (response.status().as_u16(), retry_after.and_then(|text| text.parse().ok()));
        // Read to its end, so that the connection is free again.
        let read = Limited::new(response.into_body(), MOST_ANSWER).collect().await;
        let body = read.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Ok(Delivered { status, retry_after, body })
    }
}
