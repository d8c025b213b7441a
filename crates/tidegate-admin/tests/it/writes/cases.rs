//! A write for each operation of the document, in an order in which all of them work.

use http::StatusCode;
use serde_json::{Map, Value, json};
use tidegate_store::fleet::{self, Enrolment};
use tidegate_store::{AuditNote, SystemActor, waves};
use tidegate_telemetry::{SystemClock, entropy};
use tidegate_types::{Clock as _, NodeId, OrganizationId};

use crate::harness::{PASSWORD, Tenant, World};

/// Whose token, and where it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Owner,
    /// The platform administrator, above organizations.
    Root,
    /// The same within the tenant.
    RootWithin,
    Nobody,
}

use Who::{Nobody, Owner, Root, RootWithin};

/// One write.
pub(super) struct Case {
    pub(super) operation: &'static str,
    pub(super) who: Who,
    /// What `{id}` stands for.
    pub(super) id: String,
    pub(super) body: Option<Value>,
    /// Entries that it leaves in the audit.
    pub(super) entries: i64,
    /// Why there are none, or more than one.
    pub(super) why: &'static str,
}

/// What the writes are made to: ids by name.
pub(super) struct Objects(Map<String, Value>);

impl Objects {
    pub(super) fn id(&self, name: &str) -> String {
        self.0.get(name).and_then(Value::as_str).unwrap_or_else(|| panic!("no {name}")).to_owned()
    }
}

fn tiers() -> Value {
    json!([{"from_input_tokens": 0, "prices": [{"unit": "input_token", "price": "0.000001"},
        {"unit": "output_token", "price": "0.00001"}]}])
}

fn credential(name: &str) -> Value {
    json!({"name": name, "provider": "openai", "scope": "organization", "secret": {"api_key": "sk-x"}})
}

fn rule(tenant: &Tenant, name: &str) -> Value {
    json!({"name": name, "team_id": tenant.team, "issuer": "https://issuer.example.com", "audience": name,
        "claims": {}})
}

/// One object of every kind.
pub(super) async fn make(world: &World, tenant: &Tenant) -> Objects {
    let offering = world.catalogue().await;
    let mut made = Map::new();
    for (name, at) in [("provider", "/providers"), ("model", "/models")] {
        made.insert(name.to_owned(), world.get(&world.root, at).await.body["data"][0]["id"].clone());
    }
    made.insert("offering".to_owned(), offering.into());
    for (name, path, body) in [
        ("team", "/teams", json!({"name": "made"})),
        ("budget", "/budgets", json!({"name": "made", "limit": "1", "window": {"every": "month"}})),
        ("credential", "/credentials", credential("made")),
        ("exporter", "/exporters", json!({"name": "made", "url": "https://collector.example.com/v1/traces"})),
        ("key", "/keys", json!({"name": "made", "team_id": tenant.team})),
        ("member", "/members", json!({"email": "made@acme.example.com", "role": "viewer"})),
        ("policy", "/policies", json!({"name": "made"})),
        (
            "override",
            "/price-overrides",
            json!({"model": "openai/gpt-5", "provider": "openai", "tiers": tiers()}),
        ),
        ("route", "/routes", json!({"name": "made", "targets": [{"model": "openai/gpt-5"}]})),
        ("token", "/service-tokens", json!({"name": "made", "role": "viewer"})),
        ("rule", "/trust-rules", rule(tenant, "made-rule")),
        ("webhook", "/webhooks", json!({"name": "made", "url": "https://made.example.com/hook"})),
    ] {
        let answer = world.post(&tenant.owner, path, &body).await.expect(StatusCode::CREATED);
        made.insert(name.to_owned(), answer.str("/id").into());
    }
    let organization = format!("?organization={}", tenant.id);
    let credits = format!("/credits{organization}");
    world.patch(&world.root, &credits, &json!({})).await.expect(StatusCode::OK);
    let top_up = json!({"amount": "10", "reference": "made"});
    let entry = world.post(&world.root, &format!("/credits/top-ups{organization}"), &top_up).await;
    made.insert("entry".to_owned(), entry.expect(StatusCode::CREATED).str("/id").into());
    let path = format!("/webhooks/{}/test", made["webhook"].as_str().unwrap());
    let notice = world.post(&tenant.owner, &path, &json!({})).await.expect(StatusCode::ACCEPTED);
    made.insert("notice".to_owned(), notice.str("/notice_id").into());
    for name in ["drained node", "node"] {
        made.insert(name.to_owned(), enrol(world).await.to_string().into());
    }
    let guest = json!({"email": "guest@acme.example.com", "role": "viewer"});
    let guest = world.post(&tenant.owner, "/members", &guest).await.expect(StatusCode::CREATED);
    let link = guest.str("/sign_in_link");
    made.insert("link".to_owned(), link.rsplit('#').next().unwrap().into());
    made.insert("organization".to_owned(), tenant.id.clone().into());
    halt_a_wave(world).await;
    Objects(made)
}

