//! `/credentials`: provider secrets. Write-only: no endpoint ever answers one.
//!
//! `scope: "system"` is the operator's own (platform administrators only), `organization` and
//! `team` are the organization's (BYOK).

mod create;
mod delete;
mod fits;
mod get;
mod list;
mod reseal;
mod seal;
mod secret;
mod test;
mod update;

use serde::{Deserialize, Serialize};
use tidegate_store::failures::Failure;
use tidegate_store::{Actor, StoreError, Stored, credentials};
use tidegate_types::resource::{Areas, Attestation, Credential, CredentialScope, SecretForm, ZdrTier};
use tidegate_types::{CredentialId, ProviderSlug, TeamId, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use self::reseal::seal_for;
pub(crate) use self::secret::SecretFields;
use crate::actor::Caller;
use crate::capability::{Action, Noun};
use crate::checks::Checks;
use crate::problem::Problem;
use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(test::test))
}

/// Whose credential it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ScopeName {
    /// The operator's; calls over it are charged.
    System,
    /// The organization's own.
    Organization,
    /// One team's own.
    Team,
}

/// A new credential.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CredentialCreate {
    /// Unique in its scope.
    name: String,
    /// The provider it signs in at.
    #[schema(value_type = String, example = "openai")]
    provider: ProviderSlug,
    /// Whose it is; `organization` when absent (`system` for a platform token without organization).
    scope: Option<ScopeName>,
    /// The team, with scope `team`.
    #[schema(value_type = Option<String>)]
    team_id: Option<TeamId>,
    /// What the secret holds: `api_key` (when absent), `aws` or `google_service_account`.
    #[serde(default = "api_key")]
    #[schema(value_type = String, default = "api_key")]
    form: SecretForm,
    /// The secret; it is encrypted at once and never shown.
    secret: SecretFields,
    /// Not used while false.
    #[serde(default = "super::yes")]
    #[schema(default = true)]
    enabled: bool,
    /// Lower is tried first.
    #[serde(default)]
    position: i32,
    /// Its share of the calls among credentials of the same position, from 1 to 1000000; those without one
    /// count 1 beside it. Where none of them has one, the first gets all calls and the others stand by.
    weight: Option<u32>,
    /// What is stated of the contract under which it is used (own credentials only).
    attestation: Option<AttestationSpec>,
}

const fn api_key() -> SecretForm {
    SecretForm::ApiKey
}

/// What may be changed about a credential. A PATCH may also hold a new `secret`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CredentialSpec {
    /// Unique in its scope.
    name: String,
    /// Not used while false.
    enabled: bool,
    /// Lower is tried first.
    position: i32,
    /// Its share of the calls among credentials of the same position; none: they are tried in their order,
    /// unless another of them has one: then it counts 1.
    #[serde(default)]
    weight: Option<u32>,
    /// What is stated of the contract under which it is used; none: it is used under no stated terms, so not
    /// where zero data retention is demanded. Who stated it, and when, is kept with it and in the audit.
    #[serde(default)]
    attestation: Option<AttestationSpec>,
}

/// A statement that the organization's own contract with the provider meets a tier of data handling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CredentialAttestation)]
pub(crate) struct AttestationSpec {
    /// The strictest tier that it meets: `no_training`, `zdr_with_safety_retention` or `zdr`; `none` (when
    /// absent) where it says no more than the areas.
    #[serde(default)]
    #[schema(value_type = String, default = "none")]
    tier: ZdrTier,
    /// All areas in which calls over the credential are processed (`eu`); empty: nothing is stated of that.
    #[serde(default, skip_serializing_if = "Areas::is_empty")]
    #[schema(value_type = Vec<String>)]
    areas: Areas,
    /// The contract: its number, or where it lies.
    statement: String,
    /// Counts as not given from this time on; at most 400 days ahead.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// The changeable part and a new secret, for the document only.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the derived schema is used")]
pub(crate) struct CredentialChange {
    /// Unique in its scope.
    name: String,
    /// Not used while false.
    enabled: bool,
    /// Lower is tried first.
    position: i32,
    /// Its share of the calls among credentials of the same position; null takes it back.
    weight: Option<u32>,
    /// What is stated of the contract under which it is used; null takes it back.
    attestation: Option<AttestationSpec>,
    /// A new secret; the old one stops being used.
    secret: SecretFields,
}

/// A credential, without its secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Credential)]
pub(crate) struct CredentialView {
    /// Identity.
    #[schema(value_type = String)]
    id: CredentialId,
    /// Whose it is.
    scope: ScopeName,
    /// The team, with scope `team`.
    #[schema(value_type = Option<String>)]
    team_id: Option<TeamId>,
    /// The provider it signs in at.
    #[schema(value_type = String)]
    provider: ProviderSlug,
    /// What the secret holds.
    #[schema(value_type = String)]
    form: SecretForm,
    /// What may be changed.
    #[serde(flatten)]
    spec: CredentialSpec,
    /// Who gave the attestation: the id of a member, person or service token.
    attested_by: Option<String>,
    /// When.
    #[schema(value_type = Option<String>, format = DateTime)]
    attested_at: Option<Timestamp>,
    /// The region that the secret names.
    region: Option<String>,
    /// Grows with every new secret.
    secret_version: u32,
    /// The last time that its provider did not accept it; absent: never since it has this secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<LastFailure>,
    /// When a provider last answered a call over it, well or not, to the minute; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// When a provider did not accept a credential. Nodes leave it alone for a while each time.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = CredentialFailure)]
pub(crate) struct LastFailure {
    /// What the provider answered the last time: 401 or 403.
    status: u16,
    /// The first time since it was accepted.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// The last time.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// How often since `since`.
    count: u64,
    /// When the provider accepted it again; null: it has not.
    #[schema(value_type = Option<String>, format = DateTime)]
    recovered_at: Option<Timestamp>,
}

impl From<Failure> for LastFailure {
    fn from(failure: Failure) -> Self {
        let Failure { status, since, at, count, recovered_at } = failure;
        Self { status, since, at, count, recovered_at }
    }
}

impl CredentialView {
    fn with_failure(mut self, failure: Option<Failure>) -> Self {
        self.last_failure = failure.map(Into::into);
        self
    }

