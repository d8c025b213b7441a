//! Sends requests to the management API and reads its answers.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Connection;
use super::request::{Method, Request};

/// Longest time without a byte; the longest wait for the fleet is shorter.
const SILENCE: Duration = Duration::from_secs(90);

/// Why there is no answer to print.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing answered, or not in a form we know.
    Away(String),
    /// The API refused; its problem document.
    Refused {
        /// HTTP status.
        status: u16,
        /// The problem document.
        problem: Value,
    },
}

/// A connection to one control plane.
pub(crate) struct Client {
    http: reqwest::Client,
    connection: Connection,
}

impl Client {
    /// A client of the control plane that `connection` names.
    pub(crate) fn new(connection: &Connection) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            // Of each read: a file may take as long as it comes.
            .read_timeout(SILENCE)
            .connect_timeout(SILENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Failure::Away(format!("cannot start a client: {error}")))?;
        Ok(Self { http, connection: connection.clone() })
    }

    /// Sends a request; lists with `all` are read to their end.
    pub(crate) async fn send(&self, request: &Request) -> Result<Value, Failure> {
        let mut answer = self.send_once(request, None).await?;
        if !request.all {
            return Ok(answer);
        }
        while let Some(cursor) = answer.get("next_cursor").and_then(Value::as_str).map(str::to_owned) {
            let mut next = self.send_once(request, Some(&cursor)).await?;
            let rows = next.get_mut("data").map(Value::take);
            if let (Some(Value::Array(data)), Some(Value::Array(rows))) = (answer.get_mut("data"), rows) {
                data.extend(rows);
            }
            for field in ["has_more", "next_cursor"] {
                if let (Some(slot), Some(value)) = (answer.get_mut(field), next.get_mut(field)) {
                    *slot = value.take();
                }
            }
        }
        Ok(answer)
    }

    /// Writes an answer that is a file as it comes.
    pub(crate) async fn download(
        &self,
        request: &Request,
        out: &mut (dyn std::io::Write + Send),
    ) -> Result<(), Failure> {
        let mut response = self.respond(request, None).await?;
        if !response.status().is_success() {
            return read(response).await.map(|_| ());
        }
        loop {
            let part = response.chunk().await;
            let part =
                part.map_err(|error| Failure::Away(format!("the file broke off: {}", cause(&error))))?;
            let Some(part) = part else { return Ok(()) };
            out.write_all(&part).map_err(|error| Failure::Away(format!("write the file: {error}")))?;
        }
    }

    async fn send_once(&self, request: &Request, cursor: Option<&str>) -> Result<Value, Failure> {
        read(self.respond(request, cursor).await?).await
    }

    async fn respond(&self, request: &Request, cursor: Option<&str>) -> Result<reqwest::Response, Failure> {
        let connection = &self.connection;
        let url = format!("{}/api/v1{}", connection.url.trim_end_matches('/'), request.path);
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut url = reqwest::Url::parse(&url).map_err(|_| Failure::Away(format!("{url} is not a URL")))?;
        {
            let mut pairs = url.query_pairs_mut();
            for (name, value) in &request.query {
                pairs.append_pair(name, value);
            }
            if let Some(organization) = &connection.organization {
                pairs.append_pair("organization", organization);
            }
            if connection.wait && request.method != Method::Get {
                pairs.append_pair("wait", "fleet");
            }
            if let Some(cursor) = cursor {
                pairs.append_pair("cursor", cursor);
            }
        }
        if url.query() == Some("") {
            url.set_query(None);
        }
        let mut builder = self.http.request(method, url);
        if !connection.token.is_empty() {
            builder = builder.bearer_auth(&connection.token);
        }
        if let Some(etag) = connection.if_match.as_ref().filter(|_| request.method != Method::Get) {
            builder = builder.header("if-match", etag);
        }
        if let Some(key) = connection.idempotency_key.as_ref().filter(|_| request.method == Method::Post) {
            builder = builder.header("idempotency-key", key);
        }
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        builder
            .send()
            .await
            .map_err(|error| Failure::Away(format!("cannot reach {}: {}", connection.url, cause(&error))))
    }
}

async fn read(response: reqwest::Response) -> Result<Value, Failure> {
    let status = response.status();
    let etag = response.headers().get("etag").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let text = response.bytes().await.map_err(|error| Failure::Away(cause(&error)))?;
    if text.is_empty() && status.is_success() {
        return Ok(Value::Null);
    }
    let parsed: Option<Value> = serde_json::from_slice(&text).ok();
    match parsed {
        Some(mut value) if status.is_success() => {
            if let (Value::Object(fields), Some(etag)) = (&mut value, etag) {
                fields.insert("etag".to_owned(), json!(etag));
            }
            Ok(value)
        }
        Some(problem) => Err(Failure::Refused { status: status.as_u16(), problem }),
        None if status.is_success() => {
            Err(Failure::Away("the answer is not JSON: is this a control plane?".to_owned()))
        }
        None => Err(Failure::Refused { status: status.as_u16(), problem: Value::Object(Map::new()) }),
    }
}

/// The innermost cause of a transport error, which says more than the outermost.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
