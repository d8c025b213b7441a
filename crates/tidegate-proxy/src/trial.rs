//! Tries a stored credential by the cheapest call that its provider offers: a word in, at most 16
//! tokens out. Counts towards no budget and leaves no record; nothing of the secret or of the
//! provider's words is told, only its status and its error's type.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::json;
use tidegate_dialect::outbound::{self, Edits};
use tidegate_dialect::{Dialect, read, refusal};
use tidegate_policy::{Catalogue, Offering};
use tidegate_pricing::Tariff;
use tidegate_types::resource::{AuthScheme, Credential, ModelKind, Operation, Provider};
use tidegate_types::usage::Usage;
use tidegate_types::{CredentialId, NanoUsd, OrganizationId};
use tidegate_upstream::{SignIn, Unsigned, forwarded, post};
use tokio::time::Instant;

use crate::attempt::collect;
use crate::gateway::Gateway;
use crate::target;

/// What a trial found out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trial {
    /// Whether the provider accepted the credential and answered.
    pub ok: bool,
    /// HTTP status of the provider, 0 when none came.
    pub status: u16,
    /// What happened: `accepted`, `refused` (401, 403), `limited` (402, 429), `request_refused`,
    /// `provider_failed`, `unreachable`, `timeout`, `sign_in_failed`, `no_model`, `no_endpoint`,
    /// `unknown_credential`, `sealed`.
    pub code: &'static str,
    /// The type or code of the provider's error, of `[A-Za-z0-9_.-]`; empty when it named none.
    pub error_type: String,
    /// Milliseconds from sending to the whole answer.
    pub latency_ms: u32,
    /// The model that was asked, `creator/name`; empty when none was.
    pub model: String,
}

/// For the whole trial.
const LONGEST: Duration = Duration::from_secs(12);
const MOST_OUTPUT: u64 = 16;
const MAX_ANSWER: usize = 256 * 1024;

/// What is tried, and where.
struct Subject {
    credential: Arc<Credential>,
    provider: Arc<Provider>,
    offering: Arc<Offering>,
}

impl Trial {
    fn without_call(code: &'static str) -> Self {
        Self { code, ..Self::default() }
    }
}

impl Gateway {
    /// Tries a credential of an organization, or of the system, as this node has it.
    pub async fn try_credential(&self, organization: OrganizationId, id: CredentialId) -> Trial {
        let subject = match self.subject(organization, id) {
            Ok(subject) => subject,
            Err(code) => return Trial::without_call(code),
        };
        let Some(sign_in) = self.vault.sign_in(&subject.credential) else {
            return Trial::without_call("sealed");
        };
        let model = subject.offering.model.as_str().to_owned();
        let began = Instant::now();
        let tried = tokio::time::timeout(LONGEST, self.ask_once(&subject, &sign_in)).await;
        let latency_ms = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
        let trial = tried.unwrap_or_else(|_| Trial::without_call("timeout"));
        Trial { latency_ms, model, ..trial }
    }

