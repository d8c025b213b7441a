//! Where the counters' server is: one endpoint, or whichever server the Sentinels call the primary at this moment.
//! How the nodes of a cluster are spoken to; who of them counts what, `cluster` knows.
//!
//! Of all Sentinels that answer, the one with the newest view of the group decides (its `config-epoch` grows with
//! each failover), so that one that was cut off names no primary from before. What they say is never believed alone:
//! the handshake asks the server itself for its role, and an epoch that a server does not hold is not spent from.
//! Protocol: Redis' documentation for authors of Sentinel clients, read November 2026.

use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, TlsCertificates,
    Value,
};
use tokio::time::timeout;

use crate::error::{LimitError, Unfit};
use crate::settings::{RedisSettings, SentinelSettings};

/// Longest time for one Sentinel to be connected to and to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where the counters' server is.
pub(crate) struct Finder {
    /// How the server is spoken to; its address is what Sentinels say, where there are any.
    info: ConnectionInfo,
    roots: Option<Vec<u8>>,
    sentinels: Vec<Sentinel>,
    /// The group's name.
    group: String,
    /// Who was named last.
    named: Mutex<Option<Primary>>,
    /// Nodes of a cluster that are asked first, where there is one.
    seeds: Vec<Address>,
}

/// Where a node of a cluster listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// One Sentinel, and the connection to it while it holds.
struct Sentinel {
    address: String,
    client: Client,
    connection: Mutex<Option<MultiplexedConnection>>,
}

/// What a Sentinel calls the primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Primary {
    pub(crate) host: String,
    pub(crate) port: u16,
    view: u64,
}

impl Primary {
    fn is_at(&self, other: &Self) -> bool {
        self.host == other.host && self.port == other.port
    }
}

/// What one Sentinel was heard to say; `Err`: why nothing.
pub(crate) type Told = (String, Result<Primary, &'static str>);

impl Finder {
    /// Reads URL, addresses and certificates. Asks nobody.
    pub(crate) fn new(settings: &RedisSettings) -> Result<Self, LimitError> {
        let url = settings.url.expose();
        let info = parse(url)?;
        if settings.ca.is_some() && !url.starts_with("rediss://") {
            return Err(LimitError::Unfit(Unfit::Ca));
        }
        client(info.clone(), settings.ca.as_deref())?;
        let (mut sentinels, mut group) = (Vec::new(), String::new());
        if let Some(given) = &settings.sentinel {
            if given.addresses.is_empty() || given.group.is_empty() || url.starts_with("unix://") {
                return Err(LimitError::Unfit(Unfit::Sentinels));
            }
            group.clone_from(&given.group);
            let made =
                given.addresses.iter().map(|address| Sentinel::new(address, given, settings.ca.as_deref()));
            sentinels = made.collect::<Result<_, _>>()?;
        }
        let seeds = seeds(settings, &info)?;
        Ok(Self { info, roots: settings.ca.clone(), sentinels, group, named: Mutex::default(), seeds })
    }

    /// Nodes of the cluster that are asked first; empty: there is no cluster.
    pub(super) fn seeds(&self) -> &[Address] {
        &self.seeds
    }

    /// The same way of speaking, to this node of the cluster.
    pub(super) fn to(&self, node: &Address) -> Self {
        let at = address(&self.info, &node.host, node.port);
        Self {
            info: self.info.clone().set_addr(at),
            roots: self.roots.clone(),
            sentinels: Vec::new(),
            group: String::new(),
            named: Mutex::default(),
            seeds: Vec::new(),
        }
    }

    /// Where it points, by itself: `host:port`.
    pub(super) fn address(&self) -> String {
        self.info.addr().to_string()
    }

    /// Who is to be connected to.
    pub(super) async fn find(&self) -> Result<Client, LimitError> {
        if self.sentinels.is_empty() {
            return client(self.info.clone(), self.roots.as_deref());
        }
        let primary = self.newest().await.ok_or(LimitError::Away)?;
        let at = address(&self.info, &primary.host, primary.port);
        *self.named.lock() = Some(primary);
        client(self.info.clone().set_addr(at), self.roots.as_deref())
    }

    /// Whether the Sentinels by now name another server than the one that was found.
    pub(super) async fn has_moved(&self) -> bool {
        if self.sentinels.is_empty() {
            return false;
        }
        let newest = self.newest().await;
        let named = self.named.lock();
        match (newest, &*named) {
            (Some(newest), Some(named)) => newest.view >= named.view && !newest.is_at(named),
            _ => false,
        }
    }

    pub(super) fn has_sentinels(&self) -> bool {
        !self.sentinels.is_empty()
    }

    async fn newest(&self) -> Option<Primary> {
        let told = self.ask_all().await;
        told.into_iter().filter_map(|(_, told)| told.ok()).max_by_key(|primary| primary.view)
    }

    /// What every Sentinel says.
    pub(super) async fn ask_all(&self) -> Vec<Told> {
        let asked = self.sentinels.iter().map(async |sentinel| {
            let told = timeout(PATIENCE, sentinel.ask(&self.group)).await.unwrap_or(Err("no answer in time"));
            if told.is_err() {
                *sentinel.connection.lock() = None;
            }
            (sentinel.address.clone(), told)
        });
        join_all(asked).await
    }
}

impl Sentinel {
    fn new(address: &str, given: &SentinelSettings, roots: Option<&[u8]>) -> Result<Self, LimitError> {
        if !is_endpoint(address) {
            return Err(LimitError::Unfit(Unfit::Sentinels));
        }
        let scheme = if given.tls { "rediss" } else { "redis" };
        let mut info = parse(&format!("{scheme}://{address}"))?;
        let mut settings = info.redis_settings().clone();
        if let Some(user) = &given.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &given.password {
            settings = settings.set_password(password.expose());
        }
        info = info.set_redis_settings(settings);
        let client = client(info, roots.filter(|_| given.tls))?;
        Ok(Self { address: address.to_owned(), client, connection: Mutex::default() })
    }

    async fn ask(&self, group: &str) -> Result<Primary, &'static str> {
        let held = self.connection.lock().clone();
        let mut connection = match held {
            Some(connection) => connection,
            None => {
                let config =
                    AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
                let made = self.client.get_multiplexed_async_connection_with_config(&config).await;
                let made = made.map_err(|error| match error.kind() {
                    redis::ErrorKind::AuthenticationFailed => "it refuses the user or the password",
                    _ => "it cannot be reached",
                })?;
                self.connection.lock().insert(made).clone()
            }
        };
        let mut told = match connection.send_packed_command(&question("MASTER", group)).await {
            Ok(Value::Array(fields)) => primary(&fields).ok_or("its answer cannot be read"),
            Ok(Value::Map(fields)) => {
                let flat: Vec<Value> = fields.into_iter().flat_map(|(name, value)| [name, value]).collect();
                primary(&flat).ok_or("its answer cannot be read")
            }
            Ok(Value::ServerError(error)) if error.code() == "NOAUTH" => Err("it asks for a password"),
            Ok(Value::ServerError(_)) => Err("it knows no such group, or is no Sentinel"),
            _ => Err("it does not answer"),
        }?;
        // While other replicas are still led to the promoted one, MASTER names the old address under the new
        // configuration epoch (Redis' documentation, "Sentinel": clients ask for the address by this one).
        let by_name = question("GET-MASTER-ADDR-BY-NAME", group);
        if let Ok(Value::Array(at)) = connection.send_packed_command(&by_name).await
            && let [host, port] = &at[..]
            && let (Some(host), Some(port)) = (text(host), text(port).and_then(|port| port.parse().ok()))
        {
            (told.host, told.port) = (host, port);
        }
        Ok(told)
    }
}

