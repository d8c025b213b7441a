//! Sealing what is stored for pools that get it later: a pool that is new, an organization that moves.

use tidegate_secrets::pool::PoolSecrets;
use tidegate_secrets::{envelope, places};
use tidegate_store::Change;
use tidegate_store::credentials::{self, Lacking};
use tidegate_types::Secret;
use tidegate_types::resource::Credential;

use crate::problem::Problem;
use crate::state::App;

/// Seals every credential of the bound organization for those of `pools` whose nodes cannot open it
/// yet.
pub(crate) async fn seal_for(app: &App, change: &mut Change, pools: &[String]) -> Result<(), Problem> {
    let wanted = app.vault.pools_in(change, pools).await?;
    let mut lacking =
        Lacking::new(|credential: &Credential| wanted.iter().any(|pool| lacks(credential, pool)));
    while let Some(credential) = lacking.next(change).await? {
        let (organization, id) = (credential.organization_id, credential.id);
        let (version, secret) = open(app, change, &credential).await?;
        let seal = |pool: &PoolSecrets| pool.seal_credential(organization, id, version, &secret);
        let missing = wanted.iter().filter(|pool| lacks(&credential, pool));
        let seals = missing.map(seal).collect::<Result<_, _>>().map_err(|error| broken(&error))?;
        credentials::put_seals(change, credential, seals).await?;
    }
    Ok(())
}

fn lacks(credential: &Credential, pool: &PoolSecrets) -> bool {
    !credential.sealed.iter().any(|s| s.pool == pool.pool && s.pool_key_version == pool.version)
}

/// The secret as it was given, and which one of the credential's it is.
async fn open(app: &App, change: &mut Change, credential: &Credential) -> Result<(u32, Secret), Problem> {
    let kept = credentials::envelope(change, credential.id).await?;
    let key = app.vault.data_key_of(change, kept.data_key_version).await?;
    let place = places::credential(credential.organization_id, credential.id, kept.secret_version);
    let opened = envelope::open(&key, &place, &kept.ciphertext).map_err(|error| broken(&error))?;
    let text = std::str::from_utf8(&opened).map_err(|_| Problem::internal())?;
    Ok((kept.secret_version, Secret::new(text)))
}

fn broken(error: &tidegate_secrets::SecretsError) -> Problem {
    tracing::error!(%error, "a credential could not be sealed for another pool");
    Problem::internal()
}