async fn halt_a_wave(world: &World) {
    let system = SystemActor::new("test").acting_for(OrganizationId::SYSTEM);
    let mut change = world.store.change(&system, SystemClock.now()).await.unwrap();
    change.step(waves::Move::Halt("made".to_owned()));
    let note = AuditNote { action: "wave.halt", object: "catalogue".to_owned(), before: None, after: None };
    change.commit(note).await.unwrap();
}

async fn enrol(world: &World) -> NodeId {
    let now = SystemClock.now();
    let node_id = entropy::new_id(now);
    let node = Enrolment {
        node_id,
        pool: "default",
        name: "node",
        certificate_serial: "01",
        certificate_expires_at: now.plus_millis(1_000_000),
        sealing_key: [1; 32],
    };
    fleet::enrol(&world.store, &node, now).await.unwrap();
    node_id
}

const NO_CHANGE: &str = "it asks, and changes nothing";
const SIGN_IN: &str = "who signs in or out changes nothing that anybody else sees";

/// All of them.
pub(super) fn all(objects: &Objects, tenant: &Tenant) -> Vec<Case> {
    let mut cases = creations(tenant);
    cases.extend(changes(objects));
    cases.extend(actions(objects));
    cases.extend(removals(objects));
    cases
}

fn case(operation: &'static str, who: Who, id: &str, body: impl Into<Option<Value>>) -> Case {
    Case { operation, who, id: id.to_owned(), body: body.into(), entries: 1, why: "" }
}

fn with(entries: i64, why: &'static str, case: Case) -> Case {
    Case { entries, why, ..case }
}

fn creations(tenant: &Tenant) -> Vec<Case> {
    let new = |operation, who, body: Value| case(operation, who, "", body);
    let provider = json!({"slug": "new", "name": "New", "base_url": "https://new.example.com/v1",
        "dialect": "openai_chat", "auth": "bearer"});
    let catalogue = tidegate_catalogue::builtin().unwrap().only(|slug| slug.as_str() == "anthropic");
    vec![
        new("teams_create", Owner, json!({"name": "new"})),
        new("budgets_create", Owner, json!({"name": "new", "limit": "1", "window": {"every": "month"}})),
        new("credentials_create", Owner, credential("new")),
        new("exporters_create", Owner, json!({"name": "new", "url": "https://new.example.com/v1/traces"})),
        new("keys_create", Owner, json!({"name": "new", "team_id": tenant.team})),
        new("members_create", Owner, json!({"email": "new@acme.example.com", "role": "viewer"})),
        new("policies_create", Owner, json!({"name": "new", "scope": {"team": tenant.team}})),
        new("routes_create", Owner, json!({"name": "new", "targets": [{"model": "openai/gpt-5"}]})),
        new("service_tokens_create", Owner, json!({"name": "new", "role": "viewer"})),
        new("trust_rules_create", Owner, rule(tenant, "new-rule")),
        new("webhooks_create", Owner, json!({"name": "new", "url": "https://new.example.com/hook"})),
        new("providers_create", Root, provider),
        new("models_create", Root, json!({"name": "new/model", "context_window": 9, "max_output_tokens": 9})),
        new("offerings_create", Root, json!({"model": "new/model", "provider": "new", "upstream_name": "n"})),
        new("pools_create", Root, json!({"name": "new"})),
        new("join_tokens_create", Root, json!({})),
        with(
            2,
            "the platform's chain and the new one",
            new("organizations_create", Root, json!({"slug": "new"})),
        ),
        new("catalogue_import", Root, serde_json::to_value(catalogue).unwrap()),
    ]
}

