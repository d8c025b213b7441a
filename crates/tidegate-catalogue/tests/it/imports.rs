//! Importing: exact prices, tiers, dates, and nothing twice.

use proptest::prelude::*;
use tidegate_catalogue::{
    Built, Catalogue, PriceFiles, Rules, Source, build, builtin, midnight, price_of_one,
};
use tidegate_types::resource::{Unit, UnitPrice};
use tidegate_types::{PicoUsd, Timestamp};

use crate::store::Store;

const RULES: &str = r#"
[creators]
[families]
[[provider]]
slug = "acme"
name = "Acme"
base_url = "https://api.acme.example/v1"
dialect = "openai_chat"
auth = "bearer"
operations = ["language", "embedding", "transcription"]
source = "a test"
read = "2026-11-21"
import = { genai = ["acme"], litellm = ["acme"], creator = "acme" }
"#;

fn source(name: &str) -> Source {
    let read_at = midnight("2026-11-21").unwrap();
    Source { name: name.to_owned(), version: "1".to_owned(), licence: "MIT".to_owned(), read_at }
}

fn genai(models: &str) -> Built {
    let text = format!(r#"[{{"id": "acme", "name": "Acme", "models": {models}}}]"#);
    let files = PriceFiles { genai: Some((source("genai-prices"), text)), litellm: None };
    build(&Rules::parse(RULES).unwrap(), &files).unwrap()
}

fn litellm(models: &str) -> Built {
    let files = PriceFiles { genai: None, litellm: Some((source("litellm"), models.to_owned())) };
    build(&Rules::parse(RULES).unwrap(), &files).unwrap()
}

fn price(prices: &[UnitPrice], unit: Unit) -> Option<i64> {
    prices.iter().find(|price| price.unit == unit).map(|price| price.price.get())
}

#[test]
fn tiers_begin_above_their_thresholds_and_dates_become_versions() {
    let built = genai(
        r#"[{"id": "one", "match": {"or": [{"equals": "one"}, {"equals": "one-2026-01-02"}, {"equals": "one-turbo"}]}, "context_window": 1000000,
        "prices": [{"prices": {"input_mtok": 2, "output_mtok": 8.25}},
          {"constraint": {"start_date": "2026-06-01"}, "prices": {"input_mtok": {"base": 0.0375, "tiers": [{"start": 200000, "price": 0.075}]}, "output_mtok": 0.3}}]}]"#,
    );
    let offering = &built.catalogue.offerings[0];
    assert_eq!(built.catalogue.models[0].aliases, ["one-2026-01-02"]);
    assert_eq!(offering.prices.len(), 2);
    assert_eq!(offering.prices[0].valid_from, Timestamp::default());
    assert_eq!(offering.prices[1].valid_from, "2026-06-01T00:00:00Z".parse().unwrap());
    let tiers = offering.prices[1].price_tiers();
    assert_eq!(tiers[0].from_input_tokens, 0);
    assert_eq!(price(&tiers[0].prices, Unit::InputToken), Some(37_500));
    assert_eq!(tiers[1].from_input_tokens, 200_001);
    assert_eq!(price(&tiers[1].prices, Unit::InputToken), Some(75_000));
    assert_eq!(price(&tiers[1].prices, Unit::OutputToken), Some(300_000), "carried into the tier");
}

#[test]
fn prices_by_time_of_day_count_as_their_dearest_and_are_reported() {
    let built = genai(
        r#"[{"id": "one", "context_window": 1000, "prices": [{"prices": {"input_mtok": 1, "output_mtok": 4}},
          {"constraint": {"start_time": "01:00:00Z", "end_time": "04:00:00Z"}, "prices": {"input_mtok": 2, "output_mtok": 3}}]}]"#,
    );
    let tiers = built.catalogue.offerings[0].prices[0].price_tiers();
    assert_eq!(price(&tiers[0].prices, Unit::InputToken), Some(2_000_000));
    assert_eq!(price(&tiers[0].prices, Unit::OutputToken), Some(4_000_000));
    assert!(built.report[0].contains("time of day"), "{:?}", built.report);
}

#[test]
fn what_cannot_be_expressed_is_reported_not_guessed() {
    let built = genai(
        r#"[{"id": "one", "context_window": 1000, "prices": {"input_mtok": 1, "output_mtok": 4, "storage_searches_kcount": 2.5}},
        {"id": "free", "context_window": 1000, "prices": {"input_mtok": 0, "output_mtok": 0}},
        {"id": "windowless", "prices": {"input_mtok": 1, "output_mtok": 4}},
        {"id": "unpriced", "context_window": 1000, "prices": {}},
        {"id": "fine", "context_window": 1000, "prices": {"input_mtok": 0.0000001, "output_mtok": 4}}]"#,
    );
    assert_eq!(built.catalogue.offerings.len(), 1);
    assert!(built.catalogue.offerings[0].notes["not_priced"].contains("storage_searches_kcount"));
    assert_eq!(built.report.iter().filter(|line| line.contains("left out")).count(), 4, "{:?}", built.report);
}

