//! Who acts, for which organization, in which role. Made by sign-in, or by the system itself.

use std::fmt;

use serde::{Deserialize, Serialize};
use tidegate_types::id::IdKind;
use tidegate_types::{Id, MemberId, OrganizationId, ServiceTokenId};

/// Marker of person ids.
#[derive(Debug, Clone, Copy)]
pub struct Person;

impl IdKind for Person {
    const PREFIX: &'static str = "person";
}

/// A person's id, `person_…`: one e-mail address in the whole installation.
pub type PersonId = Id<Person>;

/// What a member may do in an organization; the capability table is in `tidegate-admin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is named as its role")]
pub enum Role {
    Owner,
    Admin,
    Member,
    Viewer,
    Billing,
}

/// What someone may do above organizations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlatformRole {
    /// Reads and writes.
    PlatformAdmin,
    /// Reads.
    PlatformViewer,
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// A person who signed in.
    Person {
        /// The person.
        person_id: PersonId,
        /// The membership in the actor's organization, if there is one.
        member_id: Option<MemberId>,
    },
    /// A service token.
    Token(ServiceTokenId),
    /// The control plane itself; says which part.
    System(&'static str),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person { person_id, member_id: None } => person_id.fmt(f),
            Self::Person { member_id: Some(member_id), .. } => member_id.fmt(f),
            Self::Token(id) => id.fmt(f),
            Self::System(part) => write!(f, "system:{part}"),
        }
    }
}

/// Someone authenticated, acting for one organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    who: Who,
    organization_id: OrganizationId,
    role: Option<Role>,
    platform: Option<PlatformRole>,
}

impl Actor {
    pub(crate) const fn new(
        who: Who,
        organization_id: OrganizationId,
        role: Option<Role>,
        platform: Option<PlatformRole>,
    ) -> Self {
        Self { who, organization_id, role, platform }
    }

    /// Who acts.
    #[must_use]
    pub const fn who(&self) -> Who {
        self.who
    }

    /// The organization acted for; [`OrganizationId::SYSTEM`] for the shared catalogue.
    #[must_use]
    pub const fn organization_id(&self) -> OrganizationId {
        self.organization_id
    }

    /// The role in that organization; `None` for platform roles from outside.
    #[must_use]
    pub const fn role(&self) -> Option<Role> {
        self.role
    }

    /// The role above organizations.
    #[must_use]
    pub const fn platform(&self) -> Option<PlatformRole> {
        self.platform
    }

    /// The same actor acting for another organization (a new one, or the system's own):
    /// for platform roles only, without a role of its own there.
    #[must_use]
    pub fn entering(&self, organization_id: OrganizationId) -> Option<Self> {
        self.platform?;
        Some(Self { who: self.who, organization_id, role: None, platform: self.platform })
    }
}

/// The control plane acting by itself. Every use is a place to review.
#[derive(Debug, Clone, Copy)]
pub struct SystemActor(&'static str);

impl SystemActor {
    /// Names the acting part, for example `epochs`; it is written in the audit.
    #[must_use]
    pub const fn new(part: &'static str) -> Self {
        Self(part)
    }

    /// Acting for this organization, and above organizations.
    #[must_use]
    pub const fn acting_for(self, organization_id: OrganizationId) -> Actor {
        Actor::new(Who::System(self.0), organization_id, None, Some(PlatformRole::PlatformAdmin))
    }
}
