//! Applications call with signed tokens of their platform in place of a virtual key: a real issuer, real
//! nodes, the attacks that there are on such tokens, and a rotation of the issuer's keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use tidegate_testkit::installation::Installation;
use tidegate_testkit::issuer::Issuer;

use crate::support::{App, Ask, install, nodes, seconds, until, usage};

/// One that a platform fixes: it says nothing of an organization.
const AUDIENCE: &str = "https://platform.example";
const SUBJECT: &str = "system:serviceaccount:shop:checkout";

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// Claims as a Kubernetes API server writes them.
fn claims(subject: &str) -> Value {
    let (namespace, account) = ("shop", "checkout");
    json!({"aud": [AUDIENCE], "sub": subject, "iat": now() - 5, "nbf": now() - 5, "exp": now() + 600,
        "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": account, "uid": "u-1"}}})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims(SUBJECT);
    claims[name] = value;
    claims
}

/// A control plane that may ask the issuer, which listens on the loopback.
async fn installation(issuer: &Issuer) -> Installation {
    let mut installation = install(nodes(1)).await;
    let config = installation.folder().join("control-0.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let private = format!(
        "\n[[upstream.private]]\ncidr = \"127.0.0.1/32\"\nports = [{}]\nhttp = true\norganizations = [\"*\"]\n",
        issuer.port()
    );
    std::fs::write(&config, format!("{text}{private}")).unwrap();
    installation.restart_control_plane(0).await.unwrap();
    installation
}

async fn rule(installation: &Installation, query: &str, body: &Value) -> Value {
    installation.admin.post(&format!("/trust-rules?wait=fleet{query}"), body).await.unwrap()
}

/// Waits until the issuer's keys have come to the node.
async fn accepted(app: &App) {
    until("the token is accepted", seconds(20), || async { app.status().await == 200 }).await;
}

/// An application of the installation's organization.
fn bearer(installation: &Installation, token: &str) -> App {
    within(stranger(installation, token), &installation.organization)
}

/// The application names an organization beside its token.
fn within(app: App, organization: &str) -> App {
    let value = organization.parse().unwrap();
    let headers = [(reqwest::header::HeaderName::from_static("x-tidegate-organization"), value)];
    let client = reqwest::Client::builder().default_headers(headers.into_iter().collect()).no_proxy();
    App { client: client.timeout(seconds(60)).build().unwrap(), ..app }
}

/// The code of a refusal.
async fn refused(app: &App) -> (String, String) {
    let reply = app.expect(&Ask::chat("Hello"), 401).await;
    (reply.json()["error"]["code"].as_str().unwrap().to_owned(), reply.message())
}

