//! A golden file for each provider: the provider as nodes get it, what its key is made of, and one
//! offering of each kind. `UPDATE_GOLDEN=1` writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tidegate_catalogue::{Catalogue, ProviderRule, Rules, builtin};
use tidegate_types::ProviderId;

fn golden(rule: &ProviderRule, catalogue: &Catalogue) -> Value {
    let mut examples: BTreeMap<String, Value> = BTreeMap::new();
    for offering in catalogue.offerings.iter().filter(|offering| offering.provider == rule.slug) {
        let model = catalogue.models.iter().find(|model| model.name == offering.model).unwrap();
        examples.entry(format!("{:?}", model.kind)).or_insert_with(|| {
            let newest = offering.prices.last().unwrap();
            json!({"model": model.name, "upstream_name": offering.upstream_name,
                "data_handling": offering.data_handling, "price": newest.tiers})
        });
    }
    let mut provider = serde_json::to_value(rule.entry().provider(ProviderId::from_u128(0))).unwrap();
    for field in ["organization_id", "id", "enabled", "simulated"] {
        provider.as_object_mut().unwrap().remove(field);
    }
    json!({"provider": provider, "operations": rule.operations, "key": rule.key, "examples": examples})
}

#[test]
fn every_provider_is_as_its_golden_file_says() {
    let (rules, catalogue) = (Rules::builtin().unwrap().providers, builtin().unwrap());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wanted = BTreeSet::new();
    for rule in &rules {
        let file = folder.join(format!("{}.json", rule.slug));
        let text = serde_json::to_string_pretty(&golden(rule, &catalogue)).unwrap() + "\n";
        if update {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&file, &text).unwrap();
        }
        let known = fs::read_to_string(&file).unwrap_or_else(|_| panic!("{} has no golden file", rule.slug));
        assert_eq!(known, text, "{}", rule.slug);
        wanted.insert(file.file_name().unwrap().to_owned());
    }
    let found: BTreeSet<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(found, wanted, "golden files of providers that are gone");
}
