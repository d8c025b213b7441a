//! Process configuration: one TOML file, every key overridable by `TIDEGATE_SECTION__KEY`.
//!
//! Unknown keys and values that cannot hold are refused with the key's name, never with the value.

mod control_plane;
mod database;
mod node;
mod source;
mod upstream;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use tidegate_types::Secret;

pub(crate) use control_plane::{
    AllowedAccount, ControlPlane, Encryption, Kms, Kubernetes, PublishedCopy, Vault,
};
pub(crate) use database::{Database, Redis, Sentinel};
pub(crate) use node::{Node, NodeCopy, Tls};
pub(crate) use upstream::{PrivateTarget, Upstream};

/// The whole configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) log: Log,
    pub(crate) database: Database,
    pub(crate) redis: Redis,
    pub(crate) encryption: Encryption,
    pub(crate) control_plane: ControlPlane,
    pub(crate) node: Node,
    pub(crate) upstream: Upstream,
}

/// Logs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// `json` or `text`.
    pub(crate) format: LogFormat,
    /// A filter such as `info` or `info,tidegate_push=debug`.
    pub(crate) filter: String,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    Json,
    Text,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Json, filter: "info".to_owned() }
    }
}

impl Config {
    /// Reads the file (when one is given) and the environment.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self> {
        source::read(file, source::environment())
    }
}

/// A secret value from a key, or from the file that another key names.
pub(crate) fn secret(value: Option<&str>, file: Option<&PathBuf>, key: &str) -> Result<Option<Secret>> {
    match (value, file) {
        (Some(_), Some(_)) => bail!("configuration: give {key} or {key}_file, not both"),
        (Some(value), None) if value.trim().is_empty() => bail!("configuration: {key} is empty"),
        (Some(value), None) => Ok(Some(Secret::new(value.trim()))),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("read {key}_file {}", file.display()))?;
            if text.trim().is_empty() {
                bail!("configuration: {key}_file {} is empty", file.display());
            }
            Ok(Some(Secret::new(text.trim())))
        }
        (None, None) => Ok(None),
    }
}

/// A key that must be there for this command.
pub(crate) fn required<T>(value: Option<T>, key: &str) -> Result<T> {
    value.with_context(|| format!("configuration: {key} is required for this command"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn parse(text: &str) -> Result<Config> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("tidegate.toml");
        std::fs::write(&file, text)?;
        Config::load(Some(&file))
    }

    #[test]
    fn nobody_but_this_machine_reaches_the_management_api_unless_it_is_said() {
        assert!(Config::default().control_plane.listen.ip().is_loopback());
        let said = parse("[control_plane]\nlisten = \"0.0.0.0:8081\"").unwrap();
        assert!(!said.control_plane.listen.ip().is_loopback());
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        let config = parse("").unwrap();
        assert_eq!(config.node.listen.port(), 8080);
        assert_eq!(config.control_plane.listen.port(), 8081);
        assert!(config.upstream.private.is_empty(), "nothing private is reachable by default");
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_named() {
        let error = parse("[node]\nlisten_adress = \"x\"").unwrap_err().to_string();
        assert!(error.contains("listen_adress"), "{error}");
        let error = parse("[node]\nlisten = 7").unwrap_err().to_string();
        assert!(error.contains("listen"), "{error}");
    }

    #[test]
    fn empty_secrets_are_refused() {
        assert!(secret(Some("  "), None, "encryption.key").is_err());
        assert!(secret(None, None, "encryption.key").unwrap().is_none());
    }

    /// Every key of `value` that holds no further table, as the file's author writes it.
    fn keys(value: &serde_json::Value, above: &str, found: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::Object(table) => {
                for (name, value) in table {
                    keys(
                        value,
                        &if above.is_empty() { name.clone() } else { format!("{above}.{name}") },
                        found,
                    );
                }
            }
            _ => {
                found.insert(above.to_owned());
            }
        }
    }

    #[test]
    fn the_documented_keys_are_those_that_are_read() {
        let document = include_str!("../../../../docs/configuration.md");
        let first_cells = document.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
        let documented: BTreeSet<String> = first_cells
            .flat_map(|cell| cell.split(['`', ',', ' ']))
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        let mut whole = Config::default();
        // What is absent by default has keys of its own.
        whole.node.tls = Some(Tls { certificate_file: "c".into(), key_file: "k".into() });
        whole.redis.sentinel = Some(Sentinel::default());
        whole.redis.cluster = Some(database::RedisCluster::default());
        whole.control_plane.kubernetes = Some(Kubernetes::default());
        let mut read = BTreeSet::new();
        keys(&serde_json::to_value(whole).unwrap(), "", &mut read);
        assert_eq!(documented, read);
    }

    #[test]
    fn the_documented_defaults_are_those_that_are_used() {
        let document = include_str!("../../../../docs/configuration.md");
        let config = Config::default();
        for (key, default) in [
            ("log.filter", config.log.filter),
            ("control_plane.listen", config.control_plane.listen.to_string()),
            ("control_plane.grpc_listen", config.control_plane.grpc_listen.to_string()),
            ("control_plane.metrics_listen", config.control_plane.metrics_listen.to_string()),
            ("control_plane.grpc_names", format!("{:?}", config.control_plane.grpc_names)),
            ("node.listen", config.node.listen.to_string()),
            ("node.metrics_listen", config.node.metrics_listen.to_string()),
            ("node.state_dir", config.node.state_dir.display().to_string()),
            ("node.drain_lead_seconds", config.node.drain_lead_seconds.to_string()),
            ("control_plane.drain_lead_seconds", config.control_plane.drain_lead_seconds.to_string()),
            ("redis.decision_timeout_ms", config.redis.decision_timeout_ms.to_string()),
            ("node.drain_timeout_seconds", config.node.drain_timeout_seconds.to_string()),
            ("node.response_cache_bytes", format!("{} MiB", config.node.response_cache_bytes >> 20)),
            (
                "node.response_cache_entry_bytes",
                format!("{} MiB", config.node.response_cache_entry_bytes >> 20),
            ),
            ("control_plane.copy.period_seconds", config.control_plane.copy.period_seconds.to_string()),
            ("control_plane.copy.reserves", config.control_plane.copy.reserves.to_string()),
            ("node.copy.max_age_hours", config.node.copy.max_age_hours.to_string()),
            ("node.journal_max_bytes", format!("{} GiB", config.node.journal_max_bytes >> 30)),
        ] {
            let row = document.lines().find(|line| line.starts_with(&format!("| `{key}` |"))).unwrap();
            let cell = row.split(" | ").nth(1).unwrap().trim_matches('`');
            assert_eq!(cell, default, "{key}");
        }
    }
}
