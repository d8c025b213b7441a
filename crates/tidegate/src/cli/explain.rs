//! `tidegate explain`: what would happen to a call, without calling anybody.

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use super::body::{Body, JsonArg};
use super::request::{Columns, Request};

const COLUMNS: Columns = &[
    ("now", "/now/candidates"),
    ("taken out", "/now/removed"),
    ("refused", "/now/refusal"),
    ("changed", "/changed/candidates"),
    ("refused when changed", "/changed/refusal"),
];

/// The call that is asked about.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(super) connection: super::Connection,
    /// The model or route, as an application writes it.
    model: String,
    /// The key that would call; any key of the organization when absent.
    #[arg(long)]
    key: Option<String>,
    /// The surface, for example anthropic_messages; openai_chat when absent.
    #[arg(long)]
    surface: Option<String>,
    /// The session, for routes that draw their target.
    #[arg(long)]
    session: Option<String>,
    /// Options as in providerOptions.gateway, as JSON.
    #[arg(long, value_name = "JSON")]
    options: Option<String>,
    /// A changed resource: {"policy": {…}} or {"route": {…}}, as JSON.
    #[arg(long, value_name = "JSON")]
    change: Option<String>,
    #[command(flatten)]
    json: JsonArg,
}

impl Explain {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        let read = |name: &str, text: Option<String>| -> anyhow::Result<Option<Value>> {
            let read = |text: String| serde_json::from_str(&text);
            text.map(read).transpose().with_context(|| format!("--{name} is not JSON"))
        };
        let mut body = Body::from(&self.json)?;
        body.set("model", Some(json!(self.model))).set("key_id", self.key).set("surface", self.surface);
        body.set("session", self.session).set("options", read("options", self.options)?);
        body.set("change", read("change", self.change)?);
        Ok(Request::post("/explain", body.value(), COLUMNS))
    }
}
