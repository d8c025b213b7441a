//! A decision's JSON form, written by hand: it is hashed for every call, and serde looks at each character of
//! ids that need no escapes. The same bytes as serde's, which a test compares.

use std::io::Write as _;

use serde::Serialize;
use tidegate_types::Id;
use tidegate_types::id::IdKind;
use tidegate_types::usage::{AttemptDecision, CallOutcome, Decision};

/// Appends the JSON of `decision`. What it is made of is named here in full: a field that is added is missed by
/// the compiler, not by whoever verifies.
pub(super) fn write(out: &mut Vec<u8>, decision: &Decision) -> serde_json::Result<()> {
    let Decision {
        call_id,
        at,
        organization_id,
        team_id,
        key_id,
        zdr,
        inference_regions,
        revision,
        outcome,
        status,
        attempts,
    } = decision;
    id(out, "{\"call_id\":", *call_id);
    // A vector grows on demand: writing has no reason to fail.
    let _ = write!(out, ",\"at\":\"{at}\"");
    id(out, ",\"organization_id\":", *organization_id);
    id(out, ",\"team_id\":", *team_id);
    id(out, ",\"key_id\":", *key_id);
    plain(out, ",\"zdr\":", zdr.as_str());
    if let Some(regions) = inference_regions {
        value(out, ",\"inference_regions\":", regions)?;
    }
    value(out, ",\"revision\":", revision)?;
    match outcome {
        CallOutcome::Answered => out.extend_from_slice(b",\"outcome\":{\"outcome\":\"answered\"}"),
        other => value(out, ",\"outcome\":", other)?,
    }
    value(out, ",\"status\":", status)?;
    out.extend_from_slice(b",\"attempts\":[");
    for (place, attempt) in attempts.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_attempt(out, attempt)?;
    }
    out.extend_from_slice(b"]}");
    Ok(())
}

fn write_attempt(out: &mut Vec<u8>, attempt: &AttemptDecision) -> serde_json::Result<()> {
    let AttemptDecision { provider_id, offering_id, credential_id, credential_type, status, evidence } =
        attempt;
    id(out, "{\"provider_id\":", *provider_id);
    id(out, ",\"offering_id\":", *offering_id);
    if let Some(credential_id) = credential_id {
        id(out, ",\"credential_id\":", *credential_id);
    }
    value(out, ",\"credential_type\":", credential_type)?;
    value(out, ",\"status\":", status)?;
    value(out, ",\"evidence\":", evidence)?;
    out.push(b'}');
    Ok(())
}

/// A member whose text is known to need no escapes.
fn plain(out: &mut Vec<u8>, key: &'static str, text: &'static str) {
    out.extend_from_slice(key.as_bytes());
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn id<K: IdKind>(out: &mut Vec<u8>, key: &'static str, id: Id<K>) {
    out.extend_from_slice(key.as_bytes());
    out.push(b'"');
    out.extend_from_slice(K::PREFIX.as_bytes());
    out.push(b'_');
    out.extend_from_slice(&id.ulid_bytes());
    out.push(b'"');
}

fn value(out: &mut Vec<u8>, key: &'static str, value: &impl Serialize) -> serde_json::Result<()> {
    out.extend_from_slice(key.as_bytes());
    serde_json::to_writer(out, value)
}

#[cfg(test)]
mod tests {
    use tidegate_types::resource::ZdrTier;
    use tidegate_types::usage::{CredentialType, Evidence, RefusalCause};
    use tidegate_types::{Revision, Shard, Timestamp};

    use super::*;

    fn attempt(credential: Option<u128>, evidence: Vec<Evidence>) -> AttemptDecision {
        AttemptDecision {
            provider_id: Id::from_u128(5),
            offering_id: Id::from_u128(u128::MAX),
            credential_id: credential.map(Id::from_u128),
            credential_type: if credential.is_some() {
                CredentialType::System
            } else {
                CredentialType::Client
            },
            status: 503,
            evidence,
        }
    }

    #[test]
    fn the_bytes_are_serdes() {
        let refused = CallOutcome::Refused { cause: RefusalCause::Budget, budget_id: None };
        let capped = CallOutcome::Refused { cause: RefusalCause::Budget, budget_id: Some(Id::from_u128(9)) };
        let outcomes =
            [CallOutcome::Answered, CallOutcome::Disconnected, CallOutcome::Broken, refused, capped];
        let tiers = [ZdrTier::None, ZdrTier::NoTraining, ZdrTier::ZdrWithSafetyRetention, ZdrTier::Zdr];
        let tried =
            [vec![], vec![attempt(None, vec![])], vec![attempt(Some(1), vec![]), attempt(None, vec![])]];
        for outcome in outcomes {
            for zdr in tiers {
                for (attempts, regions) in tried.iter().zip([None, Some("eu"), Some("eu,us")]) {
                    let decision = Decision {
                        call_id: Id::from_parts(1_763_000_000_000, 1 << 79),
                        at: Timestamp::from_micros(1_763_000_000_123_400),
                        organization_id: Id::from_u128(1),
                        team_id: Id::from_u128(2),
                        key_id: Id::from_u128(3),
                        zdr,
                        inference_regions: regions.map(|areas| areas.parse().unwrap()),
                        revision: Revision { shard: Shard::SYSTEM, n: u64::MAX },
                        outcome,
                        status: 200,
                        attempts: attempts.clone(),
                    };
                    let mut written = Vec::new();
                    write(&mut written, &decision).unwrap();
                    assert_eq!(written, serde_json::to_vec(&decision).unwrap(), "{decision:?}");
                }
            }
        }
    }
}
