//! An organization's decisions as a document that is verified without asking anybody: the links of its chains
//! with their decisions, the certificates that signed them, and a manifest, signed by the installation's root,
//! that says where each chain begins and ends, so that what is cut off is missed.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tidegate_types::usage::Decision;
use tidegate_types::{CallId, NodeId, OrganizationId, Timestamp};

use super::{Certificates, Hash, Link, Path, Seal, Side, fingerprint, leaf, records};
use crate::SecretsError;

/// Bytes, in base64.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Bytes(pub Vec<u8>);

/// The document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionFile {
    /// What is in it.
    pub manifest: Manifest,
    /// The root's signature over the manifest's JSON.
    pub signature: Bytes,
    /// Certificates of nodes, DER.
    pub certificates: Vec<Bytes>,
    /// Chain by chain, in their order.
    pub links: Vec<FileLink>,
}

/// What a document holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Of this form; 1.
    pub version: u32,
    /// Whose.
    pub organization_id: OrganizationId,
    /// Sealed at this time or later.
    pub from: Timestamp,
    /// Sealed before this time.
    pub to: Timestamp,
    /// When the document was made.
    pub made_at: Timestamp,
    /// The chains, in the order of their links.
    pub chains: Vec<Chain>,
    /// The installation's roots, DER. Compare them with what you know: whoever makes a document can also
    /// make a root.
    pub roots: Vec<Bytes>,
}

/// A chain: what one process of a node sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// The node.
    pub node_id: NodeId,
    /// The process, as text: it has more digits than JSON's numbers.
    pub boot: String,
    /// Number of the first link.
    pub first: u64,
    /// Number of the last link.
    pub last: u64,
    /// Hash of the last link.
    pub head: Bytes,
}

/// A link with its decisions and its seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileLink {
    /// The node.
    pub node_id: NodeId,
    /// The process.
    pub boot: String,
    /// Counts the chain's links, from 1.
    pub number: u64,
    /// Hash of the link before.
    pub previous: Bytes,
    /// The calls, in order.
    pub calls: Vec<CallId>,
    /// Hash of their decisions.
    pub records: Bytes,
    /// Number of the seal.
    pub seal: u64,
    /// When it was sealed.
    pub at: Timestamp,
    /// Neighbours on the way to the signed root: a side (0 left, 1 right) and a hash, one after the other.
    pub path: Bytes,
    /// The node's signature over the root.
    pub signature: Bytes,
    /// SHA-256 of the certificate.
    pub certificate: Bytes,
    /// The decisions, in the order of `calls`.
    pub decisions: Vec<Decision>,
}

/// What verifying found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Chains.
    pub chains: usize,
    /// Links.
    pub links: usize,
    /// Decisions.
    pub decisions: usize,
    /// What does not hold, each with its place; empty: all of it does.
    pub findings: Vec<String>,
}

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD.decode(&*text).map(Self).map_err(serde::de::Error::custom)
    }
}

impl Manifest {
    /// What the root signs.
    ///
    /// # Errors
    /// [`SecretsError::MalformedMaterial`] when it has no JSON form, which all have.
    pub fn text(&self) -> Result<Vec<u8>, SecretsError> {
        let json = serde_json::to_vec(self).map_err(|_| SecretsError::MalformedMaterial)?;
        Ok([b"tidegate decision manifest, version 1\n".as_slice(), &json].concat())
    }
}

impl FileLink {
    /// The link itself.
    ///
    /// # Errors
    /// [`SecretsError::MalformedMaterial`].
    pub fn link(&self, organization_id: OrganizationId) -> Result<Link, SecretsError> {
        Ok(Link {
            node_id: self.node_id,
            boot: self.boot.parse().map_err(|_| SecretsError::MalformedMaterial)?,
            organization_id,
            number: self.number,
            previous: hash(&self.previous)?,
            calls: self.calls.clone(),
            records: hash(&self.records)?,
        })
    }

