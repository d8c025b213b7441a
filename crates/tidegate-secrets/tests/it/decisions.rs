//! A document of decisions: what was changed, left out or put elsewhere is found, by its place.

use tidegate_secrets::ca::{CertificateAuthority, NodeKey};
use tidegate_secrets::decision::file::{Bytes, Chain, DecisionFile, FileLink, Manifest};
use tidegate_secrets::decision::{self, Certificates, Link, Side};
use tidegate_types::resource::ZdrTier;
use tidegate_types::usage::{AttemptDecision, CallOutcome, CredentialType, Decision, Evidence};
use tidegate_types::{CallId, Id, NodeId, OrganizationId, Revision, Shard, Timestamp};

const ORG: OrganizationId = OrganizationId::from_u128(7);
const OTHER: OrganizationId = OrganizationId::from_u128(8);
const NODE: NodeId = NodeId::from_u128(9);

fn now() -> Timestamp {
    Timestamp::from_seconds(1_795_255_200)
}

fn decision(organization_id: OrganizationId, call: u128) -> Decision {
    Decision {
        call_id: CallId::from_u128(call),
        at: now(),
        organization_id,
        team_id: Id::from_u128(1),
        key_id: Id::from_u128(2),
        zdr: ZdrTier::Zdr,
        inference_regions: None,
        revision: Revision { shard: Shard::SYSTEM, n: 3 },
        outcome: CallOutcome::Answered,
        status: 200,
        attempts: vec![AttemptDecision {
            provider_id: Id::from_u128(4),
            offering_id: Id::from_u128(5),
            credential_id: Some(Id::from_u128(6)),
            credential_type: CredentialType::System,
            status: 200,
            evidence: vec![Evidence {
                areas: tidegate_types::resource::Areas::NONE,
                feature: None,
                tier: ZdrTier::Zdr,
                source: "https://provider.example/terms".into(),
                read_at: now(),
                expires_at: now().plus_millis(1),
            }],
        }],
    }
}

/// Three batches of five calls of the organization, each with a call of another one.
fn document(authority: &CertificateAuthority) -> DecisionFile {
    let key = NodeKey::generate().unwrap();
    let signed = authority.sign_node(&key.certificate_request().unwrap(), NODE, "default", now()).unwrap();
    let certificate = signed.chain[0].to_vec();
    let mut previous = [0; 32];
    let mut links = Vec::new();
    for number in 1..=3_u64 {
        let link = |organization_id, previous, decisions: &[Decision]| {
            let leaves: Vec<_> = decisions.iter().map(|one| decision::leaf(one).unwrap()).collect();
            Link {
                node_id: NODE,
                boot: u64::MAX,
                organization_id,
                number,
                previous,
                calls: decisions.iter().map(|one| one.call_id).collect(),
                records: decision::records(&leaves),
            }
        };
        let mine: Vec<_> = (0..5).map(|call| decision(ORG, u128::from(number) * 100 + call)).collect();
        let both = [
            link(OTHER, [1; 32], &[decision(OTHER, 1)]),
            link(ORG, previous, &mine),
            link(OrganizationId::from_u128(10), [0; 32], &[decision(OTHER, 2)]),
        ];
        let hashes: Vec<_> = both.iter().map(Link::hash).collect();
        let text = decision::signed_text(NODE, u64::MAX, number, now(), &decision::root(&hashes));
        let path = decision::path(&hashes, 1);
        let path = path.into_iter().flat_map(|(side, hash)| {
            std::iter::once(u8::from(side == Side::Right)).chain(hash).collect::<Vec<_>>()
        });
        links.push(FileLink {
            node_id: NODE,
            boot: u64::MAX.to_string(),
            number,
            previous: Bytes(previous.to_vec()),
            calls: both[1].calls.clone(),
            records: Bytes(both[1].records.to_vec()),
            seal: number,
            at: now(),
            path: Bytes(path.collect()),
            signature: Bytes(key.sign(&text).unwrap()),
            certificate: Bytes(decision::fingerprint(&certificate).to_vec()),
            decisions: mine,
        });
        previous = hashes[1];
    }
    let chain = Chain {
        node_id: NODE,
        boot: u64::MAX.to_string(),
        first: 1,
        last: 3,
        head: Bytes(previous.to_vec()),
    };
    let manifest = Manifest {
        version: 1,
        organization_id: ORG,
        from: now(),
        to: now().plus_millis(1),
        made_at: now(),
        chains: vec![chain],
        roots: vec![Bytes(authority.root().to_vec())],
    };
    let signature = Bytes(authority.sign_text(&manifest.text().unwrap()).unwrap());
    DecisionFile { manifest, signature, certificates: vec![Bytes(certificate)], links }
}

