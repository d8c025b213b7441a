//! One write: check with the compiler, store, audit, commit, and (when asked) wait for the fleet.
//!
//! Handlers fill in the resource; everything that every write must do is here, once.

use std::ops::{Deref, DerefMut};

use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use tidegate_store::{Actor, AuditNote, Change, Committed, StoreError};
use tidegate_types::resource::Resource;
use tidegate_types::{OrganizationId, Revision};
use utoipa::ToSchema;

use crate::actor::Caller;
use crate::etag;
use crate::fleet_wait::FleetOutcome;
use crate::idempotency::Once;
use crate::problem::Problem;
use crate::state::App;

const REVISION: HeaderName = HeaderName::from_static("x-tidegate-revision");

/// A write that has begun: a transaction bound to the caller's organization.
#[derive(Debug)]
pub(crate) struct Write {
    app: App,
    wait: bool,
    once: Option<Once>,
    change: Change,
}

/// A stored resource, as written; with `wait=fleet` also how far it has got.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Written<T> {
    /// The resource.
    #[serde(flatten)]
    pub(crate) view: T,
    /// With `wait=fleet`: whether every live node has applied the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fleet: Option<FleetOutcome>,
    #[serde(skip)]
    status: StatusCode,
    #[serde(skip)]
    version: Option<i64>,
    #[serde(skip)]
    revision: Option<Revision>,
}

impl Write {
    /// Begins a write for the caller.
    pub(crate) async fn begin(app: &App, caller: &Caller) -> Result<Self, Halt> {
        Self::begin_as(app, caller, caller.actor(), None).await
    }

    /// Begins a write whose answer is kept under an idempotency key.
    pub(crate) async fn begin_once(app: &App, caller: &Caller, once: Option<Once>) -> Result<Self, Halt> {
        Self::begin_as(app, caller, caller.actor(), once).await
    }

    /// Begins a write of the caller as another actor of his (above organizations, in a new one).
    pub(crate) async fn begin_as(
        app: &App,
        caller: &Caller,
        actor: &Actor,
        once: Option<Once>,
    ) -> Result<Self, Halt> {
        let mut change = app.store.change(actor, app.clock.now()).await?;
        if let Some(once) = &once {
            once.claim(app, &mut change).await?;
        }
        Ok(Self { app: app.clone(), wait: caller.waits(), once, change })
    }

    /// The organization that is changed.
    pub(crate) fn organization(&self) -> OrganizationId {
        self.change.organization_id()
    }

    /// Refuses with 422 what nodes could not compile.
    pub(crate) async fn compile(&mut self, candidate: &Resource) -> Result<(), Problem> {
        crate::compile::check(&mut self.change, candidate).await
    }

    /// Commits a new resource: 201.
    pub(crate) async fn created<T: Serialize>(self, action: &'static str, id: String, view: T) -> Done<T> {
        let note = note(action, id, None::<&T>, Some(&view))?;
        self.finish(note, view, StatusCode::CREATED, Some(1)).await
    }

    /// Commits a new resource whose answer holds a secret that the audit must not see: 201.
    pub(crate) async fn issued<A: Serialize, T: Serialize>(
        self,
        action: &'static str,
        id: String,
        audited: &A,
        shown: T,
    ) -> Done<T> {
        let note = note(action, id, None::<&A>, Some(audited))?;
        self.finish(note, shown, StatusCode::CREATED, Some(1)).await
    }

    /// Commits a changed resource: 200.
    pub(crate) async fn updated<T: Serialize>(
        self,
        action: &'static str,
        id: String,
        before: &T,
        after: T,
        version: i64,
    ) -> Done<T> {
        let note = note(action, id, Some(before), Some(&after))?;
        self.finish(note, after, StatusCode::OK, Some(version + 1)).await
    }

    /// Commits a removal: 204, or 200 with the fleet's state when the caller waits.
    pub(crate) async fn removed<B: Serialize>(
        self,
        action: &'static str,
        id: String,
        before: &B,
    ) -> Done<Gone> {
        let note = note(action, id, Some(before), None)?;
        let status = if self.wait { StatusCode::OK } else { StatusCode::NO_CONTENT };
        self.finish(note, Gone {}, status, None).await
    }

