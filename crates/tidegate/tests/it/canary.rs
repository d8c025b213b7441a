//! Content and secrets are looked for in everything that an installation writes, keeps or tells: prompts,
//! answers, provider errors, credentials, keys. Each surface shows that it was read, and leaks that are planted
//! are found.

mod drive;
mod outside;
mod planted;
mod provider;
mod surfaces;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::json;
use tidegate_testkit::installation::{Installation, Shape};

use self::drive::{Callers, WORDS};
use self::outside::Outside;
use self::surfaces::surfaces;
use crate::support::{install, seconds, until};

/// Where secrets and content come from; each has a canary of its own.
const SOURCES: [&str; 14] = [
    "system", "prompt", "tool", "file", "metadata", "user", "header", "answer", "error", "stored", "brought",
    "schema", "image", "chunk",
];

/// The canary of a source: of this process alone, and long enough never to come about by chance.
fn canary(source: &str) -> String {
    format!("{}{source}x9f3Kq7", mark())
}

/// What all canaries begin with, of sixteen characters at least.
fn mark() -> String {
    format!("CNRY{:012}x", std::process::id())
}

/// Every form in which bytes may hold a text.
fn forms(text: &str) -> Vec<Vec<u8>> {
    if text.len() < 16 {
        return vec![text.as_bytes().to_vec()];
    }
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut forms = vec![text.as_bytes().to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes(), utf16];
    for shift in 0..3 {
        // What of the text lies on whole groups, whatever stands before it.
        let padded = [&b"\0\0"[..shift], text.as_bytes()].concat();
        let whole = STANDARD_NO_PAD.encode(&padded);
        let (from, to) = (if shift == 0 { 0 } else { 4 }, whole.len() / 4 * 4 - 4);
        forms.push(whole.as_bytes()[from..to].to_vec());
    }
    forms
}

fn holds(bytes: &[u8], text: &str) -> bool {
    forms(text).iter().any(|form| memchr::memmem::find(bytes, form).is_some())
}

/// A place where something may have been left, and what shows that it was read.
struct Surface {
    name: String,
    bytes: Vec<u8>,
    witness: String,
}

/// A budget that the next call uses up.
async fn tiny_budget(installation: &Installation, name: &str) {
    let body = json!({"name": name, "limit": "0.000000001", "window": {"every": "month"}, "enforcement": "soft",
        "scope": {"team": installation.team}, "count_byok": true, "alert_at_percent": [50]});
    installation.admin.post("/budgets?wait=fleet", &body).await.unwrap();
}

/// Everything that must not be found, with the names of what it is.
fn secrets(installation: &Installation, keys: &[&str]) -> Vec<(String, String)> {
    assert!(SOURCES.iter().all(|source| canary(source).starts_with(&mark())));
    let mut all = vec![("content".to_owned(), mark())];
    all.extend(keys.iter().map(|key| ("virtual key".to_owned(), (*key).to_owned())));
    all.push(("service token".to_owned(), installation.admin.token.clone()));
    // Names and slugs are in small letters.
    all.push(("content".to_owned(), mark().to_lowercase()));
    let kek = fs::read_to_string(installation.folder().join("key-encryption-key")).unwrap();
    all.push(("key-encryption key".to_owned(), kek.trim().to_owned()));
    all
}

/// Names of the surfaces that hold any of these.
fn leaks(surfaces: &[Surface], secrets: &[(String, String)]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for surface in surfaces {
        for (what, secret) in secrets {
            if holds(&surface.bytes, secret) {
                found.insert(format!("{} in {}", what, surface.name));
            }
        }
    }
    found
}

/// Server processes can start no other program.
fn assert_confined(installation: &Installation) {
    for program in [&installation.control_planes[0], &installation.nodes[0]] {
        let status = Path::new("/proc").join(program.pid().to_string()).join("status");
        let status = fs::read_to_string(status).unwrap();
        assert!(status.contains("Seccomp:\t2"), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_and_secrets_are_nowhere_and_planted_leaks_are_found() {
    let (upstream, asked) = provider::echo().await;
    let mut installation = install(Shape { upstream: Some(upstream.clone()), ..Shape::default() }).await;
    let outside = Outside::start().await;
    outside.subscribe(&mut installation).await;
    let own = json!({"name": "own", "provider": "mock", "scope": "organization", "secret": {"api_key": canary("stored")}});
    installation.admin.post("/credentials?wait=fleet", &own).await.unwrap();
    let key_name = "witness-of-the-surfaces";
    let (id, capped) = installation.key(key_name, &json!({})).await.unwrap();
    installation.budget("all", "50.00", json!({"key": id})).await.unwrap();
    let (_, free) = installation.key("without a cap", &json!({})).await.unwrap();
    tiny_budget(&installation, "tiny").await;
    drive::models_of_all_kinds(&installation).await;
    let callers = Callers::of(&installation, &capped, &free);
    callers.canaries_are_on_their_way().await;
    callers.kept_answers_stay_in_memory().await;
    let calls = callers.drive().await;
    assert_confined(&installation);
    // A node that dies in the middle of an answer leaves nothing of it on its disk.
    callers.linger(&asked).await;
    let counted = surfaces::of_driven_node(&installation).await;
    installation.nodes[0].kill();
    let left = surfaces::of_killed_node(&installation);
    installation.restart_node(0).await.unwrap();
    let app = Callers::of(&installation, &capped, &free).capped;

    let arrived = || async {
        let all = installation.admin.get("/calls?limit=1000").await.unwrap();
        all["data"].as_array().is_some_and(|all| all.len() >= calls)
    };
    until("the records arrive", seconds(30), arrived).await;
    // The provider has seen those of requests.
    let seen = asked.lock().unwrap().concat();
    for source in ["system", "prompt", "tool", "file", "image", "schema", "user"] {
        assert!(holds(&seen, &canary(source)), "{source} was never sent");
    }
    for word in WORDS {
        let files = drive::with_files(&format!("{word} {}", canary("prompt")));
        assert!(holds(&seen, &files), "{word} with files never came to the provider");
    }

    outside.heard("credential.failing", "gen_ai.").await;
    let secrets = secrets(&installation, &[capped.as_str(), free.as_str()]);
    let mut all = surfaces(&installation, &outside, &app, key_name).await;
    all.extend([counted, left]);
    assert!(all.len() >= 50, "{} surfaces", all.len());
    for surface in &all {
        assert!(
            holds(&surface.bytes, &surface.witness),
            "{} was not read: no {:?}",
            surface.name,
            surface.witness
        );
    }
    assert_eq!(leaks(&all, &secrets), BTreeSet::new());
    let place = planted::Place {
        installation: &installation,
        outside: &outside,
        app: &app,
        key_name,
        upstream: &upstream,
    };
    place.planted_leaks_are_found(&secrets).await;
}
