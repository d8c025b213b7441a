//! A client of the management API.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::{Client, Method};
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// The management API with a token.
#[derive(Debug, Clone)]
pub struct Admin {
    client: Client,
    base: String,
    /// The bearer token. It decides for which organization requests are.
    pub token: String,
}

/// How long a database that is too busy is asked again.
const BUSY: Duration = Duration::from_secs(20);

/// A client with time-outs.
pub(super) fn client() -> Result<Client> {
    Client::builder().timeout(Duration::from_secs(60)).no_proxy().build().context("make an HTTP client")
}

impl Admin {
    pub(super) fn new(url: &str) -> Result<Self> {
        Ok(Self { client: client()?, base: url.to_owned(), token: String::new() })
    }

    /// The same token at another control plane.
    #[must_use]
    pub fn at(&self, url: &str) -> Self {
        Self { base: url.to_owned(), ..self.clone() }
    }

    /// The same with a connection for each request.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn without_kept_connections(&self) -> Result<Self> {
        let client = Client::builder().timeout(Duration::from_secs(60)).no_proxy().pool_max_idle_per_host(0);
        Ok(Self { client: client.build()?, ..self.clone() })
    }

    /// The status and body of any request.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        self.send_as("", method, path, body).await
    }

    /// The same by a name under which it is done once, however often it is sent.
    async fn send_as(
        &self,
        name: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value)> {
        let mut request = self.client.request(method, format!("{}/api/v1{path}", self.base));
        if !name.is_empty() {
            request = request.header("idempotency-key", name);
        }
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        Ok((status, answer.json().await.unwrap_or(Value::Null)))
    }

    /// Asks again, as operators' tools do, while the answer is that the database is too busy, or away: a machine
    /// that others use is no fault.
    async fn expect(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let drawn = (method == Method::POST).then(|| RandomState::new().hash_one(path));
        let name = drawn.map(|drawn| format!("testkit-{drawn:x}")).unwrap_or_default();
        let deadline = Instant::now() + BUSY;
        loop {
            let (status, answer) = self.send_as(&name, method.clone(), path, body).await?;
            if status < 300 {
                return Ok(answer);
            }
            if status != 503 || answer["code"] != "unavailable" || Instant::now() > deadline {
                bail!("{method} {path}: {status} {answer}");
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Creates.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.expect(Method::POST, path, Some(body)).await
    }

    /// Reads.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.expect(Method::GET, path, None).await
    }

    /// Changes.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Value> {
        self.expect(Method::PATCH, path, Some(body)).await
    }

    /// Deletes or revokes.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn delete(&self, path: &str) -> Result<Value> {
        self.expect(Method::DELETE, path, None).await
    }
}
