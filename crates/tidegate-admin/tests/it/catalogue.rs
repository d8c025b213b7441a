//! The shared catalogue: written by the platform, read by everybody, prices for ever.

use http::StatusCode;
use serde_json::json;

use crate::harness::World;

#[tokio::test]
async fn tenants_read_the_catalogue_and_cannot_write_it() {
    let world = World::start().await;
    let offering = world.catalogue().await;
    let tenant = world.tenant("acme").await;
    for path in ["/providers", "/models", "/offerings", "/prices"] {
        assert_eq!(world.get(&tenant.owner, path).await.expect(StatusCode::OK).rows().len(), 1, "{path}");
    }
    let one = format!("/offerings/{offering}");
    world.get(&tenant.owner, &one).await.expect(StatusCode::OK);
    world.patch(&tenant.owner, &one, &json!({"enabled": false})).await.refused(403, "forbidden");
    world.delete(&tenant.owner, &one).await.refused(403, "forbidden");
}

#[tokio::test]
async fn providers_models_and_offerings_can_be_changed_but_not_renamed() {
    let world = World::start().await;
    let offering = world.catalogue().await;
    let root = &world.root;
    let provider = world.get(root, "/providers").await.str("/data/0/id");
    let model = world.get(root, "/models").await.str("/data/0/id");
    let cases = [
        (format!("/providers/{provider}"), json!({"enabled": false}), "slug"),
        (format!("/models/{model}"), json!({"aliases": ["gpt5"]}), "name"),
        (format!("/offerings/{offering}"), json!({"output_visible": true}), "upstream_name"),
    ];
    for (path, patch, _) in &cases {
        let (field, value) = patch.as_object().unwrap().iter().next().unwrap();
        assert_eq!(&world.patch(root, path, patch).await.expect(StatusCode::OK).body[field], value);
    }
    let slug = json!({"slug": "other"});
    assert_eq!(
        world.patch(root, &cases[0].0, &slug).await.refused(422, "validation_failed").fields(),
        ["slug"]
    );
    let name = json!({"name": "openai/other"});
    assert_eq!(
        world.patch(root, &cases[1].0, &name).await.refused(422, "validation_failed").fields(),
        ["name"]
    );
}