    const fn used_at(mut self, used: Option<Timestamp>) -> Self {
        self.last_used_at = used;
        self
    }
}

impl CredentialSpec {
    fn check_name(&self) -> Result<(), Problem> {
        Checks::default().name("name", &self.name).done()
    }

    fn check(&self, now: Timestamp) -> Result<(), Problem> {
        let mut checks = Checks::default();
        checks.name("name", &self.name);
        if let Some(attested) = &self.attestation {
            let latest = now.plus_millis(LONGEST_ATTESTATION_MS);
            checks
                .that(
                    attested.tier != ZdrTier::None || !attested.areas.is_empty(),
                    "attestation.tier",
                    "must be a tier that demands something, or areas must be named",
                )
                .name("attestation.statement", &attested.statement)
                .ahead("attestation.expires_at", Some(attested.expires_at), now)
                .that(
                    attested.expires_at <= latest,
                    "attestation.expires_at",
                    "must be within 400 days: it is to be looked at again",
                );
        }
        checks.done()
    }

    /// The attestation as it is kept: one that says what it said before keeps who gave it and when.
    fn attested(
        &self,
        before: Option<&Attestation>,
        scope: CredentialScope,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Option<Attestation>, Problem> {
        let Some(said) = &self.attestation else { return Ok(None) };
        if scope == CredentialScope::System {
            let message = "is for an organization's own credentials; what holds for the operator's is said with offerings";
            return Err(Problem::invalid("attestation", message));
        }
        if before.map(AttestationSpec::from).as_ref() == Some(said) {
            return Ok(before.cloned());
        }
        Ok(Some(Attestation {
            tier: said.tier,
            areas: said.areas,
            statement: said.statement.clone(),
            by: actor.who().to_string(),
            attested_at: now,
            expires_at: said.expires_at,
        }))
    }

    /// Lays this over a credential.
    fn put_into(self, credential: &mut Credential) {
        credential.name = self.name;
        credential.enabled = self.enabled;
        credential.position = self.position;
        credential.weight = self.weight;
    }
}

/// How far ahead an attestation may expire, in milliseconds: 400 days.
const LONGEST_ATTESTATION_MS: i64 = 400 * 24 * 60 * 60 * 1000;

impl From<&Attestation> for AttestationSpec {
    fn from(attested: &Attestation) -> Self {
        Self {
            tier: attested.tier,
            areas: attested.areas,
            statement: attested.statement.clone(),
            expires_at: attested.expires_at,
        }
    }
}

impl From<&Credential> for CredentialSpec {
    fn from(credential: &Credential) -> Self {
        Self {
            name: credential.name.clone(),
            enabled: credential.enabled,
            position: credential.position,
            weight: credential.weight,
            attestation: credential.attestation.as_ref().map(Into::into),
        }
    }
}

impl From<&Credential> for CredentialView {
    fn from(credential: &Credential) -> Self {
        let (scope, team_id) = match credential.scope {
            CredentialScope::System => (ScopeName::System, None),
            CredentialScope::Organization => (ScopeName::Organization, None),
            CredentialScope::Team { team_id } => (ScopeName::Team, Some(team_id)),
        };
        Self {
            id: credential.id,
            scope,
            team_id,
            provider: credential.provider.clone(),
            form: credential.form,
            spec: credential.into(),
            attested_by: credential.attestation.as_ref().map(|attested| attested.by.clone()),
            attested_at: credential.attestation.as_ref().map(|attested| attested.attested_at),
            region: credential.region.clone(),
            secret_version: credential.sealed.iter().map(|sealed| sealed.secret_version).max().unwrap_or(0),
            last_failure: None,
            last_used_at: None,
            created_at: super::made_at(credential.id),
        }
    }
}

/// Who acts on a credential of this scope: system ones need a platform role.
fn owner_of(caller: &Caller, scope: Option<ScopeName>) -> Result<Actor, Problem> {
    match scope {
        Some(ScopeName::System) => caller.above(Noun::Credentials, Action::Write),
        Some(_) => super::needs_organization(caller).map(|()| caller.actor().clone()),
        None => Ok(caller.actor().clone()),
    }
}

/// A credential of the caller's organization or, for platform roles, of the system; and who acts.
async fn find(
    app: &App,
    caller: &Caller,
    id: CredentialId,
    action: Action,
) -> Result<(Actor, Stored<Credential>), Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    match credentials::get(&mut tx, id).await {
        Err(StoreError::NotFound) => {}
        found => return Ok((caller.actor().clone(), found?)),
    }
    drop(tx);
    let above = caller.above(Noun::Credentials, action).map_err(|_| Problem::not_found("credential"))?;
    let mut tx = app.store.begin(&above).await?;
    let stored = credentials::get(&mut tx, id).await?;
    Ok((above, stored))
}
