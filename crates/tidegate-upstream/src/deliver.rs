//! One message to a URL that an organization configured whole: a webhook, a trace, an issuer's document.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt as _, Limited};
use tidegate_types::OrganizationId;

use crate::{SendError, Upstreams, get, origin_and_tail};

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

    /// Gets a public document from a whole URL, without following redirects.
    ///
    /// # Errors
    /// As [`Self::deliver`], and `size` for a body of more than `most` bytes or one that broke off.
    pub async fn fetch(
        &self,
        owner: OrganizationId,
        url: &str,
        most: usize,
        time_out: Duration,
    ) -> Result<Delivered, &'static str> {
        let fetch = async {
            let (base, tail) = origin_and_tail(url).ok_or("url")?;
            let endpoint = self.endpoint(&base).map_err(|_| "url")?;
            let path = endpoint.path(&tail).ok_or("url")?;
            let headers = HeaderMap::from_iter([
                (ACCEPT, HeaderValue::from_static("application/json")),
                (USER_AGENT, HeaderValue::from_static("tidegate")),
            ]);
            let response = self.send(&endpoint, owner, get(path, headers)).await.map_err(SendError::word)?;
            let status = response.status().as_u16();
            let read = Limited::new(response.into_body(), most).collect().await.map_err(|_| "size")?;
            Ok(Delivered { status, retry_after: None, body: read.to_bytes() })
        };
        tokio::time::timeout(time_out, fetch).await.unwrap_or(Err("timeout"))
    }
}
