//! What a person and a script see when everything is ready.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;

use super::state::write_private;

/// `dev.json`: a value whose surface does not exist is absent.
#[derive(Debug, Serialize)]
pub(crate) struct Ready {
    pub(crate) gateway_url: String,
    pub(crate) control_url: String,
    pub(crate) admin_email: String,
    pub(crate) admin_password: String,
    pub(crate) admin_token: String,
    pub(crate) virtual_key: String,
    pub(crate) model: String,
    pub(crate) embedding_model: &'static str,
    pub(crate) image_model: &'static str,
    pub(crate) speech_model: &'static str,
    pub(crate) transcription_model: &'static str,
    pub(crate) reranking_model: &'static str,
    pub(crate) video_model: &'static str,
    pub(crate) simulator_url: String,
    pub(crate) local_ports: Vec<u16>,
    pub(crate) gateway_metrics_url: String,
    pub(crate) control_metrics_url: String,
}

/// The file; removed when this is dropped.
pub(crate) struct ReadyFile(PathBuf);

impl Ready {
    /// Writes `dev.json` into the state folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<ReadyFile> {
        let path = folder.join("dev.json");
        write_private(&path, &serde_json::to_vec_pretty(self)?)?;
        Ok(ReadyFile(path))
    }

    /// The text for people.
    pub(crate) fn banner(&self, folder: &Path) -> String {
        let Self {
            gateway_url,
            control_url,
            admin_email,
            admin_password,
            virtual_key,
            model,
            simulator_url,
            ..
        } = self;
        format!(
            "\nTidegate is ready.\n\n  \
             gateway         {gateway_url}\n  \
             management API  {control_url}/api/v1   (described at {control_url}/api/v1/openapi.json)\n  \
             simulator       {simulator_url}   (its own bill: {simulator_url}/bill)\n  \
             admin sign-in   {admin_email}   {admin_password}\n  \
             virtual key     {virtual_key}\n  \
             all values      {file}\n\n\
             Try it:\n\n  \
             curl {gateway_url}/v1/chat/completions \\\n    \
             -H 'authorization: Bearer {virtual_key}' \\\n    \
             -H 'content-type: application/json' \\\n    \
             -d '{{\"model\": \"{model}\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello\"}}]}}'\n\n\
             Ctrl-C stops everything; the next start keeps the state.\n",
            file = folder.join("dev.json").display(),
        )
    }
}

impl ReadyFile {
    /// Removes a file that an earlier, killed process left.
    pub(crate) fn remove_stale(folder: &Path) {
        let _ = std::fs::remove_file(folder.join("dev.json"));
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
