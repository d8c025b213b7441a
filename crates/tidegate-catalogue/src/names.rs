//! From what a provider calls a model to our `creator/name`.
//!
//! The same model gets the same name wherever it is offered, as far as its maker can be told from
//! the name. Otherwise the provider's own slug stands for the creator: no guess joins two models.

use tidegate_types::ModelName;

use crate::rules::{ProviderRule, Rules};

/// Parts of addresses before the model.
const PATHS: [&str; 4] = ["accounts/fireworks/models/", "@cf/", "models/", "publishers/google/models/"];
/// Regions before a creator at Bedrock.
const REGIONS: [&str; 7] = ["global.", "us.", "eu.", "apac.", "jp.", "au.", "us-gov."];

/// Our name of a model; none where its name has characters that ours cannot have.
pub(crate) fn named(rules: &Rules, provider: &ProviderRule, upstream: &str) -> Option<ModelName> {
    let path = PATHS.iter().find_map(|path| upstream.strip_prefix(path)).unwrap_or(upstream);
    let (creator, name) = split(rules, provider, path);
    let mut name = undated(&name.to_ascii_lowercase()).to_owned();
    if provider.import.p_is_dot {
        name = dotted(&name, 'p');
    }
    if creator == "meta" {
        name = name.trim_start_matches("meta-").to_owned();
    }
    if creator == "anthropic" {
        name = dotted(name.trim_end_matches("-latest"), '-');
    }
    format!("{creator}/{name}").parse().ok()
}

/// The last part of a name in the form in which names of one model are alike everywhere.
pub(crate) fn bare(upstream: &str) -> String {
    let last = upstream.rsplit('/').next().unwrap_or(upstream);
    let region = REGIONS.iter().find_map(|region| last.strip_prefix(region)).unwrap_or(last);
    let name = match region.split_once('.') {
        Some((creator, name)) if creator.bytes().all(|b| b.is_ascii_lowercase()) && creator.len() > 2 => name,
        _ => region,
    };
    let name = undated(name).to_ascii_lowercase();
    name.trim_end_matches("-latest").replace(['.', '_'], "-")
}

fn split<'a>(rules: &Rules, provider: &ProviderRule, path: &'a str) -> (String, &'a str) {
    let import = &provider.import;
    if let Some((before, name)) = path.rsplit_once('/') {
        let creator = before.rsplit('/').next().unwrap_or(before);
        return (creator_of(rules, creator), name);
    }
    if import.dotted_creators {
        let plain = REGIONS.iter().find_map(|region| path.strip_prefix(region)).unwrap_or(path);
        if let Some((creator, name)) = plain.split_once('.') {
            return (creator_of(rules, creator), name);
        }
    }
    if let Some(creator) = &import.creator {
        return (creator.clone(), path);
    }
    let lower = path.to_ascii_lowercase();
    let family = rules.families.iter().filter(|(prefix, _)| lower.starts_with(prefix.as_str()));
    let longest = family.max_by_key(|(prefix, _)| prefix.len());
    let creator = longest.map_or_else(|| provider.slug.as_str().to_owned(), |(_, creator)| creator.clone());
    (creator, path)
}

fn creator_of(rules: &Rules, written: &str) -> String {
    let lower = written.to_ascii_lowercase();
    rules.creators.get(&lower).cloned().unwrap_or_else(|| lower.replace(['_', '.'], "-"))
}

/// Without `-v1:0`, `@20251001` and `-20251001` at the end.
fn undated(name: &str) -> &str {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    // Vectors of two versions do not mix: there the version is part of the name.
    if name.contains("embed") && name.contains(':') {
        return name.split_once(':').map_or(name, |(name, _)| name);
    }
    let name = match name.rsplit_once("-v") {
        Some((name, version)) if version.contains(':') && is_version(version) => name,
        _ => name,
    };
    let name = match name.rsplit_once('-') {
        Some((name, version)) if version.contains(':') && is_version(version) => name,
        _ => name,
    };
    match name.rsplit_once('-') {
        Some((name, date)) if date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => name,
    }
}

fn is_version(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || b == b':')
}

/// `4-5` as 4.5, where `separator` stands between single digits.
fn dotted(name: &str, separator: char) -> String {
    let chars: Vec<char> = name.chars().collect();
    let digit = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(char::is_ascii_digit);
    let dot = |at: usize| {
        let alone = !digit(at.checked_sub(2)) && !digit(at.checked_add(2));
        digit(at.checked_sub(1)) && digit(at.checked_add(1)) && alone
    };
    chars.iter().enumerate().map(|(at, c)| if *c == separator && dot(at) { '.' } else { *c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_written_with_dots() {
        assert_eq!(dotted("claude-sonnet-4-5", '-'), "claude-sonnet-4.5");
        assert_eq!(dotted("claude-3-5-haiku", '-'), "claude-3.5-haiku");
        assert_eq!(dotted("claude-opus-4", '-'), "claude-opus-4");
        assert_eq!(dotted("deepseek-v4p1-flash", 'p'), "deepseek-v4.1-flash");
        assert_eq!(dotted("gpt-oss-120b", '-'), "gpt-oss-120b");
    }

    #[test]
    fn one_model_has_one_bare_name() {
        let names = [
            "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "claude-sonnet-4-5@20250929",
            "anthropic/claude-sonnet-4.5",
            "claude-sonnet-4-5",
        ];
        for name in names {
            assert_eq!(bare(name), "claude-sonnet-4-5", "{name}");
        }
        assert_eq!(bare("us.cohere.embed-v4:0"), "embed-v4", "vectors of versions do not mix");
        assert_eq!(bare("accounts/fireworks/models/glm-4p7"), "glm-4p7");
    }
}
