//! Rotation: what an issuer does not publish any more verifies for a while, so that tokens that it signed
//! a moment before are not refused.

use tidegate_types::Timestamp;
use tidegate_types::resource::IssuerKey;

/// Most keys that are kept of one issuer.
const MOST: usize = 128;

/// The keys after a fetch: the published ones, and for its time of grace each that was withdrawn.
pub(crate) fn merge(
    held: &[IssuerKey],
    published: Vec<IssuerKey>,
    now: Timestamp,
    grace_until: Timestamp,
) -> Vec<IssuerKey> {
    let withdrawn = held
        .iter()
        .filter(|key| published.iter().all(|new| new.kid != key.kid || new.material != key.material))
        .map(|key| IssuerKey { until: Some(key.until.unwrap_or(grace_until)), ..key.clone() })
        .filter(|key| key.until.is_some_and(|until| until > now))
        .collect::<Vec<_>>();
    let mut keys = published;
    keys.extend(withdrawn);
    keys.truncate(MOST);
    keys
}

#[cfg(test)]
mod tests {
    use tidegate_types::resource::IssuerKeyMaterial;

    use super::*;

    fn key(kid: &str, until: Option<i64>) -> IssuerKey {
        let material = IssuerKeyMaterial::Ed25519 { x: kid.to_owned() };
        IssuerKey { kid: kid.to_owned(), material, until: until.map(Timestamp::from_seconds) }
    }

    #[test]
    fn withdrawn_keys_stay_for_their_time_and_come_back_whole() {
        let at = |held: &[IssuerKey], published: Vec<IssuerKey>, now| {
            merge(held, published, Timestamp::from_seconds(now), Timestamp::from_seconds(now + 100))
        };
        let first = at(&[], vec![key("a", None)], 0);
        assert_eq!(first, [key("a", None)]);
        let second = at(&first, vec![key("b", None)], 10);
        assert_eq!(second, [key("b", None), key("a", Some(110))]);
        // A later look does not lengthen it.
        assert_eq!(at(&second, vec![key("b", None)], 50), second);
        assert_eq!(at(&second, vec![key("b", None)], 110), [key("b", None)]);
        assert_eq!(at(&second, vec![key("a", None), key("b", None)], 50), [key("a", None), key("b", None)]);
    }

    #[test]
    fn a_name_that_stands_for_another_key_withdraws_the_old_one() {
        let mut other = key("a", None);
        other.material = IssuerKeyMaterial::Ed25519 { x: "other".to_owned() };
        let merged = merge(
            &[key("a", None)],
            vec![other.clone()],
            Timestamp::from_seconds(0),
            Timestamp::from_seconds(9),
        );
        assert_eq!(merged, [other, key("a", Some(9))]);
    }
}