    fn subject(&self, organization: OrganizationId, id: CredentialId) -> Result<Subject, &'static str> {
        let shared = self.config.catalogue();
        let own = self.config.organization(organization);
        let found = match &own {
            _ if organization == OrganizationId::SYSTEM => shared.credentials().find(|one| one.id == id),
            Some(own) => own.credentials().find(|one| one.id == id),
            None => None,
        };
        let credential = found.ok_or("unknown_credential")?.clone();
        let own = own.as_ref().map(|own| &**own.own_catalogue());
        let own = own.filter(|_| organization != OrganizationId::SYSTEM);
        let at_home = own.and_then(|own| own.provider(&credential.provider));
        let provider =
            at_home.or_else(|| shared.provider(&credential.provider)).ok_or("no_endpoint")?.clone();
        let offering = match own {
            Some(own) => self.cheapest(own, &shared, &credential),
            None => self.cheapest(&shared, &shared, &credential),
        };
        Ok(Subject { offering: offering.ok_or("no_model")?, credential, provider })
    }

    /// The offering at the credential's provider where a trial costs least; those without a price last.
    fn cheapest(
        &self,
        own: &Catalogue,
        shared: &Catalogue,
        credential: &Credential,
    ) -> Option<Arc<Offering>> {
        let most = Usage { input_tokens: 16, output_tokens: MOST_OUTPUT, ..Usage::default() };
        let cost = |offering: &&Arc<Offering>| {
            let price = offering.price_at(self.now()).cloned();
            price.map_or(NanoUsd::new(i64::MAX), |price| Tariff::Listed(price).bound(&most))
        };
        let speaks = |offering: &&Arc<Offering>| {
            let name = offering.model.as_str();
            let model = own.model(name).or_else(|| shared.model(name));
            offering.enabled
                && offering.provider == credential.provider
                && model.is_some_and(|model| model.kind == ModelKind::Language)
        };
        let all = own.offerings().chain(shared.offerings());
        all.filter(speaks).min_by_key(|offering| (cost(offering), offering.id)).cloned()
    }

    async fn ask_once(&self, subject: &Subject, sign_in: &SignIn) -> Trial {
        match self.answer_of(subject, sign_in).await {
            Ok((status, body)) => told(status, &body),
            Err(code) => Trial::without_call(code),
        }
    }

    async fn answer_of(&self, subject: &Subject, sign_in: &SignIn) -> Result<(u16, Bytes), &'static str> {
        let Subject { provider, offering, .. } = subject;
        let surface = Dialect::OpenaiChat;
        let spoken = provider.spoken(surface);
        let body = hello(provider, offering, spoken).ok_or("no_endpoint")?;
        let base_url = sign_in.base_url(&provider.base_url).map_err(|_| "no_endpoint")?;
        let endpoint = self.upstreams.endpoint(&base_url).map_err(|_| "no_endpoint")?;
        let name = &offering.upstream_name;
        let tail = target::operation(provider, spoken, Operation::Language, name, false);
        let path = tail.and_then(|tail| endpoint.path(&tail)).ok_or("no_endpoint")?;
        let mut headers = forwarded(&HeaderMap::new(), spoken, surface == spoken);
        if provider.auth != AuthScheme::None {
            let unsigned = Unsigned { endpoint: &endpoint, path: &path, body: &body };
            let signed = sign_in.apply(provider.auth, unsigned, &mut headers, self.means(self.now()));
            signed.await.map_err(|_| "sign_in_failed")?;
        }
        let line = self.upstreams.line(&endpoint, provider.organization_id).await;
        let sent = line.map_err(|_| "unreachable")?.send(post(path, headers, body)).await;
        let (head, body) = sent.map_err(|_| "unreachable")?.into_parts();
        let body = collect(body, MAX_ANSWER).await.map_err(|_| "unreachable")?;
        Ok((head.status.as_u16(), body))
    }
}

/// The smallest request, as this provider wants it.
fn hello(provider: &Provider, offering: &Offering, spoken: Dialect) -> Option<Bytes> {
    let body = json!({"model": &*offering.upstream_name, "messages": [{"role": "user", "content": "Hi"}]});
    let call = read::call(Dialect::OpenaiChat, read::Outside::default(), body.to_string().into()).ok()?;
    let edits = Edits {
        provider: provider.slug.as_str(),
        model: &offering.upstream_name,
        output_limit: Some(MOST_OUTPUT),
        default_output_limit: MOST_OUTPUT,
        limit_key: target::limit_key(provider),
        no_stream_options: provider.quirks.no_stream_options,
        no_store: true,
        vertex: target::is_vertex(provider),
    };
    let body = outbound::request(&call, spoken, &edits).ok()?;
    outbound::fit(body, &provider.quirks.drops, &provider.quirks.refuses).ok()
}

/// What an answer says of the credential.
fn told(status: u16, body: &[u8]) -> Trial {
    let code = match status {
        200..=299 => "accepted",
        401 | 403 => "refused",
        402 | 429 => "limited",
        400..=499 => "request_refused",
        _ => "provider_failed",
    };
    let error = if code == "accepted" { refusal::UpstreamError::default() } else { refusal::read(body) };
    let error_type = error.kind.or(error.code).unwrap_or_default();
    Trial { ok: code == "accepted", status, code, error_type, ..Trial::default() }
}
