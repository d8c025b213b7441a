//! An application: a base URL, a virtual key, calls in both surfaces.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

/// A client with a time-out that no story should reach.
pub(crate) fn client() -> Client {
    // There is one already when an installation was started before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::builder().timeout(Duration::from_secs(60)).no_proxy().build().unwrap()
}

/// The same with a connection for each request.
pub(crate) fn client_without_kept_connections() -> Client {
    let builder = Client::builder().timeout(Duration::from_secs(60)).no_proxy();
    builder.pool_max_idle_per_host(0).build().unwrap()
}

/// What is asked of a model.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// `/v1/messages` instead of `/v1/chat/completions`.
    pub(crate) messages: bool,
    pub(crate) stream: bool,
    pub(crate) model: String,
    pub(crate) text: String,
    pub(crate) max_tokens: u64,
}

impl Ask {
    pub(crate) fn chat(text: &str) -> Self {
        Self { messages: false, stream: false, model: "sim/chat".into(), text: text.into(), max_tokens: 100 }
    }

    /// Both surfaces, plain and streaming.
    pub(crate) fn all(text: &str) -> [Self; 4] {
        let chat = Self::chat(text);
        let messages = Self { messages: true, ..chat.clone() };
        [chat.clone(), chat.streaming(), messages.clone(), messages.streaming()]
    }

    pub(crate) fn streaming(mut self) -> Self {
        self.stream = true;
        self
    }

    pub(crate) fn at_most(mut self, tokens: u64) -> Self {
        self.max_tokens = tokens;
        self
    }

    pub(crate) fn model(mut self, model: &str) -> Self {
        model.clone_into(&mut self.model);
        self
    }

    pub(crate) fn body(&self) -> Value {
        let limit = if self.messages { "max_tokens" } else { "max_completion_tokens" };
        json!({"model": self.model, "stream": self.stream, limit: self.max_tokens,
            "messages": [{"role": "user", "content": self.text}]})
    }
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// Whether it ended as its dialect says, where one can tell.
    pub(crate) whole: bool,
}

impl Reply {
    /// The call's id.
    pub(crate) fn id(&self) -> String {
        self.headers.get("x-tidegate-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The error's message, in either dialect.
    pub(crate) fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap_or_default().to_owned()
    }
}

/// An application with one key at one node.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) client: Client,
    pub(crate) base: String,
    pub(crate) key: String,
}

impl App {
    pub(crate) fn new(base: &str, key: &str) -> Self {
        Self { client: client(), base: base.to_owned(), key: key.to_owned() }
    }

    pub(crate) fn request(&self, ask: &Ask) -> RequestBuilder {
        let path = if ask.messages { "/v1/messages" } else { "/v1/chat/completions" };
        let request = self.client.post(format!("{}{path}", self.base)).json(&ask.body());
        if ask.messages {
            return request.header("x-api-key", &self.key).header("anthropic-version", "2023-06-01");
        }
        request.bearer_auth(&self.key)
    }

    /// Calls and reads to the end; an error is a connection that broke.
    pub(crate) async fn call(&self, ask: &Ask) -> reqwest::Result<Reply> {
        let answer = self.request(ask).send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await?;
        let end = if ask.messages { "event: message_stop" } else { "data: [DONE]" };
        let whole = !ask.stream || status != 200 || text.contains(end);
        Ok(Reply { status, headers, text, whole })
    }

    /// A call that must be answered with this status.
    pub(crate) async fn expect(&self, ask: &Ask, status: u16) -> Reply {
        let reply = self.call(ask).await.unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(reply.status, status, "{ask:?}: {}", reply.text);
        assert!(reply.whole, "{ask:?}: {}", reply.text);
        assert!(reply.id().starts_with("gen_"), "every answer carries the call's id: {:?}", reply.headers);
        reply
    }

    /// The status of a plain chat; 0 when the connection broke.
    pub(crate) async fn status(&self) -> u16 {
        self.call(&Ask::chat("Hello")).await.map_or(0, |reply| reply.status)
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Result<(u16, Value)> {
        let answer = self.client.get(format!("{}{path}", self.base)).bearer_auth(&self.key).send().await?;
        Ok((answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null)))
    }
}
