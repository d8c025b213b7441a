//! `POST /trust-rules`

use std::collections::BTreeMap;

use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;
use tidegate_store::trust_rules::{self, Fetching};
use tidegate_store::{Change, keys};
use tidegate_types::resource::{AllowList, KeyLimits, KeyStatus, Resource, TrustRule, VirtualKey};
use tidegate_types::{KeyId, OrganizationId, TeamId, TrustRuleId};
use utoipa::ToSchema;

use super::{TrustRuleSpec, TrustRuleView, bound_issuers, name_principals, one_day, refuse_overlap};
use crate::idempotency::Posted;
use crate::problem::Problem;
use crate::state::App;
use crate::write::{Done, Write};

/// A trust rule to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTrustRule {
    /// Unique in the organization.
    name: String,
    /// The key as which callers act.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// Instead of `key_id`: a key without a text is made in this team, with the rule's name. What it may do is
    /// said at `/keys/{key_id}`, with policies and budgets.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    team_id: Option<TeamId>,
    /// As in the rule that is shown.
    issuer: String,
    /// As in the rule that is shown; left out: `tidegate/` and the organization's id.
    #[serde(default)]
    audience: Option<String>,
    /// As in the rule that is shown.
    #[serde(default)]
    claims: BTreeMap<String, Vec<String>>,
    /// As in the rule that is shown.
    #[serde(default)]
    principal_claim: Option<String>,
    /// As in the rule that is shown.
    #[serde(default = "one_day")]
    #[schema(default = 86400, minimum = 60)]
    longest_life_seconds: u32,
    /// As in the rule that is shown.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    jwks: Option<Value>,
}

impl NewTrustRule {
    fn split(self, organization: OrganizationId) -> (TrustRuleSpec, Option<KeyId>, Option<TeamId>) {
        let Self {
            name,
            key_id,
            team_id,
            issuer,
            audience,
            claims,
            principal_claim,
            longest_life_seconds,
            jwks,
        } = self;
        let audience = audience.unwrap_or_else(|| format!("tidegate/{organization}"));
        let spec =
            TrustRuleSpec { name, issuer, audience, claims, principal_claim, longest_life_seconds, jwks };
        (spec, key_id, team_id)
    }
}

/// Makes a trust rule. It accepts tokens as soon as its issuer's keys are known.
#[utoipa::path(post, path = "/trust-rules", tag = "trust-rules", operation_id = "trust_rules_create",
    request_body = NewTrustRule,
    responses((status = CREATED, description = "The new rule", body = TrustRuleView)))]
pub(super) async fn create(State(app): State<App>, posted: Posted<NewTrustRule>) -> Done<TrustRuleView> {
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let (spec, key_id, team_id) = posted.body.split(write.organization_id());
    let own_key = match (key_id, team_id) {
        (Some(_), None) => None,
        (None, Some(team)) => Some(textless_key(&write, app.new_id(), team, &spec.name)),
        _ => return Err(Problem::invalid("key_id", "say either key_id or team_id").into()),
    };
    let Some(key_id) = key_id.or(own_key.as_ref().map(|key| key.id)) else {
        return Err(Problem::internal().into());
    };
    let rule = spec.put_into(&blank(&write, app.new_id(), key_id))?;
    match own_key {
        None => write.compile(&Resource::TrustRule(rule.clone())).await?,
        Some(key) => {
            write.compile(&Resource::Key(key.clone())).await?;
            keys::insert(&mut write, &key).await?;
            // The key is stored when the change is: the compiler is shown it here.
            crate::compile::judge(&[Resource::Key(key)], &Resource::TrustRule(rule.clone()))?;
        }
    }
    refuse_overlap(&mut write, &rule).await?;
    name_principals(&mut write, &rule).await?;
    trust_rules::insert(&mut write, &rule).await?;
    let bound = bound_issuers(&mut write).await?;
    let view = TrustRuleView::of(&rule, Fetching::default(), &bound);
    write.created("trust_rule.create", rule.id.to_string(), view).await
}

/// A key that nobody can call with by its text: it has none.
fn textless_key(change: &Change, id: KeyId, team_id: TeamId, name: &str) -> VirtualKey {
    VirtualKey {
        organization_id: change.organization_id(),
        id,
        team_id,
        name: name.to_owned(),
        status: KeyStatus::Active,
        secrets: Vec::new(),
        expires_at: None,
        allow: AllowList::default(),
        limits: KeyLimits::default(),
        tags: BTreeMap::new(),
    }
}

fn blank(change: &Change, id: TrustRuleId, key_id: KeyId) -> TrustRule {
    TrustRule {
        organization_id: change.organization_id(),
        id,
        name: String::new(),
        key_id,
        issuer: String::new(),
        audience: String::new(),
        claims: BTreeMap::new(),
        principal_claim: None,
        longest_life_seconds: one_day(),
        discovered: true,
        keys: Vec::new(),
    }
}
