//! A control plane that is away.

use futures_util::future::BoxFuture;
use tidegate_proxy::{Generation, NoAnswer, ReportQuery, ReportRow};
use tidegate_types::{CallId, NanoUsd, OrganizationId};

/// Answers nothing.
pub(crate) struct Nobody;

impl tidegate_proxy::Questions for Nobody {
    fn charged_ever(&self, _: OrganizationId) -> BoxFuture<'_, Result<NanoUsd, NoAnswer>> {
        Box::pin(async { Err(NoAnswer::Away) })
    }

    fn generation(&self, _: OrganizationId, _: CallId) -> BoxFuture<'_, Result<Generation, NoAnswer>> {
        Box::pin(async { Err(NoAnswer::Away) })
    }

    fn report(&self, _: OrganizationId, _: ReportQuery) -> BoxFuture<'_, Result<Vec<ReportRow>, NoAnswer>> {
        Box::pin(async { Err(NoAnswer::Away) })
    }
}
