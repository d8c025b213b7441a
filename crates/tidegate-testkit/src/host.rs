//! Where a server runs: on this machine's loopback, or on a host of its own, a network namespace.
//!
//! Hosts hang on a router between which pairs can be parted: silently, or with a refusal. Needs root, and `ip`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// A place to run a server in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Where it is reached.
    pub address: Ipv4Addr,
    /// What stands before its programs' names.
    pub wrapper: Vec<String>,
}

impl Default for Host {
    fn default() -> Self {
        Self { address: Ipv4Addr::LOCALHOST, wrapper: vec![] }
    }
}

impl Host {
    /// A program that runs there.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        match self.wrapper.split_first() {
            None => Command::new(program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        }
    }

    pub(crate) fn is_loopback(&self) -> bool {
        self.address.is_loopback()
    }
}

/// How a pair of hosts is parted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Packets disappear.
    Silent,
    /// Packets from the first to the second disappear; the other way they pass.
    OneWay,
    /// The router says that there is no way.
    Refused,
}

/// Hosts on a router.
#[derive(Debug)]
pub struct Network {
    name: String,
    hosts: BTreeMap<String, Host>,
    is_own: bool,
}

impl Network {
    /// Makes the namespaces; they end with this value.
    ///
    /// # Errors
    /// When this machine, or this user, cannot make network namespaces.
    pub fn make(hosts: &[&str]) -> Result<Self> {
        let mut network = Self::named(&format!("tg{}", std::process::id()), hosts);
        network.is_own = true;
        network.lay().context("network namespaces cannot be made here (root and iproute2 are needed)")?;
        Ok(network)
    }

    /// One that another process has made.
    #[must_use]
    pub fn named(name: &str, hosts: &[&str]) -> Self {
        let host = |(index, host): (usize, &&str)| {
            let address = Ipv4Addr::new(10, 77, u8::try_from(index + 1).unwrap_or(255), 2);
            let wrapper = ["ip", "netns", "exec", &format!("{name}-{host}")].map(str::to_owned).to_vec();
            ((*host).to_owned(), Host { address, wrapper })
        };
        Self { name: name.to_owned(), hosts: hosts.iter().enumerate().map(host).collect(), is_own: false }
    }

    /// By which another process finds it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All hosts.
    #[must_use]
    pub const fn hosts(&self) -> &BTreeMap<String, Host> {
        &self.hosts
    }

    fn lay(&self) -> Result<()> {
        let router = format!("{}-router", self.name);
        ip(&format!("netns add {router}"))?;
        ip(&format!("-n {router} link set lo up"))?;
        ip(&format!("netns exec {router} sysctl -qw net.ipv4.ip_forward=1"))?;
        for (host, Host { address, .. }) in &self.hosts {
            let (space, [a, b, c, _]) = (format!("{}-{host}", self.name), address.octets());
            ip(&format!("netns add {space}"))?;
            ip(&format!("-n {space} link add eth0 type veth peer name v{c} netns {router}"))?;
            ip(&format!("-n {space} address add {address}/24 dev eth0"))?;
            ip(&format!("-n {router} address add {a}.{b}.{c}.1/24 dev v{c}"))?;
            for (space, link) in [(&space, "lo"), (&space, "eth0"), (&router, &*format!("v{c}"))] {
                ip(&format!("-n {space} link set {link} up"))?;
            }
            ip(&format!("-n {space} route add default via {a}.{b}.{c}.1"))?;
        }
        Ok(())
    }

    /// Parts two hosts.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn cut(&self, from: &str, to: &str, cut: Cut) -> Result<()> {
        let action = if cut == Cut::Refused { "unreachable" } else { "blackhole" };
        self.rule("add", from, to, action)?;
        if cut == Cut::OneWay { Ok(()) } else { self.rule("add", to, from, action) }
    }

    /// Joins them again.
    ///
    /// # Errors
    /// When they were not parted so.
    pub fn join(&self, from: &str, to: &str, cut: Cut) -> Result<()> {
        let action = if cut == Cut::Refused { "unreachable" } else { "blackhole" };
        self.rule("del", from, to, action)?;
        if cut == Cut::OneWay { Ok(()) } else { self.rule("del", to, from, action) }
    }

    fn rule(&self, verb: &str, from: &str, to: &str, action: &str) -> Result<()> {
        let of = |host: &str| self.hosts.get(host).with_context(|| format!("no host {host}"));
        let (from, to) = (of(from)?.address, of(to)?.address);
        ip(&format!("-n {}-router rule {verb} from {from} to {to} {action}", self.name))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if !self.is_own {
            return;
        }
        for host in self.hosts.keys().map(String::as_str).chain(["router"]) {
            let _ = ip(&format!("netns del {}-{host}", self.name));
        }
    }
}

fn ip(words: &str) -> Result<()> {
    let output = Command::new("ip").args(words.split(' ')).output().context("run ip")?;
    if !output.status.success() {
        bail!("ip {words}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
