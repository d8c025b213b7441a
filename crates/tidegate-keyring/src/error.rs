//! Why a keyring could not do something.

use tidegate_secrets::SecretsError;
use tidegate_store::StoreError;
use tidegate_types::OrganizationId;

/// Why a keyring could not do something.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Key material.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// A root key was wrapped by a keeper that is not configured.
    #[error(
        "root key {version} was wrapped by {wrapper}, which is not configured (it may be a previous key)"
    )]
    Unconfigured {
        /// The root key.
        version: u32,
        /// Who wrapped it.
        wrapper: String,
    },
    /// A rotation is done but for some organizations.
    #[error("{0}")]
    Left(Box<Left>),
}

impl KeyringError {
    /// Whether it says something of one organization's credentials only, and nothing of the others'.
    pub(crate) fn is_of_one(&self) -> bool {
        match self {
            Self::Store(error) => error.is_of_one(),
            Self::Secrets(error) => {
                matches!(error, SecretsError::NotDecrypted | SecretsError::MalformedMaterial)
            }
            _ => false,
        }
    }
}

/// Organizations that a rotation could not finish.
#[derive(Debug)]
pub struct Left {
    /// Which; never none.
    pub organizations: Vec<OrganizationId>,
    /// What was in the way at the last of them.
    pub why: KeyringError,
}

/// As many are named.
const NAMED: usize = 3;

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "left: ")?;
        for organization in self.organizations.iter().take(NAMED) {
            write!(f, "{organization}, ")?;
        }
        let more = self.organizations.len().saturating_sub(NAMED);
        if more > 0 {
            write!(f, "{more} more, ")?;
        }
        write!(f, "because {}", self.why)
    }
}
