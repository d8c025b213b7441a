//! Usage of an attempt: as reported, else counted as an upper bound. Pure.

use tidegate_types::usage::{MeterMethod, Usage};

use crate::grant::Grant;

/// Output tokens that may be on their way when a stream is cut.
pub(crate) const ABORT_LAG: u64 = 64;

/// Usage of a complete answer.
pub(crate) fn completed(reported: Option<Usage>, visible_bytes: u64, grant: &Grant) -> (MeterMethod, Usage) {
    match reported {
        Some(usage) => (MeterMethod::Reported, Usage { requests: 1, ..usage }),
        None => (MeterMethod::Counted, counted(visible_bytes, grant)),
    }
}

/// Usage of an answer that broke off: input as reported when it was, output as counted, and
/// never less than what the provider had reported so far.
pub(crate) fn interrupted(reported: Option<Usage>, visible_bytes: u64, grant: &Grant) -> Usage {
    let seen = counted(visible_bytes.saturating_add(ABORT_LAG), grant);
    match reported {
        Some(usage) => {
            Usage { output_tokens: usage.output_tokens.max(seen.output_tokens), requests: 1, ..usage }
        }
        None => seen,
    }
}

/// A token is at least one byte; more than was granted cannot have come.
fn counted(visible_bytes: u64, grant: &Grant) -> Usage {
    Usage {
        input_tokens: grant.input_tokens,
        output_tokens: visible_bytes.min(grant.all_output()),
        requests: 1,
        ..Usage::default()
    }
}

#[cfg(test)]
mod tests {
    use tidegate_types::NanoUsd;

    use super::*;

    const GRANT: Grant = Grant {
        input_tokens: 100,
        output_tokens: 200,
        answers: 2,
        limit: None,
        named: true,
        beyond: Usage::from_counts([0; 16]),
        least: 200,
        amount: NanoUsd::ZERO,
        step: None,
        usual: None,
    };

    #[test]
    fn reported_usage_is_taken_as_it_is() {
        let usage = Usage { input_tokens: 7, output_tokens: 1_000, ..Usage::default() };
        assert_eq!(
            completed(Some(usage), 5, &GRANT),
            (MeterMethod::Reported, Usage { requests: 1, ..usage })
        );
    }

    #[test]
    fn missing_usage_is_counted_within_the_grant() {
        let (method, usage) = completed(None, 50, &GRANT);
        assert_eq!((method, usage.input_tokens, usage.output_tokens), (MeterMethod::Counted, 100, 50));
        assert_eq!(completed(None, 5_000, &GRANT).1.output_tokens, 400);
    }

    #[test]
    fn an_interrupted_answer_counts_at_least_what_was_seen_and_reported() {
        let reported = Usage { input_tokens: 7, output_tokens: 300, ..Usage::default() };
        assert_eq!(interrupted(Some(reported), 10, &GRANT).output_tokens, 300);
        assert_eq!(interrupted(Some(reported), 10, &GRANT).input_tokens, 7);
        assert_eq!(interrupted(None, 10, &GRANT).output_tokens, 74);
    }
}
