//! Nodes' signatures over what was decided for calls: compared with the records they came with, and turned
//! into the links that are kept.
//!
//! A seal that does not hold is not kept and not confirmed: its records are stored all the same, for money
//! must not wait, and the node begins its chains anew.

use tidegate_proto::usage::{DecisionLink, DecisionSeal};
use tidegate_secrets::SecretsError;
use tidegate_secrets::decision::{self, Certificates, Hash, Link, Path, Seal, Side};
use tidegate_store::decisions::{SealedBatch, SealedLink};
use tidegate_store::intake::{Record, Shipped};
use tidegate_types::usage::Decision;
use tidegate_types::{CallId, NodeId, OrganizationId, Timestamp};

const WRONG: SecretsError = SecretsError::Certificate("the seal is not over the calls that it came with");

/// The batch as it is kept.
///
/// # Errors
/// What does not hold.
pub(crate) fn check(
    node_id: NodeId,
    seal: &DecisionSeal,
    batch: &[Shipped],
    roots: &Certificates,
) -> Result<SealedBatch, SecretsError> {
    let links = links(node_id, seal, batch)?;
    let hashes: Vec<Hash> = links.iter().map(Link::hash).collect();
    let at = Timestamp::from_micros(seal.at_micros);
    let signed = Seal { number: seal.number, at, signature: seal.signature.clone() };
    signed.verify_root(node_id, seal.boot, &decision::root(&hashes), &seal.certificate, roots)?;
    let kept = links.into_iter().enumerate().map(|(place, link)| SealedLink {
        organization_id: link.organization_id,
        number: link.number,
        previous: link.previous,
        calls: link.calls,
        records: link.records,
        path: written(&decision::path(&hashes, place)),
    });
    Ok(SealedBatch {
        boot: seal.boot,
        number: seal.number,
        at,
        signature: seal.signature.clone(),
        fingerprint: decision::fingerprint(&seal.certificate),
        certificate: seal.certificate.clone(),
        links: kept.collect(),
    })
}

/// The links that the node must have signed: its own word is taken for their numbers only.
fn links(node_id: NodeId, seal: &DecisionSeal, batch: &[Shipped]) -> Result<Vec<Link>, SecretsError> {
    let mut groups: Vec<(OrganizationId, Vec<CallId>, Vec<Hash>)> = Vec::new();
    for shipped in batch {
        let Record::Call(call) = &shipped.record else { continue };
        let leaf = decision::leaf(&Decision::from(call))?;
        match groups.iter_mut().find(|(organization, ..)| *organization == call.organization_id) {
            Some((_, calls, leaves)) => {
                calls.push(call.call_id);
                leaves.push(leaf);
            }
            None => groups.push((call.organization_id, vec![call.call_id], vec![leaf])),
        }
    }
    if groups.len() != seal.links.len() {
        return Err(WRONG);
    }
    let link = |((organization_id, calls, leaves), said): ((OrganizationId, _, Vec<Hash>), &DecisionLink)| {
        let named: [u8; 16] = said.organization_id.as_slice().try_into().map_err(|_| WRONG)?;
        if OrganizationId::from_u128(u128::from_be_bytes(named)) != organization_id {
            return Err(WRONG);
        }
        Ok(Link {
            node_id,
            boot: seal.boot,
            organization_id,
            number: said.number,
            previous: said.previous.as_slice().try_into().map_err(|_| WRONG)?,
            calls,
            records: decision::records(&leaves),
        })
    };
    groups.into_iter().zip(&seal.links).map(link).collect()
}

fn written(path: &Path) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len() * 33);
    for (side, hash) in path {
        out.push(u8::from(*side == Side::Right));
        out.extend_from_slice(hash);
    }
    out
}