    /// Commits with a note of the handler's own.
    pub(crate) async fn finish<T: Serialize>(
        mut self,
        note: AuditNote,
        view: T,
        status: StatusCode,
        version: Option<i64>,
    ) -> Done<T> {
        if let Some(once) = &self.once {
            once.keep(&self.app, &mut self.change, status, version, &view).await?;
        }
        let organization = self.organization();
        let Committed { revision, staged, .. } = self.change.commit(note).await?;
        let fleet = match revision {
            Some(revision) if self.wait => {
                Some(crate::fleet_wait::wait(&self.app, organization, revision, staged).await?)
            }
            _ => None,
        };
        Ok(Written { view, fleet, status, version, revision })
    }
}

/// What a write answers.
pub(crate) type Done<T> = Result<Written<T>, Halt>;

/// Why a write does not happen.
#[derive(Debug)]
pub(crate) enum Halt {
    /// It is refused.
    Refused(Problem),
    /// It has happened before; this was its answer.
    Replayed(Response),
}

impl<E: Into<Problem>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

impl IntoResponse for Halt {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(problem) => problem.into_response(),
            Self::Replayed(response) => response,
        }
    }
}

/// Nothing is left to show.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct Gone {}

/// What the audit is told: the object as it was and is shown, which holds no secret.
pub(crate) fn note<T: Serialize>(
    action: &'static str,
    object: String,
    before: Option<&T>,
    after: Option<&T>,
) -> Result<AuditNote, Problem> {
    let shown =
        |view: Option<&T>| view.map(serde_json::to_value).transpose().map_err(|_| Problem::internal());
    Ok(AuditNote { action, object, before: shown(before)?, after: shown(after)? })
}

impl Deref for Write {
    type Target = Change;
    fn deref(&self) -> &Change {
        &self.change
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut Change {
        &mut self.change
    }
}

impl<T: Serialize> IntoResponse for Written<T> {
    fn into_response(self) -> Response {
        let mut response = if self.status == StatusCode::NO_CONTENT {
            self.status.into_response()
        } else {
            (self.status, axum::Json(&self)).into_response()
        };
        let headers = response.headers_mut();
        if let Some(version) = self.version {
            headers.insert(header::ETAG, etag::header(version));
        }
        if let Some(revision) = self.revision
            && let Ok(value) = HeaderValue::from_str(&format!("{}.{}", revision.shard.index(), revision.n))
        {
            headers.insert(REVISION, value);
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::not_found("object"),
            StoreError::VersionConflict { .. } => etag::changed_since(),
            StoreError::Taken(constraint) => taken(&constraint),
            StoreError::Dangling(constraint) => {
                let field =
                    constraint.trim_end_matches("_fkey").rsplit('_').next().unwrap_or("body").to_owned();
                let field = if field == "team" { "team_id".to_owned() } else { field };
                Self::unprocessable(
                    "unknown_reference",
                    "The request refers to something that does not exist.",
                )
                .with(field, "does not exist")
            }
            StoreError::InUse(constraint) => {
                let by = constraint.split('_').next().unwrap_or("others").to_owned();
                Self::conflict("in_use", format!("Something still refers to it: {by}."))
            }
            StoreError::Immutable(what) => {
                Self::conflict("immutable", format!("A {what} cannot be changed once stored."))
            }
            StoreError::Later(what) => Self::conflict(
                "later_release",
                format!(
                    "A later release wrote {what}, which this control plane does not know and would lose. Ask one of that release."
                ),
            ),
            StoreError::Unavailable(_) => Self::unavailable(),
            error @ (StoreError::Database(_) | StoreError::Unreadable(_) | StoreError::UnsafeLogin(_)) => {
                tracing::error!(error = ?error, "the store failed");
                Self::internal()
            }
        }
    }
}

/// 409: a unique name is in use.
fn taken(constraint: &str) -> Problem {
    let field = match constraint.rsplit('_').next() {
        Some(field @ ("name" | "slug")) => field.to_owned(),
        Some("person") => "email".to_owned(),
        _ => "body".to_owned(),
    };
    Problem::conflict("already_exists", "Another one has this name.").with(field, "is in use")
}