/// One that says nothing beside its token.
fn stranger(installation: &Installation, token: &str) -> App {
    App::new(&installation.gateway(0).unwrap(), token)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_accounts_token_calls_as_its_rules_key_and_usage_tells_principals_apart() {
    let issuer = Issuer::start().await.unwrap();
    let installation = installation(&issuer).await;
    let claim = "/kubernetes.io/serviceaccount/name";
    let made = json!({"name": "shop", "team_id": installation.team, "issuer": issuer.url(), "audience": AUDIENCE,
        "claims": {"sub": [SUBJECT], claim: ["checkout"]}, "principal_claim": claim, "longest_life_seconds": 3600});
    let made = rule(&installation, "", &made).await;
    let app = bearer(&installation, &issuer.token("first", claims(SUBJECT)).unwrap());
    accepted(&app).await;
    // Both surfaces, both headers, streams too.
    for ask in Ask::all("Hello") {
        app.expect(&ask, 200).await;
    }
    let (status, own) = app.get("/v1/key").await.unwrap();
    assert_eq!((status, &own["name"]), (200, &json!("shop")), "{own}");
    until("usage is there", seconds(20), || async { usage(&installation.admin).await.1 >= 5 }).await;
    let by_tag = installation.admin.get("/usage?group_by=tag,key").await.unwrap();
    assert!(by_tag.to_string().contains("principal=checkout"), "{by_tag}");
    // What holds for the key holds for its principals.
    let key = made["key_id"].as_str().unwrap();
    installation.budget("shop", "0.000001", json!({"key": key})).await.unwrap();
    app.expect(&Ask::chat("Hello"), 402).await;
    installation.admin.post(&format!("/keys/{key}/pause?wait=fleet"), &json!({})).await.unwrap();
    app.expect(&Ask::chat("Hello"), 403).await;
    let path = format!("/trust-rules/{}?wait=fleet", made["id"].as_str().unwrap());
    installation.admin.delete(&path).await.unwrap();
    let refused = app.expect(&Ask::chat("Hello"), 401).await;
    assert_eq!(refused.json()["error"]["code"], "token_not_trusted", "{}", refused.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_foreign_and_stale_tokens_are_refused_and_leave_no_trace_in_logs() {
    let (issuer, evil) = (Issuer::start().await.unwrap(), Issuer::start().await.unwrap());
    let installation = installation(&issuer).await;
    let acme = json!({"name": "shop", "team_id": installation.team, "issuer": issuer.url(), "audience": AUDIENCE,
        "claims": {"sub": [SUBJECT]}});
    rule(&installation, "", &acme).await;
    let app = bearer(&installation, &issuer.token("first", claims(SUBJECT)).unwrap());
    accepted(&app).await;

    let header = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid, "typ": "JWT"});
    let own = |claims: Value| {
        let mut claims = claims;
        claims["iss"] = json!(issuer.url());
        claims
    };
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = |alg: &str| format!("{}.{}", encode(&header(alg, "first")), encode(&own(claims(SUBJECT))));
    let public = issuer.jwks()["keys"][0]["x"].as_str().unwrap().to_owned();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(public.as_bytes()).unwrap();
    mac.update(message("HS256").as_bytes());
    let hs256 = format!("{}.{}", message("HS256"), URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
    let signed = |claims: Value| issuer.token("first", claims).unwrap();
    let jumped = issuer.sign("first", &header("ES256", "../../first"), &own(claims(SUBJECT))).unwrap();
    let attacks = [
        ("no signature", format!("{}.", message("none")), "token_not_trusted"),
        ("the public key as a shared secret", hs256, "token_not_trusted"),
        ("another audience", signed(with("aud", json!("someone-else"))), "token_not_trusted"),
        ("another subject", signed(claims("system:serviceaccount:shop:attacker")), "token_not_trusted"),
        ("expired", signed(with("exp", json!(now() - 60))), "token_expired"),
        ("not yet", signed(with("nbf", json!(now() + 600))), "invalid_token"),
        ("no end", signed(with("exp", json!(null))), "invalid_token"),
        ("lives for ever", signed(with("exp", json!(now() + 40_000_000))), "invalid_token"),
        ("another issuer", evil.token("first", claims(SUBJECT)).unwrap(), "token_not_trusted"),
        ("another issuer's key", evil.token("first", own(claims(SUBJECT))).unwrap(), "token_not_trusted"),
        ("a path for a key", jumped, "token_not_trusted"),
        ("huge", signed(with("padding", json!("x".repeat(20_000)))), "invalid_token"),
    ];
    for (attack, token, code) in &attacks {
        for ask in [Ask::chat("Hello"), Ask::all("Hello")[2].clone()] {
            let refused = bearer(&installation, token).expect(&ask, 401).await;
            if !ask.messages {
                assert_eq!(refused.json()["error"]["code"], *code, "{attack}: {}", refused.text);
            }
        }
    }
    // Nothing of any token is in a log.
    let logs = installation.nodes[0].log() + &installation.control_planes[0].log();
    assert!(!logs.contains("eyJ") && !logs.contains(SUBJECT), "a token or its subject is in a log");
}

/// The same issuer, audience and claims in two organizations: whoever wrote first, each has its own callers, and
/// nobody can tell from a refusal what another organization trusts.
#[tokio::test(flavor = "multi_thread")]
async fn no_organization_takes_another_ones_callers_or_learns_whom_it_trusts() {
    let issuer = Issuer::start().await.unwrap();
    let installation = installation(&issuer).await;
    let platform = &installation.admin;
    let other = platform.post("/organizations", &json!({"slug": "other", "name": "other"})).await.unwrap();
    let other = other["id"].as_str().unwrap();
    let theirs = format!("organization={other}");
    let team = platform.post(&format!("/teams?{theirs}"), &json!({"name": "theirs"})).await.unwrap();
    let wish = |name: &str, team: &Value, audience: &str| json!({"name": name, "team_id": team, "issuer": issuer.url(), "audience": audience, "claims": {"sub": [SUBJECT]}});
    // The intruder comes first, for a fixed audience and (refused) for the other one's own.
    rule(&installation, &format!("&{theirs}"), &wish("intruder", &team["id"], AUDIENCE)).await;
    let bound = format!("tidegate/{}", installation.organization);
    let path = format!("/trust-rules?{theirs}");
    let body = wish("thief", &team["id"], &bound);
    let (status, _) = platform.send(reqwest::Method::POST, &path, Some(&body)).await.unwrap();
    assert_eq!(status, 422);
    let own = json!(installation.team);
    rule(&installation, "", &wish("shop", &own, AUDIENCE)).await;
    rule(&installation, "", &wish("bound", &own, &bound)).await;
    let fixed = issuer.token("first", claims(SUBJECT)).unwrap();
    let ours = bearer(&installation, &fixed);
    let intruder = within(stranger(&installation, &fixed), other);
    let by_audience = stranger(&installation, &issuer.token("first", with("aud", json!(bound))).unwrap());
    for (app, name) in [(&ours, "shop"), (&intruder, "intruder"), (&by_audience, "bound")] {
        until(name, seconds(20), || async {
            app.get("/v1/key").await.is_ok_and(|(status, key)| status == 200 && key["name"] == name)
        })
        .await;
    }
    // Without a word about the organization nobody's rules are asked.
    assert_eq!(refused(&stranger(&installation, &fixed)).await.0, "token_unbound");
    assert_eq!(refused(&within(stranger(&installation, &fixed), "acme")).await.0, "token_unbound");
    // An audience that says whose it is cannot be led elsewhere by a header.
    assert_eq!(refused(&within(by_audience.clone(), other)).await.0, "token_not_trusted");
    // Whoever cannot sign learns nothing: a rule that is there and one that is not answer alike.
    let forged = Issuer::start().await.unwrap();
    let forge = |kid: &str, mut claims: Value| {
        claims["iss"] = json!(issuer.url());
        forged.sign("first", &json!({"alg": "ES256", "kid": kid}), &claims).unwrap()
    };
    let asked = [
        ("no rule", with("sub", json!("nobody"))),
        ("a rule", claims(SUBJECT)),
        ("expired", with("exp", json!(now() - 600))),
        ("another audience", with("aud", json!("https://elsewhere.example"))),
    ];
    let mut answers = std::collections::BTreeSet::new();
    for (_, claims) in asked {
        for (kid, organization) in [("first", &*installation.organization), ("none", other)] {
            answers.insert(
                refused(&within(stranger(&installation, &forge(kid, claims.clone())), organization)).await,
            );
        }
    }
    let nobody = "org_00000000000000000000000009";
    answers.insert(refused(&within(stranger(&installation, &fixed), nobody)).await);
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers.first().unwrap().0, "token_not_trusted");
}

/// The operator's word leads callers that say nothing to the one organization it names, and changes nothing for any
/// other; whoever cannot sign does not learn that there is such a word.
#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_bound_by_the_operator_leads_to_its_organization_and_to_no_other() {
    let issuer = Issuer::start().await.unwrap();
    let installation = installation(&issuer).await;
    let platform = &installation.admin;
    let other = platform.post("/organizations", &json!({"slug": "other", "name": "other"})).await.unwrap();
    let other = other["id"].as_str().unwrap();
    let theirs = format!("organization={other}");
    let team = platform.post(&format!("/teams?{theirs}"), &json!({"name": "theirs"})).await.unwrap();
    let wish = |name: &str, team: &Value| json!({"name": name, "team_id": team, "issuer": issuer.url(), "audience": AUDIENCE, "claims": {"sub": [SUBJECT]}});
    let own = rule(&installation, "", &wish("ours", &json!(installation.team))).await;
    rule(&installation, &format!("&{theirs}"), &wish("theirs", &team["id"])).await;
    let token = issuer.token("first", claims(SUBJECT)).unwrap();
    let silent = stranger(&installation, &token);
    let is = async |app: &App, name: &str| {
        until(name, seconds(20), || async {
            app.get("/v1/key").await.is_ok_and(|(status, key)| status == 200 && key["name"] == name)
        })
        .await;
    };
    is(&bearer(&installation, &token), "ours").await;
    is(&within(silent.clone(), other), "theirs").await;
    let unbound = refused(&silent).await;
    assert_eq!(unbound.0, "token_unbound");

    let bind = async |organization: &str, audiences: Value| {
        let body = json!({"bound_issuers": {issuer.url(): audiences}});
        platform.patch(&format!("/organizations/{organization}?wait=fleet"), &body).await.unwrap()
    };
    bind(&installation.organization, json!([AUDIENCE])).await;
    assert_eq!(silent.get("/v1/key").await.unwrap().1["name"], "ours");
    for ask in Ask::all("Hello") {
        silent.expect(&ask, 200).await;
    }
    // A caller that says whose it is is that organization's, as before.
    is(&within(silent.clone(), other), "theirs").await;
    // The rules decide as ever, and only for what is bound; whoever does not fit hears what he heard before.
    let forged = Issuer::start().await.unwrap();
    let mut claimed = claims(SUBJECT);
    claimed["iss"] = json!(issuer.url());
    let header = json!({"alg": "ES256", "kid": "first"});
    let strangers = [
        ("another audience", issuer.token("first", with("aud", json!("https://elsewhere.example"))).unwrap()),
        ("another subject", issuer.token("first", claims("nobody")).unwrap()),
        ("another issuer", forged.token("first", claims(SUBJECT)).unwrap()),
        ("forged", forged.sign("first", &header, &claimed).unwrap()),
    ];
    for (whose, token) in &strangers {
        assert_eq!(refused(&stranger(&installation, token)).await, unbound, "{whose}");
    }
    // Who can sign hears what is wrong.
    let late = issuer.token("first", with("exp", json!(now() - 60))).unwrap();
    assert_eq!(refused(&stranger(&installation, &late)).await.0, "token_expired");

    // Without a rule of its own it leads nowhere, and never to the other one's.
    let path = format!("/trust-rules/{}?wait=fleet", own["id"].as_str().unwrap());
    platform.delete(&path).await.unwrap();
    assert_eq!(refused(&silent).await, unbound);
    // It is taken back, and may go to the other one then.
    bind(&installation.organization, Value::Null).await;
    assert_eq!(refused(&silent).await, unbound);
    bind(other, json!([])).await;
    assert_eq!(silent.get("/v1/key").await.unwrap().1["name"], "theirs");
    bind(other, Value::Null).await;
    assert_eq!(refused(&silent).await, unbound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_of_the_issuers_keys_refuses_nobody_for_long() {
    let issuer = Issuer::start().await.unwrap();
    let installation = installation(&issuer).await;
    let made =
        json!({"name": "shop", "team_id": installation.team, "issuer": issuer.url(), "audience": AUDIENCE});
    let made = rule(&installation, "", &made).await;
    let old = bearer(&installation, &issuer.token("first", claims(SUBJECT)).unwrap());
    accepted(&old).await;
    issuer.publish("second").unwrap();
    issuer.withdraw("first");
    let new = bearer(&installation, &issuer.token("second", claims(SUBJECT)).unwrap());
    let refused = new.expect(&Ask::chat("Hello"), 401).await;
    assert_eq!(refused.json()["error"]["code"], "token_not_trusted", "{}", refused.text);
    // Issuers are asked at most twice a minute; let the last time be longer ago.
    installation.sql("UPDATE trust_rules SET fetched_at = fetched_at - interval '1 minute'").unwrap();
    accepted(&new).await;
    old.expect(&Ask::chat("Hello"), 200).await;
    // After a leak nobody waits for the old key's time.
    let path = format!("/trust-rules/{}", made["id"].as_str().unwrap());
    let body = json!({"drop_withdrawn": true});
    installation.admin.post(&format!("{path}/refresh?wait=fleet"), &body).await.unwrap();
    let refused = old.expect(&Ask::chat("Hello"), 401).await;
    assert_eq!(refused.json()["error"]["code"], "token_not_trusted", "{}", refused.text);
    new.expect(&Ask::chat("Hello"), 200).await;
    let shown = installation.admin.get(&path).await.unwrap();
    assert_eq!(shown["keys"], json!([{"kid": "second", "algorithm": "ES256"}]));
}
