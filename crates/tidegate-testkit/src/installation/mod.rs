//! A whole installation: the real executable as separate processes, on real Postgres and Redis.
//!
//! Everything is done as an operator would: migrate, keygen, bootstrap, sign in, join tokens.

mod admin;
mod config;
mod copies;
mod link;
mod processes;
mod program;
mod provision;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

pub use admin::Admin;
pub use link::{Line, Link};
pub use program::Program;

use crate::host::Host;
use crate::{port, postgres, redis};

/// How an installation is laid out.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Control planes.
    pub control_planes: usize,
    /// Nodes at the start.
    pub nodes: usize,
    /// Counters in Redis; otherwise in the memory of the one node.
    pub redis: bool,
    /// Worker threads of a node.
    pub workers: Option<usize>,
    /// Longest time for running streams to finish when a node is told to end.
    pub drain_timeout_seconds: u64,
    /// Time for which what is told to end goes on serving, not ready; `None`: as the executable has it, one from
    /// before the setting too.
    pub drain_lead_seconds: Option<u64>,
    /// `redis.decision_timeout_ms`; `None`: as the executable has it, one from before the setting too. Tests share
    /// a machine with others, on which Redis may be silent for longer than an operator puts up with; the longest by default.
    pub decision_timeout_ms: Option<u64>,
    /// `control_plane.grant_percent`; `None`: as the executable has it.
    pub grant_percent: Option<u8>,
    /// `control_plane.reclaim_after_seconds`; `None`: as the executable has it.
    pub reclaim_after_seconds: Option<u64>,
    /// `control_plane.wave_seconds`; `None`: as the executable has it, one from before the setting too.
    pub wave_seconds: Option<u64>,
    /// `node.journal_max_bytes`; `None`: as the executable has it.
    pub journal_max_bytes: Option<u64>,
    /// Lines between the parts can be cut: see [`Lines`].
    pub lines: bool,
    /// Hosts by the name of what runs there (`postgres`, `redis`, `simulator`, `control-0`, `node-0`); what
    /// has none runs on the loopback.
    pub hosts: BTreeMap<String, Host>,
    /// A program in front of each node, for example `taskset -c 1`.
    pub node_wrapper: Vec<String>,
    /// Where the default provider is; `None`: a simulator of its own.
    pub upstream: Option<String>,
    /// TLS of the nodes' gateways: files of the certificate and of its key.
    pub gateway_tls: Option<(PathBuf, PathBuf)>,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            control_planes: 1,
            nodes: 1,
            redis: true,
            workers: None,
            drain_timeout_seconds: 20,
            drain_lead_seconds: Some(0),
            decision_timeout_ms: Some(5_000),
            grant_percent: None,
            reclaim_after_seconds: None,
            wave_seconds: Some(0),
            journal_max_bytes: None,
            lines: false,
            hosts: BTreeMap::new(),
            node_wrapper: vec![],
            upstream: None,
            gateway_tls: None,
        }
    }
}

impl Shape {
    /// Where something runs.
    fn host(&self, name: &str) -> Host {
        self.hosts.get(name).cloned().unwrap_or_default()
    }
}

/// Lines between the parts, each of its own; empty where [`Shape::lines`] was not asked for.
#[derive(Debug, Default)]
pub struct Lines {
    /// Of each control plane to Postgres.
    pub to_postgres: Vec<Link>,
    /// Of each node to its control plane.
    pub to_control: Vec<Link>,
    /// Of each node to Redis.
    pub to_redis: Vec<Link>,
}

const EMAIL: &str = "root@example.test";

/// Price of the model `sim/chat`, in USD per token: input and output.
pub const PRICE: (&str, &str) = ("0.0000005", "0.000002");