    fn way(&self) -> Result<Path, SecretsError> {
        let step = |step: &[u8]| {
            let (side, neighbour) = step.split_first().ok_or(SecretsError::MalformedMaterial)?;
            let side = match side {
                0 => Side::Left,
                1 => Side::Right,
                _ => return Err(SecretsError::MalformedMaterial),
            };
            Ok((side, neighbour.try_into().map_err(|_| SecretsError::MalformedMaterial)?))
        };
        self.path.0.chunks(33).map(step).collect()
    }
}

fn hash(bytes: &Bytes) -> Result<Hash, SecretsError> {
    bytes.0.as_slice().try_into().map_err(|_| SecretsError::MalformedMaterial)
}

impl DecisionFile {
    /// Verifies all of it by these roots; without any, by those that it names itself.
    #[must_use]
    pub fn verify(&self, trusted: Option<&Certificates>) -> Verified {
        let mut found = Verified { chains: self.manifest.chains.len(), ..Verified::default() };
        let own = Certificates::new(self.manifest.roots.iter().map(|root| &root.0));
        let roots = trusted.unwrap_or(&own);
        let signed = self.manifest.text().and_then(|text| roots.verify_by_root(&text, &self.signature.0));
        if let Err(error) = signed {
            found.findings.push(format!("manifest: {error}"));
        }
        let certificates: HashMap<Hash, &[u8]> =
            self.certificates.iter().map(|one| (fingerprint(&one.0), one.0.as_slice())).collect();
        let mut links = self.links.iter().enumerate().peekable();
        for (place, chain) in self.manifest.chains.iter().enumerate() {
            let (mut number, mut before) = (chain.first, None);
            let same = |link: &FileLink| link.node_id == chain.node_id && link.boot == chain.boot;
            while let Some((at, link)) = links.next_if(|(_, link)| same(link)) {
                found.links += 1;
                found.decisions += link.decisions.len();
                let mut note = |what: String| found.findings.push(format!("links[{at}]: {what}"));
                if link.number != number {
                    note(format!("is number {} of its chain, {number} was to come", link.number));
                }
                number = link.number.saturating_add(1);
                match self.check(link, &certificates, roots, &mut note) {
                    Ok(hash) => {
                        if before.is_some_and(|before| before != link.previous.0) {
                            note("does not follow from the link before it".to_owned());
                        }
                        before = Some(hash.to_vec());
                    }
                    Err(error) => note(error.to_string()),
                }
            }
            if number != chain.last.saturating_add(1) || before.as_ref() != Some(&chain.head.0) {
                found.findings.push(format!("chains[{place}]: does not end where the manifest says"));
            }
        }
        if let Some((at, _)) = links.next() {
            found
                .findings
                .push(format!("links[{at}]: belongs to no chain of the manifest, or stands elsewhere"));
        }
        found
    }

    /// Checks one link by itself; its hash.
    fn check(
        &self,
        kept: &FileLink,
        certificates: &HashMap<Hash, &[u8]>,
        roots: &Certificates,
        note: &mut impl FnMut(String),
    ) -> Result<Hash, SecretsError> {
        let link = kept.link(self.manifest.organization_id)?;
        let here: Vec<CallId> = kept.decisions.iter().map(|decision| decision.call_id).collect();
        let missing = kept.calls.iter().filter(|call| !here.contains(call)).count();
        if missing > 0 {
            note(format!("{missing} of its {} decisions are missing", kept.calls.len()));
        } else if here != kept.calls {
            note("its decisions are not in their order, or too many".to_owned());
        } else {
            let leaves = kept.decisions.iter().map(leaf).collect::<Result<Vec<_>, _>>()?;
            let foreign = |decision: &Decision| decision.organization_id != self.manifest.organization_id;
            if records(&leaves) != link.records || kept.decisions.iter().any(foreign) {
                note("a decision is not the one that was signed".to_owned());
            }
        }
        let named = hash(&kept.certificate)?;
        let certificate =
            certificates.get(&named).ok_or(SecretsError::Certificate("the file does not hold it"))?;
        let seal = Seal { number: kept.seal, at: kept.at, signature: kept.signature.0.clone() };
        if let Err(error) = seal.verify(&link, &kept.way()?, certificate, roots) {
            note(error.to_string());
        }
        Ok(link.hash())
    }
}
