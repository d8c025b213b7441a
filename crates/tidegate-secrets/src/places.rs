//! Where wrapped key material belongs: the associated data under which the key-encryption key
//! wraps it. Everything that reads or writes wrapped material uses these, so that a row that was
//! moved or swapped does not open.

use tidegate_types::{CredentialId, OrganizationId};

use crate::envelope::Aad;

/// The data key of an organization.
#[must_use]
pub fn data_key(organization: OrganizationId, version: u32) -> Aad {
    Aad::new("data key").with(organization.to_u128().to_be_bytes()).with(version.to_be_bytes())
}

/// The key of a pool's sealed credentials (32 bytes).
#[must_use]
pub fn pool_key(pool: &str, version: u32) -> Aad {
    Aad::new("pool key at rest").with(pool).with(version.to_be_bytes())
}

/// A pepper of virtual keys (32 bytes).
#[must_use]
pub fn pepper(version: u32) -> Aad {
    Aad::new("pepper").with(version.to_be_bytes())
}

/// The private key of the certificate authority.
#[must_use]
pub fn certificate_authority(version: u32) -> Aad {
    Aad::new("certificate authority").with(version.to_be_bytes())
}

/// A credential's secret as the control plane keeps it, under the organization's data key.
#[must_use]
pub fn credential(organization: OrganizationId, credential: CredentialId, secret_version: u32) -> Aad {
    Aad::new("credential at rest")
        .with(organization.to_u128().to_be_bytes())
        .with(credential.to_u128().to_be_bytes())
        .with(secret_version.to_be_bytes())
}

/// The secret that signs what a webhook is told, under the organization's data key. `webhook`: the
/// bits of its id.
#[must_use]
pub fn webhook(organization: OrganizationId, webhook: u128, secret_version: u32) -> Aad {
    Aad::new("webhook at rest")
        .with(organization.to_u128().to_be_bytes())
        .with(webhook.to_be_bytes())
        .with(secret_version.to_be_bytes())
}

/// The headers that an exporter of traces sends, under the organization's data key. `exporter`: the bits
/// of its id.
#[must_use]
pub fn exporter(organization: OrganizationId, exporter: u128, secret_version: u32) -> Aad {
    Aad::new("exporter at rest")
        .with(organization.to_u128().to_be_bytes())
        .with(exporter.to_be_bytes())
        .with(secret_version.to_be_bytes())
}

/// A root key, wrapped by its wrapper.
#[must_use]
pub fn root_key(version: u32) -> Aad {
    Aad::new("root key").with(version.to_be_bytes())
}

/// A secret of the installation itself, for example the one that signs sessions.
#[must_use]
pub fn installation(name: &str) -> Aad {
    Aad::new("installation secret").with(name)
}