/// A running installation. Everything ends with it.
pub struct Installation {
    shape: Shape,
    binary: PathBuf,
    folder: TempDir,
    /// The database server; may be stopped and started again.
    pub postgres: postgres::Server,
    /// The counters' server; may be stopped, frozen, emptied.
    pub redis: Option<redis::Server>,
    /// Further pools, each with a counters' server of its own.
    pub pools: BTreeMap<String, redis::Server>,
    /// What can be cut.
    pub lines: Lines,
    /// The simulated providers.
    pub simulator: Option<Program>,
    /// Control planes.
    pub control_planes: Vec<Program>,
    /// Nodes.
    pub nodes: Vec<Program>,
    /// The management API as platform administrator and owner of the organization `acme`.
    pub admin: Admin,
    /// The organization `acme`.
    pub organization: String,
    /// The team that owns the keys.
    pub team: String,
    /// Loopback ports that nodes started from now on may call over plain http.
    pub upstream_ports: Vec<u16>,
}

impl Installation {
    /// Starts everything and waits until every node serves.
    ///
    /// # Errors
    /// When a part does not start; the message holds the end of its log.
    pub async fn start(binary: &Path, shape: Shape) -> Result<Self> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::Builder::new().prefix("tg-").tempdir()?;
        let (postgres, logins) = provision::migrated(binary, shape.host("postgres"))?;
        let redis = shape.redis.then(|| redis::Server::start_on(shape.host("redis"))).transpose()?;
        let key = folder.path().join("key-encryption-key");
        Program::run(binary, folder.path(), &["keygen", "--out", &key.to_string_lossy()])?;
        let simulator = match &shape.upstream {
            Some(_) => None,
            None => Some(start_simulator(binary, folder.path(), &shape.host("simulator")).await?),
        };
        let (mut control_planes, mut lines) = (Vec::new(), Lines::default());
        for index in 0..shape.control_planes.max(1) {
            let logins = match shape.lines {
                true => {
                    let line = Link::to(logins.port).await?;
                    let through = logins.at(line.port());
                    lines.to_postgres.push(line);
                    through
                }
                false => logins.at(logins.port),
            };
            let file = config::control_plane(folder.path(), index, &logins, &shape)?;
            control_planes.push(Program::start(
                binary,
                folder.path(),
                &format!("control-{index}"),
                &shape.host(&format!("control-{index}")).wrapper,
                &["control-plane", "--config", &file],
            )?);
        }
        for program in &control_planes {
            program.wait_for_line("control plane is ready").await?;
        }
        let admin = sign_in(binary, folder.path(), &control_planes[0]).await?;
        let mut installation = Self {
            shape,
            binary: binary.to_owned(),
            folder,
            postgres,
            redis,
            pools: BTreeMap::new(),
            lines,
            simulator,
            control_planes,
            nodes: vec![],
            admin,
            organization: String::new(),
            team: String::new(),
            upstream_ports: vec![],
        };
        installation.seed().await?;
        for _ in 0..installation.shape.nodes {
            installation.add_node().await?;
        }
        Ok(installation)
    }

    /// The organization, its team, the catalogue and the system credentials.
    async fn seed(&mut self) -> Result<()> {
        self.organization("acme").await?;
        let team = self.admin.post("/teams", &json!({"name": "core"})).await?;
        self.team = text(&team, "id")?;
        let model = json!({"name": "sim/chat", "context_window": 128_000, "max_output_tokens": 16_384,
            "capabilities": {"tools": true, "vision": true, "reasoning": true, "structured_output": true}});
        self.admin.post("/models", &model).await?;
        let base = match (&self.shape.upstream, &self.simulator) {
            (Some(url), _) => url.clone(),
            (None, Some(simulator)) => simulator.url("listening on ")?,
            (None, None) => anyhow::bail!("no upstream"),
        };
        self.upstream_ports.extend(port_of(&base).ok());
        let providers = if self.simulator.is_some() {
            vec![
                ("sim-openai", "openai_chat", "bearer", format!("{base}/openai/v1")),
                ("sim-anthropic", "anthropic_messages", "x_api_key", format!("{base}/anthropic/v1")),
            ]
        } else {
            vec![("mock", "openai_chat", "bearer", base)]
        };
        for (slug, dialect, auth, base_url) in providers {
            self.provider(slug, dialect, auth, &base_url, "sim/chat", "sim").await?;
        }
        Ok(())
    }

    /// Makes an organization; from now on the client acts for it, and for the platform.
    async fn organization(&mut self, slug: &str) -> Result<()> {
        let organization = self.admin.post("/organizations", &json!({"slug": slug, "name": slug})).await?;
        self.organization = text(&organization, "id")?;
        let within = format!("organization={}", self.organization);
        let member = json!({"email": EMAIL, "role": "owner"});
        self.admin.post(&format!("/members?{within}"), &member).await?;
        let token = json!({"name": "test", "role": "owner", "platform_role": "platform_admin"});
        let token = self.admin.post(&format!("/service-tokens?{within}"), &token).await?;
        self.admin.token = text(&token, "token")?;
        Ok(())
    }

    /// Adds a provider with a system credential, and one offering with its price.
    ///
    /// # Errors
    /// When the management API refuses.
    pub async fn provider(
        &self,
        slug: &str,
        dialect: &str,
        auth: &str,
        base_url: &str,
        model: &str,
        upstream: &str,
    ) -> Result<()> {
        let mut provider =
            json!({"slug": slug, "name": slug, "base_url": base_url, "dialect": dialect, "auth": auth});
        if slug.ends_with("openai") {
            provider["quirks"] = json!({"max_completion_tokens": true});
        }
        self.admin.post("/providers", &provider).await?;
        self.offering(model, slug, upstream).await?;
        let credential =
            json!({"scope": "system", "name": slug, "provider": slug, "secret": {"api_key": "sim-key"}});
        self.admin.post("/credentials", &credential).await?;
        Ok(())
    }

    /// Adds a model with one priced offering at a provider.
    ///
    /// # Errors
    /// When the management API refuses.
    pub async fn model(&self, name: &str, provider: &str, upstream: &str) -> Result<()> {
        let model = json!({"name": name, "context_window": 128_000, "max_output_tokens": 16_384});
        self.admin.post("/models", &model).await?;
        self.offering(name, provider, upstream).await
    }

    async fn offering(&self, model: &str, provider: &str, upstream: &str) -> Result<()> {
        let offering = json!({"model": model, "provider": provider, "upstream_name": upstream});
        let offering = self.admin.post("/offerings", &offering).await?;
        let prices = json!([{"unit": "input_token", "price": PRICE.0}, {"unit": "output_token", "price": PRICE.1},
            {"unit": "cached_input_token", "price": "0.00000025"}]);
        let tiers = json!([{"from_input_tokens": 0, "prices": prices}]);
        self.admin
            .post("/prices", &json!({"offering_id": offering["id"], "tiers": tiers, "source": "test"}))
            .await?;
        Ok(())
    }

    /// Runs a statement in the database as its superuser, past everything that guards it.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn sql(&self, statement: &str) -> Result<()> {
        provision::sql(&self.postgres, "tidegate", statement)
    }

    /// Rows of a query as the database's superuser, each with its columns as text.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn query(&self, statement: &str) -> Result<Vec<Vec<String>>> {
        provision::query(&self.postgres, "tidegate", statement)
    }

    /// Folder with every process's configuration (`node-0.toml`), state (`node-0-state`) and log.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where a node's gateway listens.
    ///
    /// # Errors
    /// When it never said so.
    pub fn gateway(&self, index: usize) -> Result<String> {
        self.nodes[index].url("gateway on ")
    }

    /// A fresh virtual key that every node knows: id and text. `fields` are added to the request.
    ///
    /// # Errors
    /// When the management API refuses.
    pub async fn key(&self, name: &str, fields: &Value) -> Result<(String, String)> {
        let mut body = json!({"team_id": self.team, "name": name});
        if let (Some(body), Some(fields)) = (body.as_object_mut(), fields.as_object()) {
            body.extend(fields.clone());
        }
        let key = self.admin.post("/keys?wait=fleet", &body).await?;
        Ok((text(&key, "id")?, text(&key, "key")?))
    }

    /// A hard, strict, monthly budget that every node knows.
    ///
    /// # Errors
    /// When the management API refuses.
    pub async fn budget(&self, name: &str, limit: &str, scope: Value) -> Result<String> {
        let body = json!({"name": name, "limit": limit, "window": {"every": "month"}, "scope": scope,
            "enforcement": "hard", "mode": "strict"});
        let budget = self.admin.post("/budgets?wait=fleet", &body).await?;
        text(&budget, "id")
    }

    /// The simulator's own bill.
    ///
    /// # Errors
    /// When there is no simulator or it does not answer.
    pub async fn bill(&self) -> Result<Value> {
        self.simulator_get("/bill").await
    }

    /// Reads from the simulator.
    ///
    /// # Errors
    /// As [`Installation::bill`].
    pub async fn simulator_get(&self, path: &str) -> Result<Value> {
        let url = self.simulator.as_ref().context("there is a simulator")?.url("listening on ")?;
        Ok(reqwest::get(format!("{url}{path}")).await?.json().await?)
    }

    /// Tells the simulator how to behave; replaces what it was told before.
    ///
    /// # Errors
    /// As [`Installation::bill`], and when the script is refused.
    pub async fn script(&self, rules: Value) -> Result<()> {
        let url = self.simulator.as_ref().context("there is a simulator")?.url("listening on ")?;
        let answer =
            admin::client()?.post(format!("{url}/script")).json(&json!({"rules": rules})).send().await?;
        answer.error_for_status()?;
        Ok(())
    }

    /// Sets what the simulator bills: nano-USD of an input and an output token, by the provider's model name.
    ///
    /// # Errors
    /// As [`Installation::script`].
    pub async fn tariff(&self, prices: &[(String, u64, u64)]) -> Result<()> {
        let url = self.simulator.as_ref().context("there is a simulator")?.url("listening on ")?;
        let price = |(model, input, output): &(String, u64, u64)| {
            let price = json!({"input": input * 1000, "output": output * 1000, "cached_input": input * 1000});
            (model.clone(), price)
        };
        let prices: serde_json::Map<_, _> = prices.iter().map(price).collect();
        let answer =
            admin::client()?.post(format!("{url}/prices")).json(&Value::Object(prices)).send().await?;
        answer.error_for_status()?;
        Ok(())
    }

    /// Asks until `ready` says yes.
    ///
    /// # Errors
    /// When it does not within `limit`; the message names `what`.
    pub async fn wait_until<F>(what: &str, limit: Duration, mut ready: impl FnMut() -> F) -> Result<()>
    where
        F: Future<Output = bool>,
    {
        let deadline = tokio::time::Instant::now() + limit;
        while !ready().await {
            anyhow::ensure!(tokio::time::Instant::now() < deadline, "{what} is not so after {limit:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Installation {
    /// A story that failed tells what its processes said last.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.control_planes.iter().chain(&self.nodes).for_each(Program::print_end_of_log);
        }
    }
}

