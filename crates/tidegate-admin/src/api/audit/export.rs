//! `GET /audit/export`

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use tidegate_store::{StoreError, TenantTx, audit};
use tidegate_types::audit::End;
use utoipa::IntoParams;

use crate::actor::Caller;
use crate::body::Query;
use crate::problem::Problem;
use crate::state::App;

/// Entries in one part of an answer.
const PART: u32 = 1_000;

/// Which entries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// Only entries behind this place in the chain: what came since an earlier export. 0 when absent.
    after: u64,
}

/// Exports the audit as a file, oldest first, all of one moment: a JSON object on each line with `n`, `at`, `actor`,
/// `action`, `object`, `before`, `after`, `previous_hash` and `hash`, and a last line with `organization_id`, `entries` and `hash` of the
/// chain's head. `tidegate audit verify FILE` checks such files without asking anybody.
#[utoipa::path(get, path = "/audit/export", tag = "audit", operation_id = "audit_export", params(ExportQuery),
    responses((status = OK, description = "The file", content_type = "application/x-ndjson", body = String)))]
pub(super) async fn export(
    State(app): State<App>,
    caller: Caller,
    Query(asked): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let mut tx = app.store.begin_snapshot(caller.actor()).await?;
    let end = audit::end(&mut tx).await?;
    if asked.after > end.entries {
        return Err(Problem::field("after", format!("the last entry is {}", end.entries)));
    }
    let headers = [
        (CONTENT_TYPE, "application/x-ndjson"),
        (CONTENT_DISPOSITION, "attachment; filename=\"audit.jsonl\""),
    ];
    Ok((headers, lines(tx, asked.after, end)).into_response())
}

fn lines(tx: TenantTx, after: u64, end: End) -> Body {
    Body::from_stream(stream::try_unfold(Some((tx, after)), move |state| async move {
        let Some((mut tx, after)) = state else { return Ok::<_, StoreError>(None) };
        let part = audit::lines(&mut tx, after, PART).await?;
        let mut text = Vec::new();
        for line in &part {
            write(&mut text, line)?;
        }
        let Some(last) = part.last() else {
            write(&mut text, &end)?;
            return Ok(Some((Bytes::from(text), None)));
        };
        Ok(Some((Bytes::from(text), Some((tx, last.n)))))
    }))
}

fn write<T: Serialize>(text: &mut Vec<u8>, value: &T) -> Result<(), StoreError> {
    serde_json::to_writer(&mut *text, value).map_err(|_| StoreError::Unreadable("audit entry"))?;
    text.push(b'\n');
    Ok(())
}
