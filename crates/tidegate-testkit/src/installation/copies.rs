//! Copies of the configuration, by which nodes without a disk of their own start.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::{Installation, Program, config};

impl Installation {
    /// The first control plane publishes copies from now on, each with four identities for nodes; the first node's
    /// configuration, and what is made from it, may begin by them. The path of the default pool's copy.
    ///
    /// # Errors
    /// When the key cannot be made, or the control plane does not start again.
    pub async fn publish_copies(&mut self, period_seconds: u64) -> Result<PathBuf> {
        let (folder, key) = (self.folder().join("copies"), self.folder().join("class-key"));
        let arguments = ["keygen", "--class-key", &key.to_string_lossy()];
        let said = Program::run(&self.binary, self.folder(), &arguments)?;
        let class_key = said.lines().next().context("no class key was told")?;
        self.append(
            "control-0",
            &format!(
                "[control_plane.copy]\nfolder = {folder:?}\nclass_key = {class_key:?}\n\
                 period_seconds = {period_seconds}\nreserves = 4\n"
            ),
        )?;
        self.append("node-0", &format!("[node.copy]\nfolder = {folder:?}\nkey_file = {key:?}\n"))?;
        self.restart_control_plane(0).await?;
        Ok(folder.join("default.copy"))
    }

    fn append(&self, name: &str, section: &str) -> Result<()> {
        let mut file = OpenOptions::new().append(true).open(config::file(self.folder(), name))?;
        Ok(writeln!(file, "\n{section}")?)
    }
}
