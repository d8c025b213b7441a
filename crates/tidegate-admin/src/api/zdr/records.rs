//! `GET /zdr/records`

use std::collections::{BTreeMap, HashMap};

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tidegate_secrets::SecretsError;
use tidegate_secrets::decision::file::{Bytes, Chain, DecisionFile, FileLink, Manifest};
use tidegate_secrets::decision::fingerprint;
use tidegate_store::decisions::{self, KeptLink};
use tidegate_store::tenant::TenantTx;
use tidegate_types::usage::Decision;
use tidegate_types::{CallId, OrganizationId, Timestamp};
use utoipa::IntoParams;

use crate::actor::Caller;
use crate::body::Query;
use crate::problem::Problem;
use crate::state::App;

/// Links in one document, and calls in all of them.
const MOST_LINKS: u32 = 5_000;
const MOST_CALLS: usize = 100_000;
/// Calls that are read at once.
const PAGE: usize = 2_000;
/// How far back it goes when `from` is absent, in milliseconds: a day.
const SPAN_MS: i64 = 24 * 60 * 60 * 1000;
/// How far a node's clock may be ahead, in milliseconds.
const AHEAD_MS: i64 = 60 * 60 * 1000;

/// Of which time.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RecordsQuery {
    /// Sealed by their node at this time or later; a day ago when absent.
    #[param(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Sealed before this time.
    #[param(value_type = Option<String>)]
    to: Option<Timestamp>,
}

/// The organization's decisions about data handling: a document that `tidegate zdr verify` checks without
/// asking anybody. For each call: who called, the tier, where it went, by what evidence; no content.
#[utoipa::path(get, path = "/zdr/records", tag = "zdr", operation_id = "zdr_records", params(RecordsQuery),
    responses((status = OK, description = "Links of signed chains with their decisions, the certificates, and a manifest signed by the installation's root", body = serde_json::Value)))]
pub(super) async fn records(
    State(app): State<App>,
    caller: Caller,
    Query(asked): Query<RecordsQuery>,
) -> Result<Json<DecisionFile>, Problem> {
    let now = app.clock.now();
    let from = asked.from.unwrap_or(now.plus_millis(-SPAN_MS));
    let to = asked.to.unwrap_or(now.plus_millis(AHEAD_MS));
    let organization_id = caller.organization_id();
    let (authority, roots) = app.vault.authority(&app.store).await?;
    let mut tx = app.store.begin(caller.actor()).await?;
    let kept = decisions::links(&mut tx, from, to, MOST_LINKS + 1).await?;
    let calls: Vec<CallId> = kept.iter().flat_map(|kept| &kept.link.calls).copied().collect();
    if kept.len() > MOST_LINKS as usize || calls.len() > MOST_CALLS {
        return Err(Problem::field("from", "spans too many calls for one document; ask for a shorter time"));
    }
    let mut decided = decided(&mut tx, &calls).await?;
    let certificates: BTreeMap<_, _> =
        kept.iter().map(|kept| (fingerprint(&kept.certificate), kept.certificate.clone())).collect();
    let links: Vec<FileLink> = kept.into_iter().map(|kept| written(kept, &mut decided)).collect();
    let manifest = Manifest {
        version: 1,
        organization_id,
        from,
        to,
        made_at: now,
        chains: chains(&links, organization_id).map_err(|error| broken(&error))?,
        roots: roots.into_iter().map(Bytes).collect(),
    };
    let text = manifest.text().map_err(|error| broken(&error))?;
    let signature = Bytes(authority.sign_text(&text).map_err(|error| broken(&error))?);
    let certificates = certificates.into_values().map(Bytes).collect();
    Ok(Json(DecisionFile { manifest, signature, certificates, links }))
}

async fn decided(tx: &mut TenantTx, calls: &[CallId]) -> Result<HashMap<CallId, Decision>, Problem> {
    let mut decided = HashMap::with_capacity(calls.len());
    for some in calls.chunks(PAGE) {
        let records = decisions::records(tx, some).await?;
        decided.extend(records.iter().map(|record| (record.call_id, Decision::from(record))));
    }
    Ok(decided)
}

/// A link with those of its decisions that are there: what is missing is not made up.
fn written(kept: KeptLink, decided: &mut HashMap<CallId, Decision>) -> FileLink {
    let decisions = kept.link.calls.iter().filter_map(|call| decided.remove(call)).collect();
    FileLink {
        node_id: kept.node_id,
        boot: kept.boot.to_string(),
        number: kept.link.number,
        previous: Bytes(kept.link.previous.to_vec()),
        calls: kept.link.calls,
        records: Bytes(kept.link.records.to_vec()),
        seal: kept.seal,
        at: kept.at,
        path: Bytes(kept.link.path),
        signature: Bytes(kept.signature),
        certificate: Bytes(fingerprint(&kept.certificate).to_vec()),
        decisions,
    }
}

/// Where each chain begins and ends; the links stand chain by chain.
fn chains(links: &[FileLink], organization_id: OrganizationId) -> Result<Vec<Chain>, SecretsError> {
    let mut chains: Vec<Chain> = Vec::new();
    for link in links {
        let head = Bytes(link.link(organization_id)?.hash().to_vec());
        match chains.last_mut().filter(|chain| chain.node_id == link.node_id && chain.boot == link.boot) {
            Some(chain) => (chain.last, chain.head) = (link.number, head),
            None => chains.push(Chain {
                node_id: link.node_id,
                boot: link.boot.clone(),
                first: link.number,
                last: link.number,
                head,
            }),
        }
    }
    Ok(chains)
}

fn broken(error: &SecretsError) -> Problem {
    tracing::error!(%error, "decisions cannot be exported");
    Problem::internal()
}
