//! Providers stay as they are written; a closed one is disabled.

use tidegate_types::resource::{DialectName, Operation, Provider, Quirks, sample_base_url};

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
        quirks(&source.quirks, &mut faults);
        faults
    }

    fn weight(source: &Self) -> usize {
        let quirks = &source.quirks;
        let paths = quirks.paths.iter().map(|(key, path)| key.len() + path.len());
        let fields = quirks.drops.iter().chain(&quirks.refuses).map(String::len);
        source.name.len() + source.base_url.len() + paths.chain(fields).sum::<usize>()
    }

    fn build(source: Self, _n: u64) -> Self {
        source
    }

    fn close(self) -> Self {
        Self { enabled: false, ..self }
    }
}

/// Paths of operations that there are, below the base URL; a plain query; fields by name.
fn quirks(quirks: &Quirks, faults: &mut Vec<Reason>) {
    let visible = |text: &str| text.len() <= 200 && text.bytes().all(|b| b.is_ascii_graphic());
    for (key, path) in &quirks.paths {
        if !is_operation(key) {
            faults.push(Reason::new("quirks.paths", format!("{key:.40?} is no operation, and no dialect")));
        }
        let rest = path.replace("{model}", "");
        if !path.starts_with('/')
            || !visible(path)
            || rest.contains(['{', '}', '#', '\\'])
            || path.contains("/..")
        {
            let message = "paths must begin with / and have no place but {model}";
            faults.push(Reason::new(format!("quirks.paths.{key:.40}"), message));
        }
    }
    if quirks.query.as_ref().is_some_and(|query| !visible(query) || query.contains(['?', '#'])) {
        faults.push(Reason::new("quirks.query", "must be a query without ? and #, in visible ASCII"));
    }
    for (field, names) in [("quirks.drops", &quirks.drops), ("quirks.refuses", &quirks.refuses)] {
        text::at_most(field, names.len(), 64, faults);
        if names.iter().any(|name| matches!(&**name, "" | "model" | "stream") || !visible(name)) {
            faults.push(Reason::new(field, "must be names of fields other than model and stream"));
        }
    }
}

/// What [`Quirks::paths`] has keys for: language models by dialect, all else by operation.
fn is_operation(key: &str) -> bool {
    let spoken = DialectName::ALL.into_iter().any(|dialect| dialect.as_str() == key);
    let others = [
        Operation::CountTokens,
        Operation::Embedding,
        Operation::Image,
        Operation::Speech,
        Operation::Transcription,
        Operation::Reranking,
        Operation::Video,
    ];
    spoken || others.into_iter().any(|operation| operation.as_str() == key)
}
