//! Simulated models beyond language: one of each kind, at the simulated provider that has them.

use serde_json::{Value, json};

/// A simulated model.
pub(super) struct TaskModel {
    /// What clients ask for.
    pub(super) name: &'static str,
    /// What the simulator calls it.
    pub(super) upstream: &'static str,
    kind: &'static str,
    title: &'static str,
    /// Units and their prices: the simulator's own.
    prices: &'static [(&'static str, &'static str)],
}

pub(super) const EMBEDDING: &str = "sim/embedding";
pub(super) const IMAGE: &str = "sim/image";
pub(super) const SPEECH: &str = "sim/speech";
pub(super) const TRANSCRIPTION: &str = "sim/transcription";
pub(super) const RERANKING: &str = "sim/reranking";
pub(super) const VIDEO: &str = "sim/video";

const TOKENS: &[(&str, &str)] = &[("input_token", "0.0000005"), ("output_token", "0.000002")];

/// All of them.
pub(super) const MODELS: [TaskModel; 6] = [
    TaskModel {
        name: EMBEDDING,
        upstream: "simulated-embedding",
        kind: "embedding",
        title: "Simulated embedding",
        prices: TOKENS,
    },
    TaskModel {
        name: IMAGE,
        upstream: "simulated-image",
        kind: "image",
        title: "Simulated image",
        prices: &[("image", "0.04")],
    },
    TaskModel {
        name: SPEECH,
        upstream: "simulated-speech",
        kind: "speech",
        title: "Simulated speech",
        prices: &[("character", "0.000015")],
    },
    TaskModel {
        name: TRANSCRIPTION,
        upstream: "simulated-transcription",
        kind: "transcription",
        title: "Simulated transcription",
        prices: &[("audio_second", "0.0001")],
    },
    TaskModel {
        name: RERANKING,
        upstream: "simulated-reranking",
        kind: "reranking",
        title: "Simulated reranking",
        prices: TOKENS,
    },
    TaskModel {
        name: VIDEO,
        upstream: "simulated-video",
        kind: "video",
        title: "Simulated video",
        prices: &[("video_second", "0.1")],
    },
];

impl TaskModel {
    /// As the management API takes it.
    pub(super) fn model(&self) -> Value {
        json!({"name": self.name, "display_name": self.title, "kind": self.kind, "context_window": 8_192,
            "max_output_tokens": 8_192})
    }

    /// Its price, likewise.
    pub(super) fn prices(&self) -> Value {
        self.prices.iter().map(|(unit, price)| json!({"unit": unit, "price": price})).collect()
    }
}