#[test]
fn litellm_prices_are_read_from_their_text_with_tiers_and_facts() {
    let built = litellm(
        r#"{"sample_spec": {"litellm_provider": "one of many"},
        "acme/one": {"litellm_provider": "acme", "mode": "chat", "max_input_tokens": 400000, "max_output_tokens": 64000,
          "input_cost_per_token": 1.25e-06, "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 1.25e-07,
          "input_cost_per_token_above_200k_tokens": 2.5e-06, "cache_creation_input_token_cost": 1.5e-6,
          "cache_creation_input_token_cost_above_1hr": 3e-6, "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 6e-6,
          "input_cost_per_token_batches": 6e-07, "code_interpreter_cost_per_session": 0.03,
          "supports_function_calling": true, "supports_vision": false},
        "acme/noisy": {"litellm_provider": "acme", "mode": "chat", "max_input_tokens": 1000,
          "input_cost_per_token": 1.4999999999999999e-06, "output_cost_per_token": 1e-05},
        "acme/ear": {"litellm_provider": "acme", "mode": "audio_transcription", "input_cost_per_second": 0.0001}}"#,
    );
    assert_eq!(built.catalogue.offerings.len(), 2);
    let one = &built.catalogue.offerings[1];
    let tiers = one.prices[0].price_tiers();
    assert_eq!(price(&tiers[0].prices, Unit::InputToken), Some(1_250_000));
    assert_eq!(price(&tiers[0].prices, Unit::CacheWrite1hToken), Some(3_000_000));
    assert_eq!(tiers[1].from_input_tokens, 200_001);
    assert_eq!(price(&tiers[1].prices, Unit::InputToken), Some(2_500_000));
    assert_eq!(price(&tiers[1].prices, Unit::CacheWrite1hToken), Some(6_000_000));
    assert_eq!(price(&tiers[1].prices, Unit::OutputToken), Some(10_000_000));
    let model = built.catalogue.models.iter().find(|model| model.name.name() == "one").unwrap();
    assert!(model.capabilities.tools && !model.capabilities.vision);
    assert_eq!((model.context_window, model.max_output_tokens), (400_000, 64_000));
    assert!(built.report.iter().any(|line| line.contains("code_interpreter_cost_per_session")));
    assert!(built.report.iter().any(|line| line.contains("noisy") && line.contains("finer than a pico-USD")));
}

#[test]
fn kinds_that_one_file_lacks_are_taken_from_the_other_where_the_rules_say_so() {
    let genai = r#"[{"id": "acme", "name": "Acme", "models": [
        {"id": "one", "context_window": 1000, "prices": {"input_mtok": 1, "output_mtok": 4}}]}]"#;
    let litellm = r#"{
        "acme/one": {"litellm_provider": "acme", "mode": "chat", "max_input_tokens": 9, "input_cost_per_token": 1e-3, "output_cost_per_token": 1e-3},
        "acme/two": {"litellm_provider": "acme", "mode": "chat", "max_input_tokens": 9, "input_cost_per_token": 1e-3, "output_cost_per_token": 1e-3},
        "acme/vectors": {"litellm_provider": "acme", "mode": "embedding", "max_input_tokens": 9, "input_cost_per_token": 1e-6}}"#;
    let built = |rules: &str| {
        let files = PriceFiles {
            genai: Some((source("genai-prices"), genai.to_owned())),
            litellm: Some((source("litellm"), litellm.to_owned())),
        };
        let offerings = build(&Rules::parse(rules).unwrap(), &files).unwrap().catalogue.offerings;
        offerings.iter().map(|offering| offering.upstream_name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(built(RULES), ["one"]);
    let further = RULES.replace("creator =", r#"further = ["embedding"], creator ="#);
    assert_eq!(built(&further), ["one", "vectors"]);
}

#[test]
fn importing_twice_changes_nothing() {
    let (catalogue, mut store) = (builtin().unwrap(), Store::default());
    let (made, _) = store.import(&catalogue, Timestamp::from_seconds(1));
    assert!(made > 1_000);
    assert_eq!(store.import(&catalogue, Timestamp::from_seconds(2)), (0, 0));
}

#[test]
fn a_changed_price_becomes_a_version_and_the_old_one_stays() {
    let first =
        genai(r#"[{"id": "one", "context_window": 1000, "prices": {"input_mtok": 1, "output_mtok": 4}}]"#);
    let second =
        genai(r#"[{"id": "one", "context_window": 1000, "prices": {"input_mtok": 1, "output_mtok": 3}}]"#);
    let mut store = Store::default();
    store.import(&first.catalogue, Timestamp::from_seconds(10));
    assert_eq!(store.import(&second.catalogue, Timestamp::from_seconds(20)), (0, 1));
    let offering = store.offering("acme/one", "acme").clone();
    assert_eq!(offering.prices.len(), 2);
    let at = |second| {
        let price = tidegate_pricing::price_at(&offering.prices, Timestamp::from_seconds(second)).unwrap();
        self::price(&price.tiers[0].prices, Unit::OutputToken)
    };
    assert_eq!((at(15), at(25)), (Some(4_000_000), Some(3_000_000)));
    assert_eq!(store.import(&second.catalogue, Timestamp::from_seconds(30)), (0, 0));
}

#[test]
fn a_part_of_the_catalogue_holds_only_what_it_needs() {
    let part: Catalogue = builtin().unwrap().only(|slug| slug.as_str() == "mistral");
    assert_eq!(part.providers.len(), 1);
    assert!(part.offerings.iter().all(|offering| offering.provider.as_str() == "mistral"));
    assert_eq!(part.models.len(), part.offerings.len());
}

proptest! {
    #[test]
    fn every_decimal_of_a_pico_usd_is_exact(pico in 0i64..1_000_000_000_000_000) {
        let text = PicoUsd::new(pico).to_string();
        prop_assert_eq!(price_of_one(&text, 1), Ok(PicoUsd::new(pico)));
        let scientific = format!("{pico}e-12");
        prop_assert_eq!(price_of_one(&scientific, 1), Ok(PicoUsd::new(pico)));
        let million = format!("{pico}e-6");
        prop_assert_eq!(price_of_one(&million, 1_000_000), Ok(PicoUsd::new(pico)));
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,40}") {
        let _ = price_of_one(&text, 1_000);
    }
}
