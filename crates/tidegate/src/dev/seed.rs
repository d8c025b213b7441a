//! The demo organization, made over the management API as any administrator would.

use anyhow::{Context as _, Result, bail};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tidegate_admin::AdminError;
use tidegate_types::Secret;

use super::catalogue::{PUBLIC, PublicModel};
use super::state::{State, random_hex};
use crate::run::control_plane::RunningControlPlane;

/// The simulated model that every surface can call.
pub(super) const MODEL: &str = "sim/chat";
const UPSTREAM_MODEL: &str = "simulated-chat";

/// Where things are.
pub(super) struct Seed<'a> {
    pub(super) control_url: &'a str,
    pub(super) simulator_url: &'a str,
    pub(super) email: &'a str,
}

/// Real providers that are added when their key is in the environment.
struct RealProvider {
    variable: &'static str,
    slug: &'static str,
    base_url: &'static str,
    dialect: &'static str,
    auth: &'static str,
}

const REAL: &[RealProvider] = &[
    RealProvider {
        variable: "OPENAI_API_KEY",
        slug: "openai",
        base_url: "https://api.openai.com/v1",
        dialect: "openai_chat",
        auth: "bearer",
    },
    RealProvider {
        variable: "ANTHROPIC_API_KEY",
        slug: "anthropic",
        base_url: "https://api.anthropic.com/v1",
        dialect: "anthropic_messages",
        auth: "x_api_key",
    },
];

/// OpenAI itself takes the output limit under its new key.
fn quirks(dialect: &str) -> Value {
    if dialect == "openai_chat" { json!({"max_completion_tokens": true}) } else { json!({}) }
}

pub(super) fn client() -> Result<Client> {
    Client::builder()
        .no_proxy()
        .timeout(std::time::Duration::from_secs(30))
        .build()
        .context("make an HTTP client")
}

impl Seed<'_> {
    /// Makes what is missing. Secrets are made once and kept in the state folder.
    pub(super) async fn apply(&self, state: &mut State, control: &RunningControlPlane) -> Result<()> {
        if state.secrets.admin_token.is_none() {
            state.secrets.admin_token = Some(self.first_start(state, control).await?);
            state.save()?;
        }
        let api = self.api(state)?;
        self.simulated(&api).await.context("the simulated providers")?;
        let real = self.real_providers(&api).await.context("the real providers")?;
        self.public_models(&api, &real).await.context("the public models")?;
        if state.secrets.virtual_key.is_none() {
            let team = api.ensure("/teams", "name", json!({"name": "demo"})).await?;
            let key = api
                .call(
                    Method::POST,
                    "/keys",
                    Some(json!({"team_id": team["id"], "name": format!("demo-{}", random_hex(4))})),
                )
                .await?;
            state.secrets.virtual_key = Some(text(&key, "key")?);
            state.save()?;
        }
        Ok(())
    }

    fn api(&self, state: &State) -> Result<Api> {
        let token = state.secrets.admin_token.clone().context("the admin token is made")?;
        Ok(Api { client: client()?, base: format!("{}/api/v1", self.control_url), token })
    }

    /// The administrator, the organization `demo` that they own, and the token of both roles.
    async fn first_start(&self, state: &State, control: &RunningControlPlane) -> Result<String> {
        let mut api =
            Api { client: client()?, base: format!("{}/api/v1", self.control_url), token: String::new() };
        let password = &state.secrets.admin_password;
        let session = match tidegate_admin::bootstrap(&control.app, self.email).await {
            Ok(link) => {
                let token =
                    link.expose().split('#').nth(1).context("the link has a token")?.trim().to_owned();
                let redeem = json!({"token": token, "password": password});
                api.call(Method::POST, "/sessions/link", Some(redeem)).await?
            }
            // An earlier first start was cut off after this step.
            Err(AdminError::AlreadyDone) => {
                let sign_in = json!({"email": self.email, "password": password});
                api.call(Method::POST, "/sessions", Some(sign_in)).await?
            }
            Err(error) => return Err(error).context("bootstrap"),
        };
        api.token = text(&session, "token")?;
        let demo = api.ensure("/organizations", "slug", json!({"slug": "demo", "name": "Demo"})).await?;
        let within = format!("organization={}", text(&demo, "id")?);
        let member = json!({"email": self.email, "role": "owner"});
        api.ensure(&format!("/members?{within}"), "email", member).await?;
        let token = json!({"name": format!("dev-{}", random_hex(4)), "role": "owner", "platform_role": "platform_admin"});
        let token = api.call(Method::POST, &format!("/service-tokens?{within}"), Some(token)).await?;
        text(&token, "token")
    }

    /// Two simulated providers that both serve the model, so that failover and translation show at once.
    async fn simulated(&self, api: &Api) -> Result<()> {
        let model = json!({"name": MODEL, "display_name": "Simulated chat", "context_window": 128_000, "max_output_tokens": 16_384,
            "capabilities": {"tools": true, "vision": true, "reasoning": true, "structured_output": true}});
        api.ensure("/models", "name", model).await?;
        let providers = [
            ("sim-openai", "openai_chat", "bearer", "openai"),
            ("sim-anthropic", "anthropic_messages", "x_api_key", "anthropic"),
        ];
        for (slug, dialect, auth, folder) in providers {
            let base_url = format!("{}/{folder}/v1", self.simulator_url);
            let provider = json!({"slug": slug, "name": slug, "base_url": base_url, "dialect": dialect, "auth": auth, "simulated": true, "quirks": quirks(dialect)});
            api.ensure_provider(provider).await?;
            let prices = json!([{"unit": "input_token", "price": "0.0000005"}, {"unit": "output_token", "price": "0.000002"},
                {"unit": "cached_input_token", "price": "0.00000025"}]);
            api.ensure_offering(MODEL, slug, UPSTREAM_MODEL, &prices, true).await?;
            let credential = json!({"scope": "system", "name": slug, "provider": slug, "secret": {"api_key": "simulated"}});
            api.ensure("/credentials", "name", credential).await?;
        }
        Ok(())
    }

    /// Each public model at its own provider when that has a key, otherwise at the simulator.
    async fn public_models(&self, api: &Api, real: &[&str]) -> Result<()> {
        for model in PUBLIC {
            api.ensure("/models", "name", model.model()).await?;
            let (own, has_key) = (model.creator(), real.contains(&model.creator()));
            let PublicModel { name, upstream, .. } = model;
            let prices = model.prices();
            api.ensure_offering(name, &format!("sim-{own}"), upstream, &prices, !has_key).await?;
            if has_key {
                api.ensure_offering(name, own, upstream, &prices, true).await?;
            }
        }
        Ok(())
    }

    /// Providers whose key is in the environment; their slugs.
    async fn real_providers(&self, api: &Api) -> Result<Vec<&'static str>> {
        let mut added = Vec::new();
        for real in REAL {
            let Some(key) = environment(real.variable) else { continue };
            let provider = json!({"slug": real.slug, "name": real.slug, "base_url": real.base_url, "dialect": real.dialect, "auth": real.auth, "quirks": quirks(real.dialect)});
            api.ensure_provider(provider).await?;
            let credential = json!({"scope": "system", "name": real.slug, "provider": real.slug, "secret": {"api_key": key.expose()}});
            api.ensure("/credentials", "name", credential).await?;
            added.push(real.slug);
        }
        Ok(added)
    }

    /// A join token for the node; it is used only when the node has no identity yet.
    pub(super) async fn join_token(&self, state: &State) -> Result<String> {
        let token = self.api(state)?.call(Method::POST, "/join-tokens", Some(json!({}))).await?;
        text(&token, "token")
    }
}

