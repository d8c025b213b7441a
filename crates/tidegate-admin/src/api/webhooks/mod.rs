//! `/webhooks`: where an organization wants to be told; `/notices`: what there was to tell.

mod create;
mod delete;
mod deliveries;
mod get;
mod list;
mod notices;
mod redeliver;
mod rotate;
mod secret;
mod test;
mod update;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tidegate_store::notices::NoticeKind;
use tidegate_store::webhooks::{StoredWebhook, Webhook, WebhookId};
use tidegate_types::Timestamp;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::checks::Checks;
use crate::problem::Problem;
use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(rotate::rotate))
        .routes(routes!(test::test))
        .routes(routes!(deliveries::deliveries))
        .routes(routes!(redeliver::redeliver))
        .routes(routes!(notices::list))
}

/// What may be said about a webhook.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookSpec)]
pub(crate) struct WebhookSpec {
    /// Unique in the organization.
    name: String,
    /// Where notices are posted: https, unless the process configuration lists the target
    /// (`upstream.private`). Redirects are not followed.
    url: String,
    /// `budget.threshold`, `budget.exhausted`, `credential.failing`, `reconciliation.difference`; empty: all.
    #[serde(default)]
    #[schema(value_type = Vec<String>, default = json!([]))]
    kinds: Vec<NoticeKind>,
    /// Whether notices go there.
    #[serde(default = "super::yes")]
    #[schema(default = true)]
    enabled: bool,
}

/// A webhook, without its secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(crate) struct WebhookView {
    /// Identity.
    #[schema(value_type = String)]
    id: WebhookId,
    #[serde(flatten)]
    spec: WebhookSpec,
    /// Counts its secrets from 1.
    secret_version: u32,
    /// The secret before signs as well until then.
    #[schema(value_type = Option<String>, format = DateTime)]
    old_secret_until: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// A webhook with a new secret, shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IssuedWebhook {
    /// Check signatures with it (Standard Webhooks, `v1`). It cannot be shown again.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: String,
    /// The webhook.
    #[serde(flatten)]
    view: WebhookView,
}

impl WebhookSpec {
    fn into_webhook(self, id: WebhookId) -> Result<Webhook, Problem> {
        let mut checks = Checks::default();
        checks.name("name", &self.name).target_url("url", &self.url);
        let kinds: BTreeSet<String> = self.kinds.iter().map(|kind| format!("{kind:?}")).collect();
        checks.that(kinds.len() == self.kinds.len(), "kinds", "must not name a kind twice");
        checks.that(
            !self.kinds.contains(&NoticeKind::WebhookTest),
            "kinds",
            "tests go to one webhook by its test button",
        );
        checks.done()?;
        Ok(Webhook { id, name: self.name, url: self.url, kinds: self.kinds, enabled: self.enabled })
    }
}

impl From<&Webhook> for WebhookSpec {
    fn from(webhook: &Webhook) -> Self {
        Self {
            name: webhook.name.clone(),
            url: webhook.url.clone(),
            kinds: webhook.kinds.clone(),
            enabled: webhook.enabled,
        }
    }
}

impl From<&StoredWebhook> for WebhookView {
    fn from(stored: &StoredWebhook) -> Self {
        Self {
            id: stored.webhook.id,
            spec: (&stored.webhook).into(),
            secret_version: stored.secret_version,
            old_secret_until: stored.old_secret_until,
            created_at: stored.created_at,
        }
    }
}
