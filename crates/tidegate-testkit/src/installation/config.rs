//! Configuration files of the processes.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use super::provision::Logins;
use super::{Shape, text};
use crate::port;

/// Path of a process's configuration.
pub(super) fn file(folder: &Path, name: &str) -> String {
    folder.join(format!("{name}.toml")).to_string_lossy().into_owned()
}

/// Writes a control plane's configuration; its path.
pub(super) fn control_plane(folder: &Path, index: usize, logins: &Logins, shape: &Shape) -> Result<String> {
    let grants =
        shape.grant_percent.map(|percent| format!("grant_percent = {percent}\n")).unwrap_or_default();
    let quiet =
        shape.reclaim_after_seconds.map(|n| format!("reclaim_after_seconds = {n}\n")).unwrap_or_default();
    let waves = shape.wave_seconds.map(|n| format!("wave_seconds = {n}\n")).unwrap_or_default();
    let lead = lead(shape) + &grants + &quiet + &waves;
    let (api, grpc, metrics) = (port::free()?, port::free()?, port::free()?);
    let host = shape.host(&format!("control-{index}")).address;
    let content = format!(
        "log.format = \"text\"\n\n[database]\nurl = {:?}\nfeed_url = {:?}\nmigrate_url = {:?}\n\n\
         [encryption]\nkey_file = {:?}\n\n\
         [control_plane]\nlisten = \"{host}:{api}\"\ngrpc_listen = \"{host}:{grpc}\"\n\
         grpc_names = [\"localhost\", \"{host}\"]\nmetrics_listen = \"{host}:{metrics}\"\n{lead}",
        logins.app,
        logins.feed,
        logins.owner,
        folder.join("key-encryption-key"),
    );
    let path = file(folder, &format!("control-{index}"));
    fs::write(&path, content)?;
    Ok(path)
}

fn lead(shape: &Shape) -> String {
    shape.drain_lead_seconds.map(|seconds| format!("drain_lead_seconds = {seconds}\n")).unwrap_or_default()
}

/// Writes a node's configuration.
pub(super) fn node(
    folder: &Path,
    index: usize,
    control_plane: &str,
    token: &Value,
    redis: Option<&str>,
    shape: &Shape,
    upstream_ports: &[u16],
) -> Result<()> {
    let roots = folder.join("roots.pem");
    fs::write(&roots, text(token, "trust_roots")?)?;
    let (gateway, metrics) = (port::free()?, port::free()?);
    let host = shape.host(&format!("node-{index}")).address;
    let private = if host.is_loopback() { "127.0.0.0/8" } else { "10.77.0.0/16" };
    let lead = lead(shape);
    let workers = shape.workers.map(|n| format!("workers = {n}\n")).unwrap_or_default();
    let journal = shape.journal_max_bytes.map(|n| format!("journal_max_bytes = {n}\n")).unwrap_or_default();
    let drain = shape.drain_timeout_seconds;
    let patience =
        shape.decision_timeout_ms.map(|ms| format!("decision_timeout_ms = {ms}\n")).unwrap_or_default();
    let redis = redis.map(|url| format!("[redis]\nurl = {url:?}\n{patience}\n")).unwrap_or_default();
    let tls = shape.gateway_tls.as_ref().map(|(certificate, key)| {
        format!("tls.certificate_file = {certificate:?}\ntls.key_file = {key:?}\n")
    });
    let tls = tls.unwrap_or_default();
    let content = format!(
        "log.format = \"text\"\n\n{redis}[node]\nlisten = \"{host}:{gateway}\"\nmetrics_listen = \"{host}:{metrics}\"\n\
         state_dir = {:?}\ncontrol_plane_url = {control_plane:?}\njoin_token = {:?}\ntrust_roots_file = {roots:?}\n\
         name = \"node-{index}\"\ndrain_timeout_seconds = {drain}\n{lead}{workers}{journal}{tls}\n\
         [[upstream.private]]\ncidr = \"{private}\"\nports = {upstream_ports:?}\nhttp = true\n",
        folder.join(format!("node-{index}-state")),
        text(token, "token")?,
    );
    fs::write(file(folder, &format!("node-{index}")), content)?;
    Ok(())
}