fn changes(objects: &Objects) -> Vec<Case> {
    let id = |name: &str| objects.id(name);
    let offering = json!({"offering_id": id("offering"), "tiers": tiers()});
    let within = json!({"model": "openai/gpt-5", "provider": "openai", "tiers": tiers()});
    let renamed = || json!({"name": "changed"});
    vec![
        case("prices_create", Root, "", offering),
        case("price_overrides_create", Owner, "", within),
        case("teams_update", Owner, &id("team"), renamed()),
        case("budgets_update", Owner, &id("budget"), json!({"limit": "2"})),
        case("credentials_update", Owner, &id("credential"), json!({"enabled": false})),
        case("exporters_update", Owner, &id("exporter"), json!({"enabled": false})),
        case("keys_update", Owner, &id("key"), renamed()),
        case("members_update", Owner, &id("member"), json!({"role": "billing"})),
        case("policies_update", Owner, &id("policy"), renamed()),
        case("routes_update", Owner, &id("route"), json!({"attempt_timeout_ms": 5000})),
        case("trust_rules_update", Owner, &id("rule"), renamed()),
        case("webhooks_update", Owner, &id("webhook"), json!({"enabled": true, "kinds": []})),
        case("organizations_update", Owner, &id("organization"), renamed()),
        case("providers_update", Root, &id("provider"), renamed()),
        case("models_update", Root, &id("model"), json!({"aliases": ["changed"]})),
        case("offerings_update", Root, &id("offering"), json!({"output_visible": true})),
        case("credits_update", RootWithin, "", json!({"markup_percent": "25"})),
    ]
}

fn actions(objects: &Objects) -> Vec<Case> {
    let id = |name: &str| objects.id(name);
    let raise = json!({"amount": "9", "until": "2100-01-01T00:00:00Z", "reason": "x"});
    let adjustment = json!({"corrects": id("entry"), "amount": "-1", "reference": "typo", "note": "typo"});
    let span = json!({"from": "2026-11-01T00:00:00Z", "to": "2026-11-02T00:00:00Z", "apply": true});
    let explained = json!({"model": "openai/gpt-5"});
    let quiet = |why, case| with(0, why, case);
    vec![
        case("budgets_raise", Owner, &id("budget"), raise),
        case("budgets_lower", Owner, &id("budget"), None),
        case("keys_pause", Owner, &id("key"), None),
        case("keys_resume", Owner, &id("key"), None),
        case("keys_rotate", Owner, &id("key"), json!({})),
        case("members_link", Owner, &id("member"), json!({})),
        case("cache_purge", Owner, "", json!({})),
        case("credits_top_up", RootWithin, "", json!({"amount": "1", "reference": "new"})),
        case("credits_adjust", RootWithin, "", adjustment),
        case("webhooks_rotate", Owner, &id("webhook"), json!({})),
        case("webhooks_test", Owner, &id("webhook"), json!({})),
        case("webhooks_redeliver", Owner, &id("webhook"), json!({"notice_id": id("notice")})),
        case("trust_rules_refresh", Owner, &id("rule"), json!({})),
        case("encryption_rotate", Root, "", json!({"kind": "pepper"})),
        case("ledger_rerate", Root, "", span),
        case("providers_reconcile", Root, &id("provider"), json!({"lines": []})),
        case("fleet_drained", Root, &id("drained node"), None),
        case("fleet_wave_resume", Root, "", None),
        quiet(NO_CHANGE, case("providers_compare", Root, &id("provider"), json!({"spans": []}))),
        quiet(NO_CHANGE, case("credentials_test", Owner, &id("credential"), None)),
        quiet(NO_CHANGE, case("explain_ask", Owner, "", explained)),
    ]
}

fn removals(objects: &Objects) -> Vec<Case> {
    let gone = |operation, who, name: &str| case(operation, who, &objects.id(name), None);
    vec![
        gone("keys_delete", Owner, "key"),
        gone("trust_rules_delete", Owner, "rule"),
        gone("budgets_delete", Owner, "budget"),
        gone("policies_delete", Owner, "policy"),
        gone("routes_delete", Owner, "route"),
        gone("price_overrides_delete", Owner, "override"),
        gone("credentials_delete", Owner, "credential"),
        gone("exporters_delete", Owner, "exporter"),
        gone("webhooks_delete", Owner, "webhook"),
        gone("members_delete", Owner, "member"),
        gone("service_tokens_delete", Owner, "token"),
        gone("teams_delete", Owner, "team"),
        gone("offerings_delete", Root, "offering"),
        gone("models_delete", Root, "model"),
        gone("providers_delete", Root, "provider"),
        gone("fleet_revoke", Root, "node"),
        case("sessions_link", Nobody, "", json!({"token": objects.id("link"), "password": PASSWORD})),
        with(
            0,
            SIGN_IN,
            case(
                "sessions_create",
                Nobody,
                "",
                json!({"email": "owner@acme.example.com", "password": PASSWORD}),
            ),
        ),
        with(0, SIGN_IN, case("sessions_delete", Owner, "", None)),
    ]
}