fn question(asked: &str, group: &str) -> redis::Cmd {
    let mut question = redis::cmd("SENTINEL");
    question.arg(asked).arg(group);
    question
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Names and values in turns, as SENTINEL MASTER gives them.
fn primary(fields: &[Value]) -> Option<Primary> {
    let field = |name: &str| {
        let mut pairs = fields.chunks_exact(2);
        let pair = pairs.find(|pair| pair.first().and_then(text).as_deref() == Some(name))?;
        pair.get(1).and_then(text)
    };
    Some(Primary {
        host: field("ip")?,
        port: field("port")?.parse().ok()?,
        view: field("config-epoch")?.parse().ok()?,
    })
}

/// Whether this is `host:port` and nothing more.
fn is_endpoint(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let named = !host.is_empty() && !host.contains(['/', '@', '#', '?', ' ', ',']);
    named && port.parse::<u16>().is_ok()
}

/// The nodes of a cluster that settings name.
fn seeds(settings: &RedisSettings, info: &ConnectionInfo) -> Result<Vec<Address>, LimitError> {
    let Some(given) = &settings.cluster else { return Ok(Vec::new()) };
    let unfit = || LimitError::Unfit(Unfit::Cluster);
    // A cluster has no numbered databases.
    let other = settings.sentinel.is_some() || matches!(info.addr(), ConnectionAddr::Unix(_));
    if given.is_empty() || other || info.redis_settings().db() != 0 {
        return Err(unfit());
    }
    let read = |address: &String| {
        if !is_endpoint(address) {
            return Err(unfit());
        }
        match parse(&format!("redis://{address}")).map_err(|_| unfit())?.addr() {
            ConnectionAddr::Tcp(host, port) => Ok(Address { host: host.clone(), port: *port }),
            _ => Err(unfit()),
        }
    };
    given.iter().map(read).collect()
}

/// Reads `redis://`, `rediss://` or `unix://`.
fn parse(url: &str) -> Result<ConnectionInfo, LimitError> {
    let unfit = LimitError::Unfit(Unfit::Url);
    // A fragment would switch off the check of the server's certificate.
    if !["redis://", "rediss://", "unix://"].iter().any(|scheme| url.starts_with(scheme)) || url.contains('#')
    {
        return Err(unfit);
    }
    let info = url.into_connection_info().map_err(|_| unfit)?;
    Ok(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

/// The same way of speaking, to another server.
fn address(info: &ConnectionInfo, host: &str, port: u16) -> ConnectionAddr {
    match info.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
            host: host.to_owned(),
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host.to_owned(), port),
    }
}

fn client(info: ConnectionInfo, roots: Option<&[u8]>) -> Result<Client, LimitError> {
    match roots {
        None => Client::open(info).map_err(|_| LimitError::Unfit(Unfit::Url)),
        Some(roots) => {
            if !String::from_utf8_lossy(roots).contains("-----BEGIN CERTIFICATE-----") {
                return Err(LimitError::Unfit(Unfit::Ca));
            }
            let certificates = TlsCertificates { client_tls: None, root_cert: Some(roots.to_vec()) };
            Client::build_with_tls(info, certificates).map_err(|_| LimitError::Unfit(Unfit::Ca))
        }
    }
}
