//! Virtual keys and tokens: only the whole, exact text is accepted.

use proptest::prelude::*;
use tidegate_secrets::token::{self, TokenKind};
use tidegate_secrets::virtual_key::{self, PepperBytes, Peppers};
use tidegate_types::resource::KeySecret;
use tidegate_types::{KeyId, Secret, ServiceTokenId};

fn pepper(version: u32) -> PepperBytes {
    PepperBytes { version, bytes: [version as u8; 32] }
}

fn peppers() -> Peppers {
    Peppers::new(&[pepper(1)]).unwrap()
}

fn issued() -> (Secret, KeySecret) {
    virtual_key::issue(KeyId::from_u128(7), [42; 32], &peppers())
}

fn accepted(text: &str, kept: &KeySecret, peppers: &Peppers) -> bool {
    virtual_key::parse(text).is_some_and(|key| key.matches(kept, peppers))
}

#[test]
fn a_key_is_accepted_by_what_was_kept_of_it_and_shows_its_id() {
    let (text, kept) = issued();
    let presented = virtual_key::parse(text.expose()).unwrap();
    assert_eq!(presented.id(), KeyId::from_u128(7));
    assert!(presented.matches(&kept, &peppers()));
    assert_eq!(text.expose().len(), 71);
    assert!(text.expose().starts_with("tg_00000000000000000000000007_"), "the id is readable");
    assert!(!virtual_key::matches_nobody(text.expose(), &peppers()));
}

#[test]
fn every_single_changed_character_is_refused() {
    let (text, kept) = issued();
    let text = text.expose();
    for place in 0..text.len() {
        for other in b'!'..=b'~' {
            let mut bytes = text.as_bytes().to_vec();
            if bytes[place] == other {
                continue;
            }
            bytes[place] = other;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(!accepted(&changed, &kept, &peppers()), "accepted with place {place} changed");
        }
        assert!(!accepted(&text[..place], &kept, &peppers()));
        assert!(!accepted(&format!("{text}{}", &text[..place + 1]), &kept, &peppers()));
    }
}

#[test]
fn a_key_of_the_same_id_with_another_secret_is_refused() {
    let (_, kept) = issued();
    let (other, _) = virtual_key::issue(KeyId::from_u128(7), [43; 32], &peppers());
    assert!(virtual_key::parse(other.expose()).is_some(), "it is well-formed");
    assert!(!accepted(other.expose(), &kept, &peppers()));
}

#[test]
fn what_was_kept_under_a_pepper_that_is_gone_fits_no_key() {
    let (text, mut kept) = issued();
    assert!(accepted(text.expose(), &kept, &peppers()));
    kept.pepper_version = 9;
    assert!(!accepted(text.expose(), &kept, &peppers()));
}

#[test]
fn a_hundred_thousand_hostile_authorization_values_never_match_and_never_panic() {
    let (text, kept) = issued();
    let peppers = peppers();
    // A small deterministic generator: hostile values are spliced from a real key and noise.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let alphabet: Vec<char> = "0123456789abcdefXYZ_tg-' \"\\;\u{0}\n\t%{}é漢😀".chars().collect();
    for round in 0..100_000u64 {
        let length = (next() % 90) as usize;
        let noise: String = (0..length).map(|_| alphabet[next() as usize % alphabet.len()]).collect();
        let cut = next() as usize % text.expose().len();
        let hostile = match round % 4 {
            0 => noise,
            1 => format!("{}{noise}", &text.expose()[..cut]),
            2 => format!("{noise}{}", &text.expose()[cut.max(1)..]),
            _ => format!("tg_{noise}"),
        };
        assert!(!accepted(&hostile, &kept, &peppers));
        assert!(!virtual_key::matches_nobody(&hostile, &peppers));
    }
    assert!(accepted(text.expose(), &kept, &peppers), "the real one still is accepted");
}

#[test]
fn a_pepper_change_keeps_old_keys_until_the_old_pepper_retires() {
    let (text, kept) = issued();
    let both = Peppers::new(&[pepper(2), pepper(1)]).unwrap();
    assert!(accepted(text.expose(), &kept, &both));
    let (newer, newer_kept) = virtual_key::issue(KeyId::from_u128(8), [1; 32], &both);
    assert_eq!(newer_kept.pepper_version, 2);
    assert!(accepted(newer.expose(), &newer_kept, &both));
    let retired = Peppers::new(&[pepper(2)]).unwrap();
    assert!(!accepted(text.expose(), &kept, &retired));
    assert!(Peppers::new(&[]).is_err());
    assert!(Peppers::new(&[pepper(1), pepper(1)]).is_err());
}

#[test]
fn two_tokens_that_share_a_long_prefix_share_nothing_else() {
    let id = ServiceTokenId::from_u128(5);
    let (one, one_hash) = token::issue(TokenKind::Service, id, [9; 32]);
    let (two, two_hash) = token::issue(TokenKind::Service, id, [8; 32]);
    let shared = one.expose().bytes().zip(two.expose().bytes()).take_while(|(a, b)| a == b).count();
    assert!(shared >= 31, "the prefix and id are shared: {shared}");
    assert_ne!(one_hash, two_hash);
    let presented =
        token::parse::<tidegate_types::id::kind::ServiceToken>(TokenKind::Service, two.expose()).unwrap();
    assert!(presented.matches(&two_hash) && !presented.matches(&one_hash));
    assert!(!presented.matches(&two_hash[..31]) && !presented.matches(&[]));
}

#[test]
fn a_token_of_one_kind_is_none_of_another() {
    let id = ServiceTokenId::from_u128(5);
    let (join, _) = token::issue(TokenKind::Join, id, [9; 32]);
    type Kind = tidegate_types::id::kind::ServiceToken;
    assert!(token::parse::<Kind>(TokenKind::Join, join.expose()).is_some());
    assert!(token::parse::<Kind>(TokenKind::Service, join.expose()).is_none());
    assert!(token::parse::<Kind>(TokenKind::Link, join.expose()).is_none());
    let renamed = join.expose().replacen("tgj", "tgs", 1);
    assert!(token::parse::<Kind>(TokenKind::Service, &renamed).is_none(), "the checksum covers the prefix");
}

proptest! {
    #[test]
    fn every_issued_key_reads_back(id in any::<u128>(), random in any::<[u8; 32]>()) {
        let (text, kept) = virtual_key::issue(KeyId::from_u128(id), random, &peppers());
        let presented = virtual_key::parse(text.expose()).unwrap();
        prop_assert_eq!(presented.id(), KeyId::from_u128(id));
        prop_assert!(presented.matches(&kept, &peppers()));
    }

    #[test]
    fn arbitrary_text_is_no_key(text in ".*") {
        prop_assert!(virtual_key::parse(&text).is_none());
    }
}