fn findings(file: &DecisionFile) -> Vec<String> {
    // As it is written and read again.
    let text = serde_json::to_string(file).unwrap();
    serde_json::from_str::<DecisionFile>(&text).unwrap().verify(None).findings
}

#[test]
fn a_document_as_it_was_made_holds() {
    let authority = CertificateAuthority::generate(now()).unwrap();
    let file = document(&authority);
    assert_eq!(findings(&file), Vec::<String>::new());
    let found = file.verify(Some(&Certificates::new([authority.root()])));
    assert_eq!((found.chains, found.links, found.decisions, found.findings.len()), (1, 3, 15, 0));
    // Whoever makes a document can also make a root: those that are trusted decide.
    let stranger = CertificateAuthority::generate(now()).unwrap();
    let found = file.verify(Some(&Certificates::new([stranger.root()])));
    assert!(found.findings.iter().any(|finding| finding.starts_with("manifest:")), "{found:?}");
    assert!(found.findings.iter().any(|finding| finding.contains("no trusted root")), "{found:?}");
}

#[test]
fn whatever_is_changed_left_out_or_moved_is_found() {
    let authority = CertificateAuthority::generate(now()).unwrap();
    let whole = document(&authority);
    type Harm = fn(&mut DecisionFile);
    let harms: &[(&str, &str, Harm)] = &[
        ("a tier", "not the one that was signed", |file| file.links[1].decisions[2].zdr = ZdrTier::None),
        ("evidence", "not the one that was signed", |file| {
            file.links[0].decisions[0].attempts[0].evidence[0].source = "elsewhere".into();
        }),
        ("an expiry", "not the one that was signed", |file| {
            file.links[0].decisions[0].attempts[0].evidence[0].expires_at = now().plus_millis(2);
        }),
        ("whom it went to", "not the one that was signed", |file| {
            file.links[2].decisions[4].attempts[0].offering_id = Id::from_u128(99);
        }),
        ("a decision less", "1 of its 5 decisions are missing", |file| {
            file.links[1].decisions.remove(2);
        }),
        ("a decision less, said nowhere", "not over these decisions", |file| {
            file.links[1].decisions.remove(2);
            file.links[1].calls.remove(2);
        }),
        ("a decision twice", "not in their order, or too many", |file| {
            let again = file.links[1].decisions[0].clone();
            file.links[1].decisions.push(again);
        }),
        ("two in another order", "not in their order", |file| file.links[1].decisions.swap(1, 2)),
        ("two in another order, said so", "not the one that was signed", |file| {
            file.links[1].decisions.swap(1, 2);
            file.links[1].calls.swap(1, 2);
        }),
        ("a link less", "is number 3 of its chain, 2 was to come", |file| drop(file.links.remove(1))),
        ("the last link", "does not end where the manifest says", |file| drop(file.links.pop())),
        ("two links in another order", "was to come", |file| file.links.swap(0, 1)),
        ("the end, and the manifest with it", "manifest:", |file| {
            file.links.pop();
            file.manifest.chains[0].last = 2;
            file.manifest.chains[0].head = file.links[1].previous.clone();
        }),
        ("a link's number", "not over these decisions", |file| file.links[2].number = 4),
        ("a time of sealing", "not over these decisions", |file| file.links[2].at = now().plus_millis(1)),
        ("a signature", "not over these decisions", |file| file.links[2].signature.0[9] ^= 1),
        ("the certificate", "does not hold it", |file| file.certificates.clear()),
        ("the owner", "manifest:", |file| file.manifest.organization_id = OTHER),
    ];
    for (what, said, harm) in harms {
        let mut file = whole.clone();
        harm(&mut file);
        let found = findings(&file);
        assert!(found.iter().any(|finding| finding.contains(said)), "{what}: {found:?}");
    }
}

#[test]
fn a_certificate_seals_only_for_its_node_and_its_time() {
    let authority = CertificateAuthority::generate(now()).unwrap();
    let mut file = document(&authority);
    let other = NodeId::from_u128(10);
    file.links.iter_mut().for_each(|link| link.node_id = other);
    file.manifest.chains[0].node_id = other;
    assert!(findings(&file).iter().any(|finding| finding.contains("another node")), "{:?}", findings(&file));
    let mut file = document(&authority);
    file.links[0].at = now().plus_millis(1000 * 86_400_000);
    assert!(findings(&file).iter().any(|finding| finding.contains("not valid at that time")));
}