#[tokio::test]
async fn a_price_is_appended_and_the_old_one_stays() {
    let world = World::start().await;
    let offering = world.catalogue().await;
    let tiers = json!([{"from_input_tokens": 0, "prices": [
        {"unit": "input_token", "price": "0.000002"}, {"unit": "output_token", "price": "0.00001"}]}]);
    let price = json!({"offering_id": offering, "tiers": tiers, "source": "price list"});
    let made = world.post(&world.root, "/prices", &price).await.expect(StatusCode::CREATED);
    assert_eq!(made.body["tiers"], tiers);
    let path = format!("/prices?offering_id={offering}");
    assert_eq!(world.get(&world.root, &path).await.expect(StatusCode::OK).rows().len(), 2);
    assert_eq!(
        world.get(&world.root, &format!("/offerings/{offering}")).await.body["prices"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn a_price_that_makes_no_sense_is_refused() {
    let world = World::start().await;
    let offering = world.catalogue().await;
    let tier = |from: u32, price: &str| json!({"from_input_tokens": from, "prices": [{"unit": "input_token", "price": price}]});
    let cases = [
        (json!([]), 422, "tiers"),
        (json!([tier(5, "1")]), 422, "tiers"),
        (json!([tier(0, "1"), tier(0, "1")]), 422, "tiers"),
        (json!([tier(0, "-1")]), 422, "tiers[0].prices"),
        (json!([tier(0, "1e3")]), 400, "tiers[0].prices[0].price"),
        (json!([tier(0, "0.0000000000001")]), 400, "tiers[0].prices[0].price"),
    ];
    for (tiers, status, field) in cases {
        let body = json!({"offering_id": offering, "tiers": tiers});
        let answer = world.post(&world.root, "/prices", &body).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
        assert!(answer.fields().contains(&field), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_base_url_is_plain() {
    let world = World::start().await;
    let odd = ["ftp://x", "https://user:pw@host", "https://host/?q=1", "https://host/#f", "host", ""];
    let misplaced =
        ["https://{resource}", "https://a.{region}/", "https://a.b:{region}/", "https://{project}.a.b/"];
    let unknown = ["https://{model}.a.b/", "https://a.b/{", "https://a.b/}x"];
    for url in odd.iter().chain(&misplaced).chain(&unknown) {
        let body =
            json!({"slug": "p", "name": "P", "base_url": url, "dialect": "openai_chat", "auth": "bearer"});
        let answer = world.post(&world.root, "/providers", &body).await.refused(422, "validation_failed");
        assert_eq!(answer.fields(), ["base_url"], "{url}");
    }
}

#[tokio::test]
async fn a_catalogue_is_imported_once_and_a_changed_price_becomes_a_version() {
    let world = World::start().await;
    let catalogue = tidegate_catalogue::builtin().unwrap().only(|slug| slug.as_str() == "anthropic");
    let models = catalogue.models.len();
    let document = serde_json::to_value(&catalogue).unwrap();
    let import = |query: &'static str| format!("/catalogue/import{query}");
    let dry = world.post(&world.root, &import("?dry_run=true"), &document).await.expect(StatusCode::OK);
    assert_eq!(dry.body["models"].as_array().unwrap().len(), models);
    assert!(world.get(&world.root, "/providers").await.rows().is_empty(), "a dry run stores nothing");
    world.post(&world.root, &import(""), &document).await.expect(StatusCode::OK);
    assert_eq!(world.get(&world.root, "/offerings?limit=1000").await.rows().len(), models);
    let again = world.post(&world.root, &import(""), &document).await.expect(StatusCode::OK);
    for made in ["providers", "models", "offerings", "prices"] {
        assert_eq!(again.body[made], json!([]), "{made}");
    }
    assert_eq!(again.body["unchanged"], models);
    let mut changed = document.clone();
    changed["offerings"][0]["prices"][0]["tiers"]["0"]["output_token"] = json!("0.000000000001");
    let third = world.post(&world.root, &import(""), &changed).await.expect(StatusCode::OK);
    assert_eq!(third.body["prices"].as_array().unwrap().len(), 1);
    let tenant = world.tenant("acme").await;
    world.post(&tenant.owner, &import(""), &document).await.refused(403, "forbidden");
}

#[tokio::test]
async fn an_import_with_one_bad_entry_stores_nothing() {
    let world = World::start().await;
    let catalogue = tidegate_catalogue::builtin().unwrap().only(|slug| slug.as_str() == "deepseek");
    let mut document = serde_json::to_value(&catalogue).unwrap();
    document["offerings"][1]["provider"] = json!("nobody");
    world.post(&world.root, "/catalogue/import", &document).await.refused(422, "does_not_compile");
    assert!(world.get(&world.root, "/providers").await.rows().is_empty());
    document["offerings"][1] = json!({"surprise": 1});
    world.post(&world.root, "/catalogue/import", &document).await.refused(400, "invalid_request");
}

#[tokio::test]
async fn an_organization_sets_its_own_price_and_takes_it_away_again() {
    let world = World::start().await;
    world.catalogue().await;
    let tenant = world.tenant("acme").await;
    let set = |price: &str, provider: &str| {
        json!({"model": "openai/gpt-5", "provider": provider, "source": "contract 7", "tiers": [{"from_input_tokens": 0,
            "prices": [{"unit": "input_token", "price": price}, {"unit": "output_token", "price": "0.000005"}]}]})
    };
    let first = world.post(&tenant.owner, "/price-overrides", &set("0.000001", "openai")).await;
    let id = first.expect(StatusCode::CREATED).str("/id");
    let second = world.post(&tenant.owner, "/price-overrides", &set("0.0000009", "openai")).await;
    let second = second.expect(StatusCode::CREATED);
    assert_eq!((second.str("/id"), second.body["prices"].as_array().unwrap().len()), (id.clone(), 2));
    assert_eq!(world.get(&tenant.owner, "/price-overrides").await.rows().len(), 1);
    assert_eq!(world.get(&tenant.owner, "/offerings").await.rows().len(), 1, "the shared ones stay apart");
    world
        .post(&tenant.owner, "/price-overrides", &set("1", "nobody"))
        .await
        .refused(422, "validation_failed");
    world.delete(&tenant.owner, &format!("/price-overrides/{id}")).await.expect(StatusCode::NO_CONTENT);
    assert!(world.get(&tenant.owner, "/price-overrides").await.rows().is_empty());
}
