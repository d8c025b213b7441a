//! Every entry of the data is sound: a walk over all of them.

use std::collections::BTreeSet;

use tidegate_catalogue::{ProviderRule, Rules, builtin, midnight};
use tidegate_policy::compile_check;
use tidegate_types::Timestamp;
use tidegate_types::resource::{DialectName, Operation, Resource};

use crate::store::Store;

/// What can be asked of a provider in each dialect: what has a codec.
fn served(dialect: DialectName) -> &'static [Operation] {
    use Operation::{CountTokens, Embedding, Image, Language, Reranking, Speech, Transcription, Video};
    match dialect {
        DialectName::OpenaiChat => &[Language, Embedding, Image, Speech, Transcription, Reranking, Video],
        DialectName::AnthropicMessages => &[Language, CountTokens],
        DialectName::CohereChat => &[Language, Embedding, Reranking],
        DialectName::Gemini => &[Language, Embedding, Image, Video],
        DialectName::BedrockConverse => &[Language, Embedding],
        DialectName::OpenaiResponses => &[Language],
        DialectName::AiSdk => &[],
    }
}

fn rules() -> Vec<ProviderRule> {
    Rules::builtin().unwrap().providers
}

#[test]
fn there_are_more_than_forty_providers_each_with_a_slug_of_its_own() {
    let rules = rules();
    let slugs: BTreeSet<_> = rules.iter().map(|rule| rule.slug.clone()).collect();
    assert_eq!(slugs.len(), rules.len());
    assert!(slugs.len() > 40, "{}", slugs.len());
}

#[test]
fn every_provider_is_reached_encrypted_unless_it_is_local() {
    for rule in rules() {
        assert_eq!(rule.base_url.starts_with("https://"), !rule.local, "{}", rule.slug);
        assert!(!rule.base_url.ends_with('/'), "{}", rule.slug);
    }
}

#[test]
fn every_fact_says_where_and_when_it_was_read() {
    for rule in rules() {
        let slug = &rule.slug;
        assert!(!rule.source.is_empty(), "{slug}");
        assert!(midnight(&rule.read).is_some(), "{slug}");
        if let Some(facts) = &rule.data_handling {
            assert!(facts.source.starts_with("https://"), "{slug}");
            let (read, expires) = (midnight(&facts.read).unwrap(), midnight(&facts.expires).unwrap());
            assert!(read < expires, "{slug}");
        }
    }
}

#[test]
fn no_operation_is_claimed_that_no_codec_serves() {
    for rule in rules() {
        for operation in &rule.operations {
            let dialects = rule.also.iter().chain([&rule.dialect]);
            let can = dialects.flat_map(|dialect| served(*dialect)).any(|served| served == operation);
            assert!(can, "{} claims {operation:?}", rule.slug);
        }
        if rule.operations.is_empty() {
            assert!(rule.note.is_some(), "{} does not say why nothing can be asked of it", rule.slug);
        }
    }
}

#[test]
fn the_places_of_a_base_url_are_fields_of_the_key() {
    for rule in rules().iter().filter(|rule| !rule.operations.is_empty()) {
        for place in rule.base_url.split('{').skip(1) {
            let place = place.split('}').next().unwrap();
            assert!(rule.key.contains_key(place), "{} needs {place}", rule.slug);
        }
    }
}

#[test]
fn nodes_compile_every_entry() {
    let mut store = Store::default();
    store.import(&builtin().unwrap(), Timestamp::from_seconds(1_795_000_000));
    let mut existing: Vec<Resource> = store.providers.iter().cloned().map(Resource::Provider).collect();
    existing.extend(store.models.iter().cloned().map(Resource::Model));
    let offerings: Vec<Resource> = store.offerings.iter().cloned().map(Resource::Offering).collect();
    for candidate in existing.iter().chain(&offerings) {
        compile_check(&existing, candidate).unwrap_or_else(|faults| panic!("{candidate:?}: {faults:?}"));
    }
}

#[test]
fn every_offering_is_at_a_provider_that_serves_its_kind_and_has_a_price() {
    let (catalogue, rules) = (builtin().unwrap(), rules());
    assert!(catalogue.offerings.len() > 1_000, "{}", catalogue.offerings.len());
    for offering in &catalogue.offerings {
        let rule = rules.iter().find(|rule| rule.slug == offering.provider).unwrap();
        let model = catalogue.models.iter().find(|model| model.name == offering.model).unwrap();
        assert!(rule.serves(model.kind), "{} at {}", model.name, rule.slug);
        assert!(!offering.prices.is_empty(), "{} at {}", model.name, rule.slug);
    }
    assert!(catalogue.sources.iter().all(|source| source.licence == "MIT"));
}

#[test]
fn the_documented_example_is_an_entry_of_the_file() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let guide = std::fs::read_to_string(format!("{root}/docs/adding-a-provider.md")).unwrap();
    let example = guide.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(include_str!("../../data/providers.toml").contains(example));
}
