//! Sign-in: from a session or a service token to an [`Actor`]. The only way to make one outside
//! the control plane's own parts.

use tidegate_types::{MemberId, OrganizationId, ServiceTokenId, SessionId, Timestamp};
use uuid::Uuid;

use crate::Result;
use crate::actor::{Actor, PersonId, PlatformRole, Role, Who};
use crate::connect::Store;
use crate::convert::{from_name, time};

/// Somebody whose session or token is valid; not yet acting for an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    who: Who,
    email: Option<String>,
    platform: Option<PlatformRole>,
    memberships: Vec<Membership>,
}

/// A role in an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// The organization.
    pub organization_id: OrganizationId,
    /// The membership; `None` for tokens.
    pub member_id: Option<MemberId>,
    /// The role.
    pub role: Role,
}

/// Why somebody signed in cannot act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoActor {
    /// More than one organization (or none, for platform roles): it must be named.
    #[error("name the organization")]
    OrganizationNeeded,
    /// Not a member of that organization. To be answered as if it did not exist.
    #[error("no such organization")]
    NotMember,
}

impl SignedIn {
    /// Who it is.
    #[must_use]
    pub const fn who(&self) -> Who {
        self.who
    }

    /// The person's address; `None` for tokens.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// The role above organizations.
    #[must_use]
    pub const fn platform(&self) -> Option<PlatformRole> {
        self.platform
    }

    /// Where it has a role.
    #[must_use]
    pub fn memberships(&self) -> &[Membership] {
        &self.memberships
    }

    /// Acting for `organization`; for the only one when none is named.
    ///
    /// # Errors
    /// [`NoActor`].
    pub fn actor(&self, organization: Option<OrganizationId>) -> Result<Actor, NoActor> {
        let found = match (organization, self.memberships.as_slice()) {
            (Some(wanted), all) => all.iter().find(|membership| membership.organization_id == wanted),
            (None, [only]) => Some(only),
            (None, _) => return Err(NoActor::OrganizationNeeded),
        };
        if let Some(membership) = found {
            let who = match self.who {
                Who::Person { person_id, .. } => Who::Person { person_id, member_id: membership.member_id },
                other => other,
            };
            return Ok(Actor::new(who, membership.organization_id, Some(membership.role), self.platform));
        }
        let entered = organization.filter(|_| self.platform.is_some());
        entered.map(|wanted| Actor::new(self.who, wanted, None, self.platform)).ok_or(NoActor::NotMember)
    }

    /// Acting above organizations, for the shared catalogue, nodes and organizations.
    #[must_use]
    pub fn platform_actor(&self) -> Option<Actor> {
        self.platform.map(|_| Actor::new(self.who, OrganizationId::SYSTEM, None, self.platform))
    }
}

/// Starts a session. False when the person does not exist or is disabled.
///
/// # Errors
/// When the database is away.
pub async fn start_session(
    store: &Store,
    id: SessionId,
    person: PersonId,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<bool> {
    let (started,): (Option<bool>,) = sqlx::query_as("SELECT session_start($1, $2, $3, $4)")
        .bind(id.to_uuid())
        .bind(person.to_uuid())
        .bind(time(now))
        .bind(time(expires_at))
        .fetch_one(store.app())
        .await?;
    Ok(started.unwrap_or(false))
}

/// Ends a session; ending it twice is nothing.
///
/// # Errors
/// When the database is away.
pub async fn end_session(store: &Store, id: SessionId, now: Timestamp) -> Result<()> {
    sqlx::query("SELECT session_end($1, $2)").bind(id.to_uuid()).bind(time(now)).execute(store.app()).await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct SessionRow {
    person_id: Uuid,
    email: String,
    platform_role: Option<String>,
    organization_id: Option<Uuid>,
    member_id: Option<Uuid>,
    role: Option<String>,
}

/// Whose session this is, if it is valid.
///
/// # Errors
/// When the database is away.
pub async fn by_session(store: &Store, id: SessionId, now: Timestamp) -> Result<Option<SignedIn>> {
    let rows: Vec<SessionRow> = sqlx::query_as(
        "SELECT person_id, email, platform_role, organization_id, member_id, role FROM session_find($1, $2)",
    )
    .bind(id.to_uuid())
    .bind(time(now))
    .fetch_all(store.app())
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let who = Who::Person { person_id: PersonId::from_uuid(first.person_id), member_id: None };
    let platform = first.platform_role.as_deref().map(from_name).transpose()?;
    let email = Some(first.email.clone());
    let mut memberships = Vec::with_capacity(rows.len());
    for row in rows {
        if let (Some(organization), Some(role)) = (row.organization_id, row.role) {
            memberships.push(Membership {
                organization_id: OrganizationId::from_uuid(organization),
                member_id: row.member_id.map(MemberId::from_uuid),
                role: from_name(&role)?,
            });
        }
    }
    Ok(Some(SignedIn { who, email, platform, memberships }))
}

/// Whose token this is, if it is valid. `token_hash` is SHA-256 of the presented text.
///
/// # Errors
/// When the database is away.
pub async fn by_token(
    store: &Store,
    id: ServiceTokenId,
    token_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<SignedIn>> {
    let row: Option<(Uuid, Vec<u8>, String, Option<String>)> = sqlx::query_as(
        "SELECT organization_id, token_hash, role, platform_role FROM service_token_find($1, $2)",
    )
    .bind(id.to_uuid())
    .bind(time(now))
    .fetch_optional(store.app())
    .await?;
    let Some((organization, _, role, platform)) = row.filter(|(_, stored, ..)| equal(stored, token_hash))
    else {
        return Ok(None);
    };
    let membership = Membership {
        organization_id: OrganizationId::from_uuid(organization),
        member_id: None,
        role: from_name(&role)?,
    };
    Ok(Some(SignedIn {
        who: Who::Token(id),
        email: None,
        platform: platform.as_deref().map(from_name).transpose()?,
        memberships: vec![membership],
    }))
}

/// Compares without an early end.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (x, y)| all | (x ^ y)) == 0
}
