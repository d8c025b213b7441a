//! What a request asks of routing: which providers, in which order, which models after the first.
//! Borrowed from the request; a call without wishes costs nothing.

use tidegate_types::ProviderSlug;
use tidegate_types::resource::{Area, Capabilities};

/// By what providers are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// What a call of this size would cost at most, the cheapest first.
    Cost,
    /// Time to the first event, the shortest first.
    Ttft,
    /// Output tokens per second, the most first.
    Tps,
}

/// A request's wishes. All lists empty: none.
#[derive(Debug, Clone, Copy)]
pub struct Wishes<'a> {
    /// Only these providers.
    pub only: &'a [String],
    /// These providers first, in this order; the others follow.
    pub order: &'a [String],
    /// How providers are ranked otherwise.
    pub sort: Option<Sort>,
    /// Names of models to fall back on, each with all of its providers.
    pub models: &'a [String],
    /// What the model must be able to do, whether or not the request makes use of it.
    pub has: Capabilities,
    /// Home countries of providers: all plain, or all excluded by a leading `!`.
    pub headquarters: &'a [String],
    /// Where the model must run; `None`: anywhere.
    pub within: Option<Area>,
}

impl Wishes<'_> {
    /// No wishes.
    pub const NONE: Self = Wishes {
        only: &[],
        order: &[],
        sort: None,
        models: &[],
        has: Capabilities { tools: false, vision: false, reasoning: false, structured_output: false },
        headquarters: &[],
        within: None,
    };

    pub(crate) fn allows(&self, provider: &ProviderSlug) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| means(name, provider))
    }

    /// Place in the caller's order; the last one for those that it does not name.
    pub(crate) fn place(&self, provider: &ProviderSlug) -> u16 {
        let place = self.order.iter().position(|name| means(name, provider));
        place.and_then(|place| u16::try_from(place).ok()).unwrap_or(u16::MAX)
    }

    /// Whether a provider of this home is meant; one whose home is unknown never is.
    pub(crate) fn is_home(&self, country: Option<&str>) -> bool {
        is_home(self.headquarters, country)
    }
}

/// Whether a list of homes, all plain or all excluded, means one. Empty: it means every one, an unknown one too.
pub(super) fn is_home(list: &[String], country: Option<&str>) -> bool {
    if list.is_empty() {
        return true;
    }
    let Some(country) = country else { return false };
    let excluded = list.iter().any(|code| code.starts_with('!'));
    let named = list.iter().any(|code| code.trim_start_matches('!') == country);
    named != excluded
}

impl Sort {
    /// As requests write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cost => "cost",
            Self::Ttft => "ttft",
            Self::Tps => "tps",
        }
    }

    /// From a request's word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Cost, Self::Ttft, Self::Tps].into_iter().find(|sort| sort.as_str() == word)
    }
}

/// Whether the caller's name means this provider. A simulated one, `sim-x`, stands in for `x`: what is
/// written for the real provider is understood where only its stand-in is there.
fn means(name: &str, provider: &ProviderSlug) -> bool {
    let slug = provider.as_str();
    slug == name || slug.strip_prefix("sim-") == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_is_meant_by_the_name_of_whom_it_stands_for() {
        let slug = |text: &str| text.parse::<ProviderSlug>().unwrap();
        for (name, provider, meant) in [
            ("anthropic", "anthropic", true),
            ("anthropic", "sim-anthropic", true),
            ("sim-anthropic", "anthropic", false),
            ("anthropic", "bedrock", false),
            ("", "sim-anthropic", false),
        ] {
            assert_eq!(means(name, &slug(provider)), meant, "{name} {provider}");
        }
    }
}
