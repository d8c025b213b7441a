//! Credentials of one owner and position share an offering's calls by their weights, and by what is
//! left of their quotas. Highest random weight: who is drawn is decided by the call's draw and the
//! credential's id, so the calls of a session stay where they are when others come, go or run dry.

use tidegate_types::usage::CallShare;

use super::order::Candidates;
use super::outcome::Candidate;

/// Orders those who share calls by `draw`, which is uniform over all of `u64`. The candidates are in the
/// order of their ranks. Where nobody of a rank has a weight, nothing is drawn.
pub(crate) fn share_out(candidates: &mut Candidates, draw: u64) {
    if candidates.len() < 2 {
        return;
    }
    for equals in candidates.chunk_by_mut(belong_together) {
        if equals.len() < 2 || equals.iter().all(|member| weight_of(member).is_none()) {
            continue;
        }
        let of = equals.iter().map(|member| u64::from(weight_of(member).unwrap_or(1))).sum();
        for member in equals.iter_mut() {
            member.share = Some(CallShare { weight: weight_of(member).unwrap_or(1), of });
        }
        equals.sort_by_cached_key(|member| (delay(member, draw).to_bits(), member.credential_bits()));
    }
}

fn belong_together(one: &Candidate, other: &Candidate) -> bool {
    one.offering.id == other.offering.id && one.rank == other.rank
}

fn weight_of(candidate: &Candidate) -> Option<u32> {
    candidate.credential.as_ref().and_then(|credential| credential.weight)
}

/// Exponentially distributed, the shorter the greater the weight: whose is the shortest comes first. Never
/// negative, so that its bits sort as it does.
fn delay(member: &Candidate, draw: u64) -> f64 {
    let id = member.credential_bits();
    let mixed = mix(draw ^ mix(id as u64 ^ mix((id >> 64) as u64)));
    // Of 53 bits, and never 0 or 1.
    let uniform = ((mixed >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    // Where nobody has quota left, nobody has more than another.
    let tenths = f64::from(member.quota.tenths().max(1));
    let weight = f64::from(weight_of(member).unwrap_or(1).max(1)) * tenths;
    -uniform.ln() / weight
}

/// SplitMix64's last step (Steele, Lea and Flood 2014): every bit depends on every other.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}
