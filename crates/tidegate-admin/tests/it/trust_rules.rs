//! Trust rules over the API: a key of their own, ambiguous ones of one organization are refused, no
//! organization meets another's, private keys are never taken.

use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Tenant, World};

const ISSUER: &str = "https://issuer.example.com";

/// A public key: RFC 7517 appendix A.1.
fn jwk(kid: &str) -> Value {
    json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": kid,
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"})
}

fn rule(tenant: &Tenant, name: &str, audience: &str, claims: &Value) -> Value {
    json!({"name": name, "team_id": tenant.team, "issuer": ISSUER, "audience": audience, "claims": claims})
}

#[tokio::test]
async fn a_rule_gets_a_key_without_a_text_which_goes_with_it() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let owner = &tenant.owner;
    let body = rule(&tenant, "shop", "acme", &json!({"sub": ["system:serviceaccount:shop:web"]}));
    let made = world.post(owner, "/trust-rules", &body).await.expect(StatusCode::CREATED);
    assert_eq!((&made.body["keys"], &made.body["longest_life_seconds"]), (&json!([]), &json!(86_400)));
    let (path, key) = (format!("/trust-rules/{}", made.str("/id")), format!("/keys/{}", made.str("/key_id")));
    let shown = world.get(owner, &key).await.expect(StatusCode::OK);
    assert_eq!((shown.str("/name"), shown.str("/status")), ("shop".into(), "active".into()));
    world.patch(owner, &key, &json!({"limits": {"requests_per_minute": 5}})).await.expect(StatusCode::OK);
    // A second rule may act as the same key; it outlives the first rule then.
    let mut second = rule(&tenant, "second", "other", &json!({}));
    second.as_object_mut().unwrap().remove("team_id");
    second["key_id"] = made.body["key_id"].clone();
    let second = world.post(owner, "/trust-rules", &second).await.expect(StatusCode::CREATED);
    world.delete(owner, &path).await.expect(StatusCode::NO_CONTENT);
    world.get(owner, &path).await.refused(404, "not_found");
    assert_eq!(world.get(owner, &key).await.str("/status"), "active");
    world.delete(owner, &format!("/trust-rules/{}", second.str("/id"))).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(world.get(owner, &key).await.str("/status"), "revoked");
    let audit = world.get(owner, "/audit").await;
    assert!(audit.text.contains("trust_rule.create") && audit.text.contains("trust_rule.delete"));
}

#[tokio::test]
async fn rules_of_one_organization_that_one_token_could_fit_are_refused() {
    let world = World::start().await;
    let a = world.tenant("a").await;
    let make = async |name: &str, audience: &str, claims: Value| {
        world.post(&a.owner, "/trust-rules", &rule(&a, name, audience, &claims)).await
    };
    let one = make("one", "shared", json!({"repository": ["a/x", "a/y"]})).await.expect(StatusCode::CREATED);
    for claims in [json!({}), json!({"repository": ["b/x", "a/y"]}), json!({"environment": ["prod"]})] {
        make("two", "shared", claims).await.refused(409, "ambiguous_trust_rule");
    }
    make("two", "shared", json!({"repository": ["b/x"]})).await.expect(StatusCode::CREATED);
    let three = make("three", "own", json!({})).await.expect(StatusCode::CREATED);
    // Nor by a change.
    let path = format!("/trust-rules/{}", three.str("/id"));
    world.patch(&a.owner, &path, &json!({"audience": "shared"})).await.refused(409, "ambiguous_trust_rule");
    // A rule is not in its own way, and its place is free when it is gone.
    let own = format!("/trust-rules/{}", one.str("/id"));
    world.patch(&a.owner, &own, &json!({"name": "renamed"})).await.expect(StatusCode::OK);
    world.delete(&a.owner, &own).await.expect(StatusCode::NO_CONTENT);
    make("four", "shared", json!({"repository": ["a/x"]})).await.expect(StatusCode::CREATED);
}

