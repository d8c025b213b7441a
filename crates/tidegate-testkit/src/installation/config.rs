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
    let lead = lead(shape);
    let (api, grpc, metrics) = (port::free()?, port::free()?, port::free()?);
    let content = format!(
        "log.format = \"text\"\n\n[database]\nurl = {:?}\nfeed_url = {:?}\nmigrate_url = {:?}\n\n\
         [encryption]\nkey_file = {:?}\n\n\
         [control_plane]\nlisten = \"127.0.0.1:{api}\"\ngrpc_listen = \"127.0.0.1:{grpc}\"\nmetrics_listen = \"127.0.0.1:{metrics}\"\n{lead}",
        logins.app,
        logins.feed,
        logins.owner,
        folder.join("key-encryption-key"),
    );
    let path = file(folder, &format!("control-{index}"));
    fs::write(&path, content)?;
    Ok(path)
}

/// An executable from before the setting is not shown it.
fn lead(shape: &Shape) -> String {
    match shape.drain_lead_seconds {
        0 => String::new(),
        seconds => format!("drain_lead_seconds = {seconds}\n"),
    }
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
    let lead = lead(shape);
    let workers = shape.workers.map(|n| format!("workers = {n}\n")).unwrap_or_default();
    let drain = shape.drain_timeout_seconds;
    let redis = redis.map(|url| format!("[redis]\nurl = {url:?}\n\n")).unwrap_or_default();
    let content = format!(
        "log.format = \"text\"\n\n{redis}[node]\nlisten = \"127.0.0.1:{gateway}\"\nmetrics_listen = \"127.0.0.1:{metrics}\"\n\
         state_dir = {:?}\ncontrol_plane_url = {control_plane:?}\njoin_token = {:?}\ntrust_roots_file = {roots:?}\n\
         name = \"node-{index}\"\ndrain_timeout_seconds = {drain}\n{lead}{workers}\n\
         [[upstream.private]]\ncidr = \"127.0.0.0/8\"\nports = {upstream_ports:?}\nhttp = true\n",
        folder.join(format!("node-{index}-state")),
        text(token, "token")?,
    );
    fs::write(file(folder, &format!("node-{index}")), content)?;
    Ok(())
}
