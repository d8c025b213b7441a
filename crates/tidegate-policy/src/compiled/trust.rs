//! Trust rules stay as they are written. A closed one is left out, so that its tokens are refused.

use tidegate_types::resource::{TrustRule, bound_organization};

use super::{Piece, text};
use crate::reason::Reason;

/// Most values of one claim.
const MOST_VALUES: usize = 100;
/// Longest life of a token that a rule may allow: a year.
const LONGEST_LIFE: u32 = 31_622_400;

impl Piece for TrustRule {
    type Source = Self;
    const MOST: usize = 1_000;

    fn faults(source: &Self) -> Vec<Reason> {
        let mut faults = Vec::new();
        text::name("name", &source.name, &mut faults);
        issuer("issuer", &source.issuer, &mut faults);
        text::token("audience", &source.audience, &mut faults);
        if bound_organization(&source.audience).is_some_and(|named| named != source.organization_id) {
            faults.push(Reason::new("audience", "ends with the id of another organization"));
        }
        text::at_most("claims", source.claims.len(), 20, &mut faults);
        for (name, values) in &source.claims {
            text::token("claims", name, &mut faults);
            if values.is_empty() || values.len() > MOST_VALUES {
                faults.push(Reason::new("claims", format!("each has 1 to {MOST_VALUES} values")));
            }
            if values.iter().any(|value| value.len() > 1024 || value.chars().any(char::is_control)) {
                faults
                    .push(Reason::new("claims", "a value is at most 1024 bytes without control characters"));
            }
        }
        if let Some(claim) = &source.principal_claim {
            text::token("principal_claim", claim, &mut faults);
        }
        if !(60..=LONGEST_LIFE).contains(&source.longest_life_seconds) {
            faults.push(Reason::new("longest_life_seconds", format!("must be 60 to {LONGEST_LIFE}")));
        }
        text::at_most("keys", source.keys.len(), 128, &mut faults);
        faults
    }

    fn weight(source: &Self) -> usize {
        let claim = |(name, values): (&String, &Vec<String>)| {
            name.len() + values.iter().map(String::len).sum::<usize>()
        };
        source.issuer.len() + source.claims.iter().map(claim).sum::<usize>() + source.keys.len() * 1_024
    }

    fn build(source: Self, _n: u64) -> Self {
        source
    }

    fn close(self) -> Self {
        self
    }
}

/// An issuer is a URL without query and fragment (OpenID Connect Discovery 1.0 section 3). Plain HTTP is
/// for issuers that the operator lists as private.
pub(super) fn issuer(field: &'static str, text: &str, faults: &mut Vec<Reason>) {
    text::token(field, text, faults);
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/') || rest.contains(['?', '#', '@'])) {
        faults.push(Reason::new(field, "must be the issuer's URL, without user, query and fragment"));
    }
}
