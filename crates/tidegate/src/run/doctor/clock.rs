//! How far clocks are apart.

use super::finding::Findings;

/// Windows of budgets come from Redis' clock, tokens and certificates from this machine's: up to here nobody
/// notices.
const UNNOTICED_MICROS: i64 = 1_000_000;
/// Callers' tokens are judged with so much tolerance.
const TOO_FAR_MICROS: i64 = 30_000_000;

/// Notes how far a server's clock is ahead of ours, give or take `error` (microseconds).
pub(super) fn note(check: String, ahead: i64, error: i64, findings: &mut Findings) {
    let apart = ahead.abs().saturating_sub(error);
    let side = if ahead < 0 { "behind" } else { "ahead of" };
    let saw =
        format!("{} ms {side} this machine's clock, give or take {} ms", ahead.abs() / 1_000, error / 1_000);
    let advice = "set the clocks of both machines by NTP";
    if apart <= UNNOTICED_MICROS {
        findings.ok(check, saw);
    } else if apart <= TOO_FAR_MICROS {
        findings.warning(check, saw, advice);
    } else {
        findings.failed(check, saw, advice);
    }
}
