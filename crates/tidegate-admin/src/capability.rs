//! The one table of who may do what: role × noun × action, and which endpoint needs which.
//!
//! The guard ([`crate::actor::Caller`]) reads it for every request; an endpoint that it does
//! not know is refused to everybody. Knows nothing of HTTP bodies or the database.

use http::Method;
use tidegate_store::{Actor, PlatformRole, Role};
use tidegate_types::OrganizationId;

/// What an endpoint is about: the first segment of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noun {
    /// The caller's own person: `/me`, `/sessions/current`.
    Own,
    /// `/organizations`.
    Organizations,
    /// `/teams`.
    Teams,
    /// `/members`.
    Members,
    /// `/service-tokens`.
    ServiceTokens,
    /// `/keys`.
    Keys,
    /// `/trust-rules`.
    TrustRules,
    /// `/credentials`.
    Credentials,
    /// `/providers`, `/models`, `/offerings`, `/prices`, `/catalogue`.
    Catalogue,
    /// `/price-overrides`.
    PriceOverrides,
    /// `/routes`.
    Routes,
    /// `/policies`, `/cache`.
    Policies,
    /// `/budgets`.
    Budgets,
    /// `/usage`.
    Usage,
    /// `/calls`.
    Calls,
    /// `/explain`.
    Explain,
    /// `/fleet`, `/join-tokens`, `/pools`, `/encryption`.
    Fleet,
    /// `/audit`, `/zdr`.
    Audit,
    /// `/webhooks`, `/notices`.
    Webhooks,
    /// `/exporters`.
    Exporters,
    /// `/credits`.
    Credits,
    /// `/ledger`.
    Ledger,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing changes.
    Read,
    /// Something changes.
    Write,
}

/// Whose data an endpoint works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// One organization's; platform tokens must name it.
    Organization,
    /// One organization's, or the system's own for a platform token that names none.
    Either,
    /// The installation's.
    System,
}

/// Every organization role, for tests and documents.
pub const ROLES: [Role; 5] = [Role::Owner, Role::Admin, Role::Member, Role::Viewer, Role::Billing];

impl Noun {
    /// What the endpoint with this path (below `/api/v1/`) is about.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        Some(match path.split('/').next()? {
            "me" | "sessions" => Self::Own,
            "organizations" => Self::Organizations,
            "teams" => Self::Teams,
            "members" => Self::Members,
            "service-tokens" => Self::ServiceTokens,
            "keys" => Self::Keys,
            "trust-rules" => Self::TrustRules,
            "credentials" => Self::Credentials,
            "providers" | "models" | "offerings" | "prices" | "catalogue" => Self::Catalogue,
            "price-overrides" => Self::PriceOverrides,
            "routes" => Self::Routes,
            "policies" | "cache" => Self::Policies,
            "budgets" => Self::Budgets,
            "usage" => Self::Usage,
            "calls" => Self::Calls,
            "explain" => Self::Explain,
            "fleet" | "join-tokens" | "pools" | "encryption" => Self::Fleet,
            "audit" | "zdr" => Self::Audit,
            "webhooks" | "notices" => Self::Webhooks,
            "exporters" => Self::Exporters,
            "credits" => Self::Credits,
            "ledger" => Self::Ledger,
            _ => return None,
        })
    }

    /// Whose data it is about.
    #[must_use]
    pub const fn reach(self) -> Reach {
        match self {
            Self::Teams
            | Self::Keys
            | Self::TrustRules
            | Self::PriceOverrides
            | Self::Routes
            | Self::Policies
            | Self::Budgets
            | Self::Usage
            | Self::Calls
            | Self::Exporters
            | Self::Credits
            | Self::Explain => Reach::Organization,
            Self::Members
            | Self::Credentials
            | Self::ServiceTokens
            | Self::Audit
            | Self::Webhooks
            | Self::Ledger => Reach::Either,
            Self::Own | Self::Organizations | Self::Catalogue | Self::Fleet => Reach::System,
        }
    }
}

impl Action {
    /// What a request with this method does.
    #[must_use]
    pub fn of_method(method: &Method) -> Self {
        if matches!(*method, Method::GET | Method::HEAD) { Self::Read } else { Self::Write }
    }
}

/// Whether a member or token with this role may do it in its own organization.
#[must_use]
pub const fn role_allows(role: Role, noun: Noun, action: Action) -> bool {
    use Role::{Admin, Billing, Member, Owner, Viewer};
    match (noun, action) {
        (Noun::Own, _) => true,
        // The catalogue is the operator's; everybody may read it.
        (Noun::Catalogue, Action::Read) => true,
        (Noun::Catalogue | Noun::Fleet, _) => false,
        // An owner may rename the organization; making and pausing one is the platform's.
        (Noun::Organizations, Action::Read) => true,
        (Noun::Organizations, Action::Write) => matches!(role, Owner),
        (Noun::Keys, Action::Write) => matches!(role, Owner | Admin | Member),
        (Noun::Budgets | Noun::Webhooks, Action::Write) => matches!(role, Owner | Admin | Billing),
        (Noun::Webhooks | Noun::Credits | Noun::Ledger, Action::Read) => {
            matches!(role, Owner | Admin | Viewer | Billing)
        }
        (Noun::Credentials | Noun::Exporters, Action::Read) => {
            matches!(role, Owner | Admin | Member | Viewer)
        }
        (Noun::Calls, Action::Read) => matches!(role, Owner | Admin | Member | Viewer | Billing),
        // It is asked by POST and changes nothing.
        (Noun::Explain, _) => matches!(role, Owner | Admin | Member | Viewer),
        (Noun::ServiceTokens | Noun::Audit, Action::Read) => matches!(role, Owner | Admin),
        (
            Noun::Teams
            | Noun::Members
            | Noun::TrustRules
            | Noun::PriceOverrides
            | Noun::Routes
            | Noun::Policies
            | Noun::Credentials
            | Noun::Exporters
            | Noun::ServiceTokens,
            Action::Write,
        ) => matches!(role, Owner | Admin),
        (
            Noun::Teams
            | Noun::Members
            | Noun::Keys
            | Noun::TrustRules
            | Noun::PriceOverrides
            | Noun::Routes
            | Noun::Policies
            | Noun::Budgets
            | Noun::Usage,
            Action::Read,
        ) => true,
        // Money comes in at the platform.
        (Noun::Usage | Noun::Calls | Noun::Audit | Noun::Credits | Noun::Ledger, Action::Write) => false,
    }
}

/// Whether a platform role may do it; `in_organization` says whether in one (`?organization=`)
/// or among the system's own.
#[must_use]
pub const fn platform_allows(role: PlatformRole, noun: Noun, action: Action, in_organization: bool) -> bool {
    let admin = matches!(role, PlatformRole::PlatformAdmin);
    match (noun, action) {
        (Noun::Own, _) => true,
        // What callers did stays the organization's.
        (Noun::Calls, _) => false,
        // A token of an organization would let the platform act as that organization.
        (Noun::ServiceTokens, Action::Write) => admin && !in_organization,
        (Noun::Usage | Noun::Audit, Action::Write) => false,
        (_, Action::Read) => true,
        (_, Action::Write) => admin,
    }
}

/// Whether this actor may do it where it acts.
#[must_use]
pub fn permits(actor: &Actor, noun: Noun, action: Action) -> bool {
    let in_organization = actor.organization_id() != OrganizationId::SYSTEM;
    let by_role = in_organization && actor.role().is_some_and(|role| role_allows(role, noun, action));
    by_role || actor.platform().is_some_and(|role| platform_allows(role, noun, action, in_organization))
}
