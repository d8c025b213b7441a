//! The demo organization, made over the management API as any administrator would.

mod provider_keys;

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tidegate_admin::AdminError;
use tidegate_catalogue::Catalogue;

use super::catalogue::Known;
use super::state::{State, random_hex};
use super::tasks;
use crate::run::control_plane::RunningControlPlane;

/// The simulated model that every surface can call.
pub(super) const MODEL: &str = "sim/chat";
const UPSTREAM_MODEL: &str = "simulated-chat";

/// Where things are.
pub(super) struct Seed<'a> {
    pub(super) control_url: &'a str,
    pub(super) simulator_url: &'a str,
    pub(super) email: &'a str,
    pub(super) known: &'a Known,
}

/// The simulated providers in the order of failover: slug, dialect, sign-in, path at the simulator.
const SIMULATED: [[&str; 4]; 5] = [
    ["sim-openai", "openai_chat", "bearer", "openai/v1"],
    ["sim-anthropic", "anthropic_messages", "x_api_key", "anthropic/v1"],
    ["sim-gemini", "gemini", "google_api_key", "gemini/v1beta"],
    ["sim-bedrock", "bedrock_converse", "bearer", "bedrock"],
    ["sim-cohere", "cohere_chat", "bearer", "cohere"],
];

/// The makers' models at the simulated providers.
pub(super) fn simulated_models(known: &Known) -> Result<Catalogue> {
    known.simulated()
}

/// OpenAI itself takes the output limit under its new key.
fn quirks(dialect: &str) -> Value {
    if dialect == "openai_chat" { json!({"max_completion_tokens": true}) } else { json!({}) }
}

/// What a simulated provider calls the model: at Bedrock its id tells what it takes beside Converse's own fields.
fn upstream_model(dialect: &str) -> &'static str {
    if dialect == "bedrock_converse" { "us.anthropic.claude-sim-v1:0" } else { UPSTREAM_MODEL }
}

/// OpenAI is also asked in the dialect of its responses.
fn also(dialect: &str) -> Value {
    if dialect == "openai_chat" { json!(["openai_responses"]) } else { json!([]) }
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
        self.real_providers(&api, state).await.context("the real providers")?;
        self.makers_models(&api).await.context("the makers' models")?;
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

    /// Simulated providers that all serve the model, so that failover and translation show at once.
    async fn simulated(&self, api: &Api) -> Result<()> {
        let model = json!({"name": MODEL, "display_name": "Simulated chat", "context_window": 128_000, "max_output_tokens": 16_384,
            "capabilities": {"tools": true, "vision": true, "reasoning": true, "structured_output": true}});
        api.ensure("/models", "name", model).await?;
        for [slug, dialect, auth, path] in SIMULATED {
            let base_url = format!("{}/{path}", self.simulator_url);
            let provider = json!({"slug": slug, "name": slug, "base_url": base_url, "dialect": dialect, "auth": auth, "simulated": true, "quirks": quirks(dialect), "also": also(dialect)});
            api.ensure_provider(provider).await?;
            let prices = json!([{"unit": "input_token", "price": "0.0000005"}, {"unit": "output_token", "price": "0.000002"},
                {"unit": "cached_input_token", "price": "0.00000025"}]);
            api.ensure_offering(MODEL, slug, upstream_model(dialect), &prices).await?;
            let credential = json!({"scope": "system", "name": slug, "provider": slug, "secret": {"api_key": "simulated"}});
            api.ensure("/credentials", "name", credential).await?;
        }
        for task in &tasks::MODELS {
            api.ensure("/models", "name", task.model()).await?;
            api.ensure_offering(task.name, SIMULATED[0][0], task.upstream, &task.prices()).await?;
        }
        Ok(())
    }

    /// Each model of a well-known maker at a simulated provider, in use unless a real one offers it.
    async fn makers_models(&self, api: &Api) -> Result<()> {
        let simulated = serde_json::to_value(simulated_models(self.known)?)?;
        api.call(Method::POST, "/catalogue/import", Some(simulated)).await?;
        let slugs = SIMULATED.map(|[slug, ..]| slug);
        let is_simulated = |offering: &Value| slugs.iter().any(|slug| offering["provider"] == *slug);
        let offerings = api.all("/offerings").await?;
        let real: BTreeSet<&str> = offerings
            .iter()
            .filter(|offering| !is_simulated(offering))
            .filter_map(|offering| offering["model"].as_str())
            .collect();
        for offering in offerings.iter().filter(|offering| is_simulated(offering)) {
            let wanted = !offering["model"].as_str().is_some_and(|model| real.contains(model));
            if offering["enabled"] != wanted {
                let path = format!("/offerings/{}", text(offering, "id")?);
                api.call(Method::PATCH, &path, Some(json!({"enabled": wanted}))).await?;
            }
        }
        Ok(())
    }

    /// A join token for the node; it is used only when the node has no identity yet.
    pub(super) async fn join_token(&self, state: &State) -> Result<String> {
        let token = self.api(state)?.call(Method::POST, "/join-tokens", Some(json!({}))).await?;
        text(&token, "token")
    }
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

    /// Every object of a collection.
    async fn all(&self, path: &str) -> Result<Vec<Value>> {
        let within = if path.contains('?') { "&" } else { "?" };
        let (mut objects, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.call(Method::GET, &format!("{path}{within}limit=1000{cursor}"), None).await?;
            objects.extend(page["data"].as_array().into_iter().flatten().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(objects),
            }
        }
    }

    /// The object of a collection with the same `name`, made when there is none.
    async fn ensure(&self, path: &str, name: &str, object: Value) -> Result<Value> {
        let scope = object["scope"].as_str().map(|scope| format!("scope={scope}"));
        let within = if path.contains('?') { "&" } else { "?" };
        let listed = scope.map_or_else(|| path.to_owned(), |scope| format!("{path}{within}{scope}"));
        let known = self.all(&listed).await?;
        match known.into_iter().find(|known| known[name] == object[name]) {
            Some(known) => Ok(known),
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

    /// A model at a provider with its price.
    async fn ensure_offering(
        &self,
        model: &str,
        provider: &str,
        upstream: &str,
        prices: &Value,
    ) -> Result<()> {
        let same = |known: &Value| known["model"] == model && known["provider"] == provider;
        if self.all("/offerings").await?.iter().any(same) {
            return Ok(());
        }
        let offering = json!({"model": model, "provider": provider, "upstream_name": upstream});
        let offering = self.call(Method::POST, "/offerings", Some(offering)).await?;
        let tiers = json!([{"from_input_tokens": 0, "prices": prices}]);
        let price = json!({"offering_id": offering["id"], "tiers": tiers, "source": "simulator"});
        self.call(Method::POST, "/prices", Some(price)).await?;
        Ok(())
    }
}

fn text(value: &Value, name: &str) -> Result<String> {
    value[name].as_str().map(str::to_owned).with_context(|| format!("the answer has no {name}"))
}
