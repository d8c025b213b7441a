//! What the nodes of a pool tell one another of their providers: who is to be left alone, and how models
//! fare. Told and heard in batches beside the requests' way; a node that cannot reach the others knows
//! what it sees itself. Ids and numbers only.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tidegate_limits::{Board, Heard, Limiter};
use tidegate_policy::Quota;
use tidegate_types::{CredentialId, ModelId, OfferingId, OrganizationId, ProviderId, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::health::{Health, LONGEST};
use crate::quotas::Change;
use crate::vitals::Seen;

/// Between two trips.
const PAUSE: Duration = Duration::from_millis(200);
/// How models fared longer ago than this says nothing to somebody who begins to listen.
const RECENT_MS: i64 = 10_000;
/// So many trips between two tellings of how models fare.
const VITALS_EVERY: u32 = 5;

/// What is told at once. Fields are only ever added, optional: nodes of two versions understand one another.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    /// Who tells it: a number of each process's own.
    from: u64,
    /// In the store's time.
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cool: Vec<Cool>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    seen: Vec<Fares>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left: Vec<Left>,
}

/// A credential at an offering that is to be left alone, or no more.
#[derive(Debug, Serialize, Deserialize)]
struct Cool {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credential: Option<CredentialId>,
    offering: OfferingId,
    /// In the store's time; absent: it answers again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

/// What a credential has left of its quota at an offering, by what its provider said.
#[derive(Debug, Serialize, Deserialize)]
struct Left {
    credential: CredentialId,
    offering: OfferingId,
    /// Whose credential it is; absent: a node of an earlier release does not say.
    #[serde(default = "nobody")]
    owner: OrganizationId,
    /// How many tenths of its share it gets; 10: all of it.
    tenths: u8,
    /// In the store's time.
    until: Timestamp,
}

/// The owner of what comes without one: they share the room of one organization.
const fn nobody() -> OrganizationId {
    OrganizationId::from_u128(u128::MAX)
}

/// How a model fared at a provider since the last time.
#[derive(Debug, Serialize, Deserialize)]
struct Fares {
    provider: ProviderId,
    model: ModelId,
    #[serde(flatten)]
    seen: Seen,
}

/// Tells and hears until `stopping`.
pub(crate) async fn share(
    health: Arc<Health>,
    limiter: Limiter,
    entropy: fn() -> u128,
    stopping: CancellationToken,
) {
    let from = entropy() as u64;
    let (mut heard, mut round) = (Heard::default(), 0u32);
    while tokio::time::timeout(PAUSE, stopping.cancelled()).await.is_err() {
        round = round.wrapping_add(1);
        let note = news(&health, from, limiter.now(), round.is_multiple_of(VITALS_EVERY));
        // What cannot be told is not told again: it is soon out of date.
        let Ok(notes) = limiter.tell(Board::News, note.as_deref().as_slice(), &mut heard).await else {
            continue;
        };
        let now = limiter.now();
        for note in notes.iter().filter_map(|note| serde_json::from_slice::<Note>(note).ok()) {
            if note.from != from {
                hear(&health, note, now, entropy);
            }
        }
    }
}

/// What there is to tell; `None`: nothing.
fn news(health: &Health, from: u64, now: Timestamp, vitals: bool) -> Option<Vec<u8>> {
    let present = Instant::now();
    let at = |until: Instant| {
        let left = i64::try_from(until.saturating_duration_since(present).as_millis());
        now.plus_millis(left.unwrap_or(0))
    };
    let cool = |((credential, offering), until): ((Option<CredentialId>, OfferingId), Option<Instant>)| {
        Cool { credential, offering, until: until.map(at) }
    };
    let left = |((credential, offering), owner, quota, until): Change| Left {
        credential,
        offering,
        owner,
        tenths: quota.tenths(),
        until: at(until),
    };
    let seen = if vitals { health.measured.take_seen() } else { Vec::new() };
    let note = Note {
        from,
        at: now,
        cool: health.take_told().into_iter().map(cool).collect(),
        seen: seen.into_iter().map(|((provider, model), seen)| Fares { provider, model, seen }).collect(),
        left: health.quotas.take_told().into_iter().map(left).collect(),
    };
    let silent = note.cool.is_empty() && note.seen.is_empty() && note.left.is_empty();
    (!silent).then(|| serde_json::to_vec(&note).ok()).flatten()
}

fn hear(health: &Health, note: Note, now: Timestamp, entropy: fn() -> u128) {
    let present = Instant::now();
    for Cool { credential, offering, until } in note.cool {
        let place = (credential, offering);
        let Some(until) = until else {
            health.warm_place(&place);
            continue;
        };
        let left = u64::try_from(until.millis_since(now)).unwrap_or(0);
        if left > 0 {
            // Up to a tenth later, so that the nodes do not all come back at once.
            let left = Duration::from_millis(left).min(LONGEST);
            let jitter = left.mul_f64((entropy() % 1_000) as f64 / 10_000.0);
            health.cool_place(place, present + left + jitter);
        }
    }
    for Left { credential, offering, owner, tenths, until } in note.left {
        let left = Duration::from_millis(u64::try_from(until.millis_since(now)).unwrap_or(0));
        let (account, until) = ((credential, offering), present + left.min(LONGEST));
        health.quotas.hear((account, owner, Quota::of_tenths(tenths), until));
    }
    if now.millis_since(note.at) > RECENT_MS {
        return;
    }
    for Fares { provider, model, seen } in note.seen {
        health.measured.hear(provider, model, seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota_headers::Left;

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn place() -> (Option<CredentialId>, OfferingId) {
        (Some(CredentialId::from_u128(1)), OfferingId::from_u128(2))
    }

    fn told(cool: Vec<Cool>, seen: Vec<Fares>) -> Note {
        let note = Note { from: 7, at: NOW, cool, seen, left: vec![] };
        serde_json::from_slice(&serde_json::to_vec(&note).unwrap()).unwrap()
    }

    #[test]
    fn what_one_node_sees_the_other_knows() {
        let (one, other) = (Health::default(), Health::default());
        let (provider, model) = (ProviderId::from_u128(3), ModelId::from_u128(4));
        assert!(news(&one, 1, NOW, true).is_none(), "nothing to tell");
        for _ in 0..12 {
            one.measured.note(provider, model, None, true);
        }
        one.measured.completed(provider, model, 50, Duration::from_millis(500));
        let note = news(&one, 1, NOW, true).unwrap();
        hear(&other, serde_json::from_slice(&note).unwrap(), NOW, || 0);
        assert_eq!(other.measured.of(provider, model), one.measured.of(provider, model));
        assert_eq!(other.measured.of(provider, model).condition, tidegate_policy::Condition::Down);
        assert!(news(&one, 1, NOW, true).is_none(), "told once");
        assert!(news(&other, 2, NOW, true).is_none(), "what was heard is not told on");
        // Somebody who begins to listen a minute later is not told of what is over.
        let late = Health::default();
        hear(&late, serde_json::from_slice(&note).unwrap(), NOW.plus_millis(60_000), || 0);
        assert_eq!(late.measured.of(provider, model), tidegate_policy::Vitals::default());
    }

    #[test]
    fn a_cool_down_is_heard_until_its_end_and_no_longer() {
        let health = Health::default();
        let (credential, offering) = place();
        let cool = |until| told(vec![Cool { credential, offering, until }], vec![]);
        hear(&health, cool(Some(NOW.plus_millis(-1))), NOW, || 0);
        assert!(!health.warm_place(&place()), "it was over when it was heard");
        hear(&health, cool(Some(NOW.plus_millis(60_000))), NOW, || 0);
        hear(&health, cool(None), NOW, || 0);
        assert!(!health.warm_place(&place()), "it answered again");
        hear(&health, cool(Some(NOW.plus_millis(60_000))), NOW, || 0);
        assert!(health.warm_place(&place()));
    }

    #[test]
    fn a_credential_that_has_little_left_on_one_node_has_little_left_on_all() {
        let (one, other) = (Health::default(), Health::default());
        let account = (CredentialId::from_u128(1), OfferingId::from_u128(2));
        one.quotas.note(
            OrganizationId::SYSTEM,
            account,
            &Left::Little(Quota::of_tenths(2), Duration::from_secs(60)),
        );
        let note = news(&one, 1, NOW, false).unwrap();
        let heard = |at| hear(&other, serde_json::from_slice(&note).unwrap(), at, || 0);
        heard(NOW.plus_millis(61_000));
        assert_eq!(other.quotas.of(account), Quota::FULL, "that was over");
        heard(NOW);
        assert_eq!(other.quotas.of(account), Quota::of_tenths(2));
        one.quotas.note(OrganizationId::SYSTEM, account, &Left::Plenty);
        let note = news(&one, 1, NOW, false).unwrap();
        hear(&other, serde_json::from_slice(&note).unwrap(), NOW, || 0);
        assert_eq!(other.quotas.of(account), Quota::FULL);
    }

    #[test]
    fn nonsense_is_not_heard() {
        for odd in ["", "{}", "[]", r#"{"from":1,"at":"x"}"#] {
            assert!(serde_json::from_slice::<Note>(odd.as_bytes()).is_err(), "{odd}");
        }
        let mut newer = serde_json::to_value(told(vec![], vec![])).unwrap();
        newer["weather"] = "fine".into();
        assert!(serde_json::from_value::<Note>(newer).is_ok(), "a newer node may say more");
    }
}