#[expect(clippy::disallowed_methods, reason = "dev takes the providers' own variables, as their SDKs do")]
fn environment(name: &str) -> Option<Secret> {
    std::env::var(name).ok().filter(|key| !key.trim().is_empty()).map(Secret::new)
}

/// The management API.
struct Api {
    client: Client,
    base: String,
    token: String,
}

impl Api {
    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.base));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.with_context(|| format!("{method} {path}"))?;
        let status = answer.status();
        let value: Value = answer.json().await.unwrap_or_default();
        if !status.is_success() {
            bail!("{method} {path}: {status}: {}", value["detail"].as_str().unwrap_or("no detail"));
        }
        Ok(value)
    }

    /// The object of a collection with the same `name`, made when there is none.
    async fn ensure(&self, path: &str, name: &str, object: Value) -> Result<Value> {
        let scope = object["scope"].as_str().map(|scope| format!("&scope={scope}")).unwrap_or_default();
        let within = if path.contains('?') { "&" } else { "?" };
        let page = self.call(Method::GET, &format!("{path}{within}limit=1000{scope}"), None).await?;
        let found = page["data"].as_array().into_iter().flatten().find(|known| known[name] == object[name]);
        match found {
            Some(known) => Ok(known.clone()),
            None => self.call(Method::POST, path, Some(object)).await,
        }
    }

    /// A provider; one from an earlier start is called where it is now, and as it wants to be.
    async fn ensure_provider(&self, wanted: Value) -> Result<()> {
        let known = self.ensure("/providers", "slug", wanted.clone()).await?;
        let moved = wanted["simulated"] == true && known["base_url"] != wanted["base_url"];
        let key = "max_completion_tokens";
        let changed = wanted["quirks"][key] == true && known["quirks"][key] != true;
        let mut change = json!({});
        if moved {
            change["base_url"] = wanted["base_url"].clone();
        }
        if changed {
            change["quirks"] = wanted["quirks"].clone();
        }
        if moved || changed {
            let path = format!("/providers/{}", text(&known, "id")?);
            self.call(Method::PATCH, &path, Some(change)).await?;
        }
        Ok(())
    }

    /// A model at a provider with its price, switched on or off.
    async fn ensure_offering(
        &self,
        model: &str,
        provider: &str,
        upstream: &str,
        prices: &Value,
        enabled: bool,
    ) -> Result<()> {
        let page = self.call(Method::GET, "/offerings?limit=1000", None).await?;
        let same = |known: &&Value| known["model"] == model && known["provider"] == provider;
        if let Some(known) = page["data"].as_array().into_iter().flatten().find(same) {
            if known["enabled"] != enabled {
                let path = format!("/offerings/{}", text(known, "id")?);
                self.call(Method::PATCH, &path, Some(json!({"enabled": enabled}))).await?;
            }
            return Ok(());
        }
        if !enabled {
            return Ok(());
        }
        let offering = json!({"model": model, "provider": provider, "upstream_name": upstream});
        let offering = self.call(Method::POST, "/offerings", Some(offering)).await?;
        let tiers = json!([{"from_input_tokens": 0, "prices": prices}]);
        let price = json!({"offering_id": offering["id"], "tiers": tiers, "source": source(model)});
        self.call(Method::POST, "/prices", Some(price)).await?;
        Ok(())
    }
}

/// Where a model's price was read.
fn source(model: &str) -> &'static str {
    if model == MODEL { "simulator" } else { "genai-prices 0.2.3" }
}

fn text(value: &Value, name: &str) -> Result<String> {
    value[name].as_str().map(str::to_owned).with_context(|| format!("the answer has no {name}"))
}
