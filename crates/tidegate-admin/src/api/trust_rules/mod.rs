//! `/trust-rules`: whose signed tokens (OIDC, Kubernetes service accounts) may call as a key.

mod create;
mod delete;
mod get;
mod list;
mod refresh;
mod update;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_secrets::caller_token::jwks;
use tidegate_store::trust_rules::{self, Fetching};
use tidegate_store::{Stored, TenantTx, labels, organizations};
use tidegate_types::resource::{BoundIssuer, IssuerKey, IssuerKeyMaterial, TrustRule};
use tidegate_types::{KeyId, LabelHash, LabelKind, Timestamp, TrustRuleId};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::budgets::labels_may_be_kept;
use crate::checks::Checks;
use crate::problem::Problem;
use crate::state::App;
use crate::write::Write;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(refresh::refresh))
}

/// What may be said about a trust rule.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrustRuleSpec {
    /// Unique in the organization.
    name: String,
    /// `iss` of the tokens, compared as it is. Fixed once made.
    issuer: String,
    /// Must be among the tokens' `aud`. One that ends with the organization's id (`tidegate/org_…`) says whose
    /// caller it is; with any other, callers send `x-tidegate-organization` beside the token.
    audience: String,
    /// Claims that must have one of the values. A name that begins with `/` is a JSON pointer into the claims.
    #[serde(default)]
    #[schema(example = json!({"sub": ["system:serviceaccount:shop:checkout"]}))]
    claims: BTreeMap<String, Vec<String>>,
    /// The claim that usage shows as the tag `principal`; none: a hash of `iss` and `sub`.
    #[serde(default)]
    principal_claim: Option<String>,
    /// Longest life of a token (`exp` less `iat`), in seconds.
    #[serde(default = "one_day")]
    #[schema(default = 86400, minimum = 60)]
    longest_life_seconds: u32,
    /// The issuer's public keys (a JWK set), where its discovery document cannot be reached. None: the control
    /// plane fetches them from there and keeps them fresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    jwks: Option<Value>,
}

const fn one_day() -> u32 {
    86_400
}

