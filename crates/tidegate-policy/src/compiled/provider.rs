//! Providers stay as they are written; a closed one is disabled.

use tidegate_types::resource::{Provider, sample_base_url};

use super::{Piece, text};
use crate::reason::Reason;

impl Piece for Provider {
    type Source = Self;
    const MOST: usize = 1_000;

    fn faults(source: &Self) -> Vec<Reason> {
        let mut faults = Vec::new();
        text::name("name", &source.name, &mut faults);
        text::token("base_url", &source.base_url, &mut faults);
        if let Err(error) = sample_base_url(&source.base_url) {
            faults.push(Reason::new("base_url", error.to_string()));
        }
        let rest = source.base_url.strip_prefix("https://").or(source.base_url.strip_prefix("http://"));
        let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or("");
        if host.is_empty() || host.contains('@') || source.base_url.contains(['?', '#']) {
            faults.push(Reason::new(
                "base_url",
                "must be http(s)://host[:port][/path] without user, query or fragment",
            ));
        }
        let two_letters = |c: &String| c.len() == 2 && c.bytes().all(|b| b.is_ascii_uppercase());
        if !source.headquarters.as_ref().is_none_or(two_letters) {
            faults.push(Reason::new("headquarters", "must be a two-letter country code such as US"));
        }
        faults
    }

    fn weight(source: &Self) -> usize {
        source.name.len() + source.base_url.len()
    }

    fn build(source: Self, _n: u64) -> Self {
        source
    }

    fn close(self) -> Self {
        Self { enabled: false, ..self }
    }
}