/// Neither can an organization keep a place from another, nor learn what others have.
#[tokio::test]
async fn no_organization_meets_another_ones_rules() {
    let world = World::start().await;
    let (a, b) = (world.tenant("a").await, world.tenant("b").await);
    let mut answers = Vec::new();
    for tenant in [&a, &b] {
        let made = rule(tenant, "one", "shared", &json!({"repository": ["a/x"]}));
        let made = world.post(&tenant.owner, "/trust-rules", &made).await.expect(StatusCode::CREATED);
        assert_eq!(made.body["needs_organization_header"], true);
        let again = rule(tenant, "two", "shared", &json!({}));
        let refused = world.post(&tenant.owner, "/trust-rules", &again).await;
        answers.push((refused.status, refused.body["detail"].clone(), refused.body["errors"].clone()));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].0, StatusCode::CONFLICT);
    // Two that write at the same moment do not wait for one another's place either.
    let both = [&a, &b].map(|tenant| rule(tenant, "three", "race", &json!({})));
    let (one, two) = tokio::join!(
        world.post(&a.owner, "/trust-rules", &both[0]),
        world.post(&b.owner, "/trust-rules", &both[1])
    );
    one.expect(StatusCode::CREATED);
    two.expect(StatusCode::CREATED);
    // An audience that says whose it is belongs to that organization, and is the one that is given.
    for (theirs, status) in [(&a.id, StatusCode::CREATED), (&b.id, StatusCode::UNPROCESSABLE_ENTITY)] {
        let bound =
            rule(&a, &format!("bound {theirs}"), &format!("https://llm.example/{theirs}"), &json!({}));
        let made = world.post(&a.owner, "/trust-rules", &bound).await.expect(status);
        if status == StatusCode::CREATED {
            assert_eq!(made.body["needs_organization_header"], false);
        } else {
            assert_eq!(made.fields(), ["audience"]);
        }
    }
    let mut given = rule(&a, "given", "", &json!({}));
    given.as_object_mut().unwrap().remove("audience");
    let given = world.post(&a.owner, "/trust-rules", &given).await.expect(StatusCode::CREATED);
    assert_eq!(given.body["audience"], json!(format!("tidegate/{}", a.id)));
    let path = format!("/trust-rules/{}", given.str("/id"));
    let changed = world.patch(&a.owner, &path, &json!({"audience": "plain"})).await.expect(StatusCode::OK);
    assert_eq!(changed.body["needs_organization_header"], true);
}

#[tokio::test]
async fn only_the_platform_binds_an_issuer_and_only_to_one_organization() {
    let world = World::start().await;
    let (a, b) = (world.tenant("a").await, world.tenant("b").await);
    let at = |tenant: &Tenant| format!("/organizations/{}", tenant.id);
    let bind = |audiences: Value| json!({"bound_issuers": {ISSUER: audiences}});
    let one = world.post(&a.owner, "/trust-rules", &rule(&a, "one", "shared", &json!({}))).await.str("/id");
    let needs_header = async || {
        let shown = world.get(&a.owner, &format!("/trust-rules/{one}")).await;
        let listed = world.get(&a.owner, "/trust-rules").await;
        assert_eq!(shown.body["needs_organization_header"], listed.rows()[0]["needs_organization_header"]);
        shown.body["needs_organization_header"].clone()
    };
    assert_eq!(needs_header().await, true);
    for tenant in [&a, &b] {
        world.patch(&tenant.owner, &at(tenant), &bind(json!([]))).await.refused(403, "forbidden");
    }
    for (wrong, what) in [
        (json!({"bound_issuers": {"issuer.example.com": []}}), "no URL"),
        (json!({"bound_issuers": {ISSUER: [""]}}), "an empty audience"),
    ] {
        let refused = world.patch(&world.root, &at(&a), &wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{what}: {}", refused.text);
    }
    let bound = world.patch(&world.root, &at(&a), &bind(json!(["shared"]))).await.expect(StatusCode::OK);
    assert_eq!(bound.body["bound_issuers"], json!({ISSUER: ["shared"]}));
    assert_eq!(needs_header().await, false);
    // Other changes leave it as it is, the owner's too; he cannot take it away, nor see that another one has it.
    world.patch(&a.owner, &at(&a), &json!({"name": "A"})).await.expect(StatusCode::OK);
    world.patch(&a.owner, &at(&a), &json!({"bound_issuers": {}})).await.expect(StatusCode::OK);
    world.patch(&a.owner, &at(&a), &bind(Value::Null)).await.refused(403, "forbidden");
    assert_eq!(world.get(&a.owner, &at(&a)).await.body["bound_issuers"], json!({ISSUER: ["shared"]}));
    assert_eq!(world.get(&b.owner, &at(&b)).await.body["bound_issuers"], json!({}));
    let theirs = world.post(&b.owner, "/trust-rules", &rule(&b, "one", "shared", &json!({}))).await;
    assert_eq!(theirs.expect(StatusCode::CREATED).body["needs_organization_header"], true);
    world.patch(&b.owner, &at(&b), &bind(json!(["shared"]))).await.refused(403, "forbidden");
    // Nor does the operator give it to two: for the same audience, or for all of them.
    for audiences in [json!(["other", "shared"]), json!([])] {
        let refused = world.patch(&world.root, &at(&b), &bind(audiences)).await.refused(409, "issuer_taken");
        assert!(refused.text.contains(&a.id) && refused.fields() == ["bound_issuers"], "{}", refused.text);
    }
    world.patch(&world.root, &at(&b), &bind(json!(["other"]))).await.expect(StatusCode::OK);
    world.patch(&world.root, &at(&a), &bind(json!([]))).await.refused(409, "issuer_taken");
    // Both at the same moment: one.
    let (race_a, race_b) = (at(&a), at(&b));
    // All audiences, and one of them: what they have in common is nothing that a unique key could hold.
    let race = |audiences: Value| json!({"bound_issuers": {"https://race.example": audiences}});
    let (every, single) = (race(json!([])), race(json!(["x"])));
    let (to_a, to_b) =
        tokio::join!(world.patch(&world.root, &race_a, &every), world.patch(&world.root, &race_b, &single));
    let mut outcomes = [to_a.status.as_u16(), to_b.status.as_u16()];
    outcomes.sort_unstable();
    assert_eq!(outcomes, [200, 409], "{} {}", to_a.text, to_b.text);
    // Taken back, it is free; both are in the organization's audit.
    world.patch(&world.root, &at(&a), &bind(Value::Null)).await.expect(StatusCode::OK);
    assert_eq!(needs_header().await, true);
    world.patch(&world.root, &at(&b), &bind(json!([]))).await.expect(StatusCode::OK);
    let audit = world.get(&a.owner, "/audit?limit=100").await;
    let told = |entry: &&Value| entry["before"]["bound_issuers"] != entry["after"]["bound_issuers"];
    let told =
        audit.rows().iter().filter(|entry| entry["action"] == "organization.update").filter(told).count();
    assert!(told >= 2, "{}", audit.text);
}

#[tokio::test]
async fn pasted_keys_are_public_ones_and_can_be_given_up_for_the_issuers_own() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let owner = &tenant.owner;
    let mut body = rule(&tenant, "pasted", "acme", &json!({}));
    let mut private = jwk("a");
    private["d"] = json!("canary-private");
    for (set, words) in [
        (json!({"keys": [private]}), "private"),
        (json!({"keys": [{"kty": "oct", "k": "canary"}]}), "private"),
        (json!({"keys": []}), "no key"),
        (json!({"nonsense": 1}), "JWK set"),
    ] {
        body["jwks"] = set;
        let refused = world.post(owner, "/trust-rules", &body).await.refused(422, "validation_failed");
        assert_eq!(refused.fields(), ["jwks"]);
        assert!(refused.text.contains(words) && !refused.text.contains("canary"), "{}", refused.text);
    }
    body["jwks"] = json!({"keys": [jwk("a")]});
    let made = world.post(owner, "/trust-rules", &body).await.expect(StatusCode::CREATED);
    assert_eq!(made.body["keys"], json!([{"kid": "a", "algorithm": "ES256"}]));
    let path = format!("/trust-rules/{}", made.str("/id"));
    let renamed = world.patch(owner, &path, &json!({"name": "renamed"})).await.expect(StatusCode::OK);
    assert_eq!(renamed.body["keys"], made.body["keys"]);
    let replaced = json!({"jwks": {"keys": [jwk("b"), jwk("c")]}});
    let replaced = world.patch(owner, &path, &replaced).await.expect(StatusCode::OK);
    assert_eq!(replaced.body["keys"].as_array().unwrap().len(), 2);
    let discovered = world.patch(owner, &path, &json!({"jwks": null})).await.expect(StatusCode::OK);
    assert_eq!((&discovered.body["keys"], discovered.body.get("jwks")), (&json!([]), None));
}