/// A key of an issuer.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = IssuerKey)]
pub(crate) struct IssuerKeyView {
    /// Its name in the header of tokens.
    kid: String,
    /// `RS256`, `ES256` or `EdDSA`.
    algorithm: &'static str,
    /// The issuer withdrew it: it verifies until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// A trust rule.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = TrustRule)]
pub(crate) struct TrustRuleView {
    /// Identity.
    #[schema(value_type = String)]
    id: TrustRuleId,
    /// The key as which callers act: its team, limits, policies and budgets hold. Pausing or revoking it
    /// refuses their calls.
    #[schema(value_type = String)]
    key_id: KeyId,
    /// What was said about it.
    #[serde(flatten)]
    spec: TrustRuleSpec,
    /// Whether callers must send `x-tidegate-organization`: the audience does not end with the organization's id, and
    /// the operator has not bound the issuer to the organization.
    needs_organization_header: bool,
    /// The issuer's keys that are known; none: every token is refused.
    keys: Vec<IssuerKeyView>,
    /// When the issuer gave its keys last.
    #[schema(value_type = Option<String>, format = DateTime)]
    keys_fetched_at: Option<Timestamp>,
    /// When fetching them failed last.
    #[schema(value_type = Option<String>, format = DateTime)]
    keys_failed_at: Option<Timestamp>,
    /// Why it failed, one word; none after a success.
    keys_error: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl TrustRuleSpec {
    /// Lays this over a rule.
    fn put_into(self, rule: &TrustRule) -> Result<TrustRule, Problem> {
        let mut checks = Checks::default();
        checks.name("name", &self.name);
        let pasted = match &self.jwks {
            None => None,
            Some(set) => match jwks::read(set.to_string().as_bytes()) {
                Ok(keys) => Some(keys),
                Err(fault) => {
                    checks.that(false, "jwks", fault.to_string());
                    None
                }
            },
        };
        checks.done()?;
        let (discovered, keys) = match pasted {
            Some(keys) => (false, keys),
            // Pasted keys do not outlive the word that they hold.
            None => (true, if rule.discovered { rule.keys.clone() } else { Vec::new() }),
        };
        Ok(TrustRule {
            name: self.name,
            issuer: self.issuer,
            audience: self.audience,
            claims: self.claims,
            principal_claim: self.principal_claim,
            longest_life_seconds: self.longest_life_seconds,
            discovered,
            keys,
            ..rule.clone()
        })
    }
}

impl From<&TrustRule> for TrustRuleSpec {
    fn from(rule: &TrustRule) -> Self {
        Self {
            name: rule.name.clone(),
            issuer: rule.issuer.clone(),
            audience: rule.audience.clone(),
            claims: rule.claims.clone(),
            principal_claim: rule.principal_claim.clone(),
            longest_life_seconds: rule.longest_life_seconds,
            jwks: (!rule.discovered).then(|| jwks::write(&rule.keys)),
        }
    }
}

impl TrustRuleView {
    fn of(rule: &TrustRule, fetching: Fetching, bound: &[BoundIssuer]) -> Self {
        Self {
            id: rule.id,
            key_id: rule.key_id,
            spec: rule.into(),
            needs_organization_header: !rule.is_bound(bound),
            keys: rule.keys.iter().map(Into::into).collect(),
            keys_fetched_at: fetching.fetched_at,
            keys_failed_at: fetching.failed_at,
            keys_error: fetching.last_error,
            created_at: super::made_at(rule.id),
        }
    }
}

impl From<&IssuerKey> for IssuerKeyView {
    fn from(key: &IssuerKey) -> Self {
        let algorithm = match key.material {
            IssuerKeyMaterial::Rsa { .. } => "RS256",
            IssuerKeyMaterial::P256 { .. } => "ES256",
            IssuerKeyMaterial::Ed25519 { .. } => "EdDSA",
        };
        Self { kid: key.kid.clone(), algorithm, until: key.until }
    }
}

/// The view of a stored rule, with how the fetching of its keys stands.
async fn view(tx: &mut TenantTx, stored: &Stored<TrustRule>) -> Result<TrustRuleView, Problem> {
    let fetching = trust_rules::fetchings(tx, &[stored.value.id]).await?.pop();
    let bound = bound_issuers(tx).await?;
    Ok(TrustRuleView::of(&stored.value, fetching.unwrap_or_default(), &bound))
}

/// The issuers that the operator bound to the organization.
async fn bound_issuers(tx: &mut TenantTx) -> Result<Vec<BoundIssuer>, Problem> {
    Ok(organizations::get(tx).await?.value.bound_issuers)
}

/// Notes the readable form of the principals that a rule names one by one, for usage.
async fn name_principals(write: &mut Write, rule: &TrustRule) -> Result<(), Problem> {
    let named = rule.principal_claim.as_ref().and_then(|claim| rule.claims.get(claim));
    let Some(principals) = named else { return Ok(()) };
    if !labels_may_be_kept(write).await? {
        return Ok(());
    }
    let label_key = organizations::get(write).await?.value.label_key;
    for principal in principals {
        let text = format!("principal={principal}");
        labels::put(write, LabelHash::of(&label_key, LabelKind::Tag, &text), LabelKind::Tag.as_str(), &text)
            .await?;
    }
    Ok(())
}

/// Refuses a rule that a token could fit together with another one of its organization: nobody could say then
/// as whom its caller acts. Other organizations' rules are never asked: callers name the organization.
async fn refuse_overlap(write: &mut Write, rule: &TrustRule) -> Result<(), Problem> {
    if !trust_rules::overlaps(write, rule).await? {
        return Ok(());
    }
    let detail = "Another trust rule of this organization accepts such tokens already; tell them apart by audience, or by a claim that \
                  both rules name with different values.";
    Err(Problem::conflict("ambiguous_trust_rule", detail)
        .with("audience", "is not told apart from another rule"))
}
