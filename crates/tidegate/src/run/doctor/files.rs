//! Files that a configuration names, beyond what a process itself checks at its start.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use figment::providers::{Format as _, Toml};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use tidegate_telemetry::SystemClock;
use tidegate_types::clock::Clock as _;

use super::finding::Findings;
use super::validity::Certificate;
use crate::config::Config;

/// Certificates are renewed before that.
const SOON_DAYS: i64 = 14;
/// What is a secret itself, and not a file with one.
const SECRETS: [&str; 5] = [
    "encryption.key",
    "encryption.previous_key",
    "node.copy.key",
    "node.join_token",
    "redis.sentinel.password",
];

/// A file with secrets that others may read.
pub(super) fn exposed(file: &Path, findings: &mut Findings) {
    let (Ok(text), Ok(about)) = (std::fs::read_to_string(file), std::fs::metadata(file)) else { return };
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o077 != 0 && holds_secret(&text) {
        findings.warning(
            "configuration file",
            format!("{} holds secrets and has mode {mode:o}", file.display()),
            "chmod 600, or give the secrets by the environment (TIDEGATE_SECTION__KEY)",
        );
    }
}

/// A key, a token, a password, or a URL with one. What cannot be read was said of the configuration.
fn holds_secret(text: &str) -> bool {
    Toml::from_str::<Value>(text).is_ok_and(|whole| is_secret("", &whole))
}

fn is_secret(key: &str, value: &Value) -> bool {
    match value {
        Value::Object(table) => table.iter().any(|(name, value)| {
            let inner = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            is_secret(&inner, value)
        }),
        Value::Array(items) => items.iter().any(|item| is_secret(key, item)),
        Value::String(text) => SECRETS.contains(&key) || has_password(text),
        _ => false,
    }
}

fn has_password(url: &str) -> bool {
    let authority = url.split_once("://").and_then(|(_, rest)| rest.split(['/', '?']).next());
    authority.and_then(|authority| authority.rsplit_once('@')).is_some_and(|(user, _)| user.contains(':'))
}

/// The control plane's own token, by which it has nodes' tokens reviewed.
pub(super) fn service_account(config: &Config, findings: &mut Findings) {
    let Some(kubernetes) = &config.control_plane.kubernetes else { return };
    let file = &kubernetes.token_file;
    match std::fs::read_to_string(file) {
        Ok(text) if !text.trim().is_empty() => {
            findings.ok("control_plane.kubernetes", format!("its token is at {}", file.display()));
        }
        Ok(_) => findings.failed(
            "control_plane.kubernetes",
            "its token is empty",
            "project a token of the pod's account",
        ),
        Err(error) => findings.failed(
            "control_plane.kubernetes",
            format!("read {}: {error}", file.display()),
            "project a token of the pod's account there; nodes cannot enrol by theirs otherwise",
        ),
    }
}

/// The certificate of the gateway.
pub(super) fn gateway_tls(config: &Config, findings: &mut Findings) {
    let Some(tls) = &config.node.tls else { return };
    let file = &tls.certificate_file;
    // What cannot be read was said of the configuration.
    let Ok(leaf) = CertificateDer::from_pem_file(file) else { return };
    let Ok(valid) = tidegate_secrets::ca::validity(&leaf) else { return };
    let one = Certificate {
        check: "node.tls",
        whose: file.display().to_string(),
        valid,
        soon_days: SOON_DAYS,
        soon: "renew it: nodes take what the files hold without a restart",
        over: "renew it",
        replaced: false,
    };
    one.judge(SystemClock.now(), findings);
}

#[cfg(test)]
mod tests {
    use super::holds_secret;

    #[test]
    fn secrets_are_seen_in_a_configuration() {
        for text in [
            "[database]\nurl = \"postgres://a:b@c/d\"",
            "redis.url = \"redis://:x@h:1\"",
            "upstream = {proxy = 'http://a:b@c:1'}",
            "[node]\njoin_token = \"tgj\"",
            "node.copy = {folder = \"/c\", key = \"k\"}",
            "[encryption]\nkey = \"short\"",
            "encryption.previous_key = \"k\"",
            "[redis.sentinel]\naddresses = [\"h:1\"]\npassword = \"p\"",
            "[redis]\nsentinel = {group = \"g\", password = \"p\"}",
        ] {
            assert!(holds_secret(text), "{text}");
        }
        for text in [
            "redis.url = \"redis://h:1\"",
            "redis.url = \"redis://user@h:1\"",
            "[control_plane]\npublic_url = \"https://a.b/c:d@e\"",
            "[node]\nlisten = \"0.0.0.0:1\"\njoin_token_file = \"token\"",
            "#node.join_token = 1",
            "[encryption.kms]\nkey = \"arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab\"",
            "[encryption]\nvault = {address = \"https://v:8200\", key = \"a-name-that-is-longer-than-any-secret-would-have-to-be\"}",
            "[redis.sentinel]\npassword_file = \"p\"",
        ] {
            assert!(!holds_secret(text), "{text}");
        }
    }
}