#[tokio::test]
async fn what_no_node_could_use_is_refused_with_the_field() {
    let world = World::start().await;
    let (tenant, other) = (world.tenant("acme").await, world.tenant("other").await);
    let owner = &tenant.owner;
    let foreign = rule(&other, "foreign", "x", &json!({}));
    let foreign = world.post(&other.owner, "/trust-rules", &foreign).await.expect(StatusCode::CREATED);
    for (field, value, expected) in [
        ("issuer", json!("issuer.example.com"), "issuer"),
        ("issuer", json!("https://issuer.example.com?x=1"), "issuer"),
        ("issuer", json!("https://user@issuer.example.com"), "issuer"),
        ("audience", json!(""), "audience"),
        ("claims", json!({"sub": []}), "claims"),
        ("longest_life_seconds", json!(5), "longest_life_seconds"),
        ("key_id", foreign.body["key_id"].clone(), "key_id"),
    ] {
        let mut body = rule(&tenant, "rule", "acme", &json!({}));
        if field == "key_id" {
            body.as_object_mut().unwrap().remove("team_id");
        }
        body[field] = value;
        let refused = world.post(owner, "/trust-rules", &body).await.refused(422, "does_not_compile");
        assert_eq!(refused.fields(), [expected]);
    }
    let mut neither = rule(&tenant, "rule", "acme", &json!({}));
    neither.as_object_mut().unwrap().remove("team_id");
    let refused = world.post(owner, "/trust-rules", &neither).await;
    assert_eq!(refused.fields(), ["key_id"]);
    let made = rule(&tenant, "rule", "acme", &json!({}));
    let made = world.post(owner, "/trust-rules", &made).await.expect(StatusCode::CREATED);
    let path = format!("/trust-rules/{}", made.str("/id"));
    let moved = world.patch(owner, &path, &json!({"issuer": "https://evil.example.com"})).await;
    assert_eq!(moved.fields(), ["issuer"]);
    let refreshed = world.post(owner, &format!("{path}/refresh"), &json!({"drop_withdrawn": true})).await;
    refreshed.expect(StatusCode::OK);
}
