//! The filter of home countries: where policies and request want a provider to be at home against what the
//! catalogue says of it. What a candidate was allowed by goes into the call's signed decision.

use std::sync::Arc;

use tidegate_types::resource::{Areas, Provider, ZdrTier};
use tidegate_types::usage::Evidence;

use super::candidates::Search;
use super::filter::Asker;
use super::wishes::is_home;

/// The catalogue's word is taken at the call's beginning and holds for its attempts: longer than any call.
const ONE_DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// Codes of countries that evidence repeats at most.
const MOST_CODES: usize = 64;

impl Search<'_, '_> {
    /// Who wants it elsewhere than it is.
    pub(super) fn home_denied(&self, provider: &Provider) -> Option<Asker> {
        let home = provider.headquarters.as_deref();
        let denying = self.demands.policies.iter().find(|policy| !is_home(&policy.headquarters, home));
        let policy = denying.map(|policy| Asker::Policy(Arc::clone(&policy.name)));
        policy.or_else(|| (!self.facts.wishes.is_home(home)).then_some(Asker::Request))
    }

    /// What was demanded of its home and what that is, of a provider that passed; `None`: nothing was.
    pub(super) fn home_evidence(&self, provider: &Provider) -> Option<Arc<Evidence>> {
        let of_policies = self.demands.policies.iter().flat_map(|policy| policy.headquarters.iter());
        let codes = of_policies.chain(self.facts.wishes.headquarters).map(String::as_str);
        let mut codes: Vec<&str> = codes.filter(|code| is_code(code)).collect();
        let home = provider.headquarters.as_deref().filter(|_| !codes.is_empty())?;
        codes.sort_unstable();
        codes.dedup();
        let more = match codes.len().saturating_sub(MOST_CODES) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        codes.truncate(MOST_CODES);
        Some(Arc::new(Evidence {
            feature: None,
            tier: ZdrTier::None,
            areas: Areas::NONE,
            source: format!(
                "headquarters of {}: {home}; demanded: {}{more}",
                provider.slug,
                codes.join(", ")
            ),
            read_at: self.now,
            expires_at: self.now.plus_millis(ONE_DAY_MS),
        }))
    }
}

/// `DE` or `!DE`. Nothing else of what requests write may come into a record.
fn is_code(text: &str) -> bool {
    let code = text.strip_prefix('!').unwrap_or(text);
    code.len() == 2 && code.bytes().all(|letter| letter.is_ascii_uppercase())
}
