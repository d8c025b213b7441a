//! A transaction that sees one organization: the only way to reach tenant-owned tables.

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Postgres, Transaction};
use tidegate_types::OrganizationId;
use uuid::Uuid;

use crate::Result;
use crate::actor::{Actor, PlatformRole, Who};

/// A transaction bound to an actor's organization by row-level security. Dropped: rolled back.
#[derive(Debug)]
pub struct TenantTx {
    tx: Transaction<'static, Postgres>,
    actor: Actor,
}

impl TenantTx {
    pub(crate) async fn begin(pool: &PgPool, actor: &Actor, statement: &'static str) -> Result<Self> {
        let mut tx = pool.begin_with(statement).await?;
        // A viewer of the platform reads what stands above organizations and never writes it.
        let platform = match actor.platform() {
            Some(PlatformRole::PlatformAdmin) => "on",
            Some(PlatformRole::PlatformViewer) if statement.ends_with("READ ONLY") => "on",
            _ => "off",
        };
        sqlx::query(
            "SELECT set_config('app.organization_id', $1, true), set_config('app.platform', $2, true)",
        )
        .bind(actor.organization_id().to_uuid().to_string())
        .bind(platform)
        .execute(&mut *tx)
        .await?;
        Ok(Self { tx, actor: actor.clone() })
    }

    /// The organization that this transaction sees.
    #[must_use]
    pub const fn organization_id(&self) -> OrganizationId {
        self.actor.organization_id()
    }

    /// Who reads.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    pub(crate) fn organization(&self) -> Uuid {
        self.actor.organization_id().to_uuid()
    }

    pub(crate) const fn who(&self) -> Who {
        self.actor.who()
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    pub(crate) async fn commit(self) -> Result<()> {
        Ok(self.tx.commit().await?)
    }
}
