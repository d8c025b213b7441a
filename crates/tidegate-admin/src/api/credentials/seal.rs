//! Encrypting a credential's secret: once for us, under the organization's data key, and once for
//! every pool, so that its nodes can open it.

use tidegate_secrets::pool::PoolSecrets;
use tidegate_secrets::{envelope, places};
use tidegate_store::credentials::Envelope;
use tidegate_store::{Change, placement};
use tidegate_types::resource::SealedSecret;
use tidegate_types::{CredentialId, Secret};

use crate::problem::Problem;
use crate::state::App;

/// The secret as it is kept, and as nodes get it.
///
/// `pools` are read before the change begins, so that it holds one connection only.
pub(super) async fn seal(
    app: &App,
    change: &mut Change,
    pools: &[PoolSecrets],
    id: CredentialId,
    secret_version: u32,
    secret: &Secret,
) -> Result<(Envelope, Vec<SealedSecret>), Problem> {
    let organization = change.organization_id();
    let broken = |error| {
        tracing::error!(%error, "a credential could not be encrypted");
        Problem::internal()
    };
    let present = placement::hold_pools(change).await?;
    if !present.iter().all(|name| pools.iter().any(|pool| pool.pool == *name)) {
        return Err(Problem::conflict("pool_added", "A pool was made at this moment; try again."));
    }
    let data_key = app.vault.data_key(change).await?;
    let place = places::credential(organization, id, secret_version);
    let ciphertext = envelope::seal(&data_key.key, &place, secret.expose().as_bytes()).map_err(broken)?;
    let sealed = pools.iter().map(|pool| pool.seal_credential(organization, id, secret_version, secret));
    let sealed = sealed.collect::<Result<Vec<_>, _>>().map_err(broken)?;
    // No hint: not even a secret's last characters leave by any answer.
    let envelope =
        Envelope { secret_version, data_key_version: data_key.version, ciphertext, hint: String::new() };
    Ok((envelope, sealed))
}
