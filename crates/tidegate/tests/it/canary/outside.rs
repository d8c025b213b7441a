//! Who is told of calls and events outside of an installation: a webhook and a collector of traces.

use serde_json::json;
use tidegate_testkit::installation::Installation;
use tidegate_testkit::receiver::Receiver;

use super::{Surface, holds};
use crate::support::{open_to_deliveries, seconds, until};

/// Who is told of calls and events, outside.
pub(super) struct Outside {
    webhook: Receiver,
    collector: Receiver,
}

impl Outside {
    pub(super) async fn start() -> Self {
        let receiver = async || Receiver::start(&["200 OK"]).await.unwrap();
        Self { webhook: receiver().await, collector: receiver().await }
    }

    /// Opens the way to both, and asks for everything.
    pub(super) async fn subscribe(&self, installation: &mut Installation) {
        open_to_deliveries(installation, &[self.webhook.port(), self.collector.port()]).await;
        let admin = &installation.admin;
        let hook = json!({"name": "pager", "url": self.webhook.url("/hook")});
        admin.post("/webhooks", &hook).await.unwrap();
        let exporter = json!({"name": "traces", "url": self.collector.url("/v1/traces")});
        admin.post("/exporters", &exporter).await.unwrap();
    }

    /// Where the webhook listens.
    pub(super) fn hook(&self) -> String {
        self.webhook.url("/hook")
    }

    /// What both heard, heads and bodies.
    pub(super) fn surfaces(&self) -> Vec<Surface> {
        let surface = |name: &str, receiver: &Receiver, witness: &str| {
            let mut bytes = Vec::new();
            for heard in receiver.heard() {
                bytes.extend(format!("{} {:?} ", heard.target, heard.headers).into_bytes());
                bytes.extend(heard.body);
            }
            Surface { name: name.to_owned(), bytes, witness: witness.to_owned() }
        };
        vec![
            surface("webhooks", &self.webhook, "budget.threshold"),
            surface("webhooks of credentials", &self.webhook, "credential.failing"),
            surface("traces", &self.collector, "gen_ai."),
        ]
    }

    /// Waits until a text has arrived at the webhook, and another at the collector.
    pub(super) async fn heard(&self, event: &str, span: &str) {
        let holds =
            |receiver: &Receiver, text: &str| receiver.heard().iter().any(|heard| holds(&heard.body, text));
        until("the webhook hears", seconds(60), || async { holds(&self.webhook, event) }).await;
        until("the collector hears", seconds(60), || async { holds(&self.collector, span) }).await;
    }
}