/// The port in a URL.
fn port_of(url: &str) -> Result<u16> {
    let port = url.split(':').nth(2).and_then(|rest| rest.split('/').next());
    port.and_then(|port| port.parse().ok()).with_context(|| format!("no port in {url}"))
}

/// A member of a JSON object that must be text.
pub(crate) fn text(value: &Value, name: &str) -> Result<String> {
    value[name].as_str().map(str::to_owned).with_context(|| format!("no text {name:?} in the answer"))
}

async fn start_simulator(binary: &Path, folder: &Path, host: &Host) -> Result<Program> {
    let listen = format!("{}:{}", host.address, port::free()?);
    let simulator =
        Program::start(binary, folder, "simulator", &host.wrapper, &["simulator", "--listen", &listen])?;
    simulator.wait_for_line("listening on ").await?;
    Ok(simulator)
}

/// The first administrator, by the link that `bootstrap` prints.
async fn sign_in(binary: &Path, folder: &Path, control: &Program) -> Result<Admin> {
    let file = config::file(folder, "control-0");
    let output = Program::run(binary, folder, &["bootstrap", "--config", &file, "--email", EMAIL])?;
    let link = output.lines().find_map(|line| line.split('#').nth(1)).context("bootstrap prints a link")?;
    let mut admin = Admin::new(&control.url("management API on ")?)?;
    let body = json!({"token": link.trim(), "password": "correct horse battery staple"});
    let session = admin.post("/sessions/link", &body).await?;
    admin.token = text(&session, "token")?;
    Ok(admin)
}
