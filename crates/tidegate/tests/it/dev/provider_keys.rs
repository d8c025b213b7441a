//! Real providers: their usual keys in the environment, and what becomes of these.

use std::fs;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use super::Dev;
use crate::support::{Ask, seconds, within};

/// The key of the first start, the one that takes its place, another provider's, and one that cannot be a key.
const FIRST: &str = "sk-proj-first-x9f3Kq7planted";
const SECOND: &str = "sk-proj-second-x9f3Kq7planted";
const OTHER: &str = "sk-ant-other-x9f3Kq7planted";
const BROKEN: &str = "gsk_broken-x9f3Kq7planted\nin two lines";
/// What all of them hold.
const MARK: &str = "x9f3Kq7planted";

const MODEL: &str = "openai/gpt-4o-mini";

impl Dev {
    async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let values = self.values();
        let url = format!("{}/api/v1{path}", values["control_url"].as_str().unwrap());
        let mut request = self.app().client.request(method, url);
        request = request.bearer_auth(values["admin_token"].as_str().unwrap());
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let (status, body) = (answer.status(), answer.json().await.unwrap_or_default());
        assert!(status.is_success(), "{path}: {status}: {body}");
        body
    }

    /// A provider as it is now.
    async fn provider(&self, slug: &str) -> Value {
        let all = self.admin(Method::GET, "/providers?limit=1000", None).await;
        let found = all["data"].as_array().unwrap().iter().find(|one| one["slug"] == slug).cloned();
        found.unwrap_or_else(|| panic!("no provider {slug}: {all}"))
    }

    /// By which of the keys a call was signed in at the provider, which the simulator plays.
    async fn signed_in_by(&self) -> String {
        let rule = |key: &str, text: &str| json!({"when": {"key": key}, "then": {"text": text}});
        let rules = json!({"rules": [rule(FIRST, "the first"), rule(SECOND, "the second")]});
        let script = format!("{}/script", self.values()["simulator_url"].as_str().unwrap());
        assert!(self.app().client.post(script).json(&rules).send().await.unwrap().status().is_success());
        let reply = self.app().expect(&Ask::chat("Hello").model(MODEL), 200).await;
        let body: Value = serde_json::from_str(&reply.text).unwrap();
        body["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    }
}

/// Whether a file in or below a folder holds these bytes.
fn holds(folder: &Path, bytes: &str) -> bool {
    fs::read_dir(folder).unwrap().flatten().any(|entry| {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        match kind.is_dir() {
            true => holds(&path, bytes),
            false if kind.is_file() => {
                memchr::memmem::find(&fs::read(&path).unwrap(), bytes.as_bytes()).is_some()
            }
            false => false,
        }
    })
}

#[tokio::test]
async fn a_providers_key_of_the_environment_is_used_never_shown_and_gives_way_to_a_later_one() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let keys = [("OPENAI_API_KEY", FIRST), ("ANTHROPIC_API_KEY", OTHER), ("GROQ_API_KEY", BROKEN)];
    let dev = Dev::start_with(&state, &keys).await;
    assert_eq!(dev.provider("anthropic").await["base_url"], "https://api.anthropic.com/v1");
    let provider = dev.provider("openai").await;
    assert_eq!(provider["base_url"], "https://api.openai.com/v1");
    let warning = "the key of Groq is not used";
    assert!(dev.output().contains(warning), "{}", dev.output());

    let path = format!("/providers/{}?wait=fleet", provider["id"].as_str().unwrap());
    let simulated = format!("{}/openai/v1", dev.values()["simulator_url"].as_str().unwrap());
    dev.admin(Method::PATCH, &path, Some(json!({"base_url": simulated}))).await;
    assert_eq!(dev.signed_in_by().await, "the first");
    let known = dev.values()["virtual_key"].as_str().unwrap().to_owned();
    dev.interrupt().await;
    assert!(holds(folder.path(), &known), "positive control: what is kept in clear is found");
    assert!(!holds(folder.path(), MARK), "no key is written or printed in clear");

    let dev = Dev::start_with(&state, &[("OPENAI_API_KEY", SECOND)]).await;
    assert_eq!(dev.provider("openai").await["base_url"], simulated, "what was set since then stays");
    // The node starts by what it has, and hears of the later one.
    within("the later key is used", seconds(5), || async { dev.signed_in_by().await == "the second" }).await;
    dev.interrupt().await;
    assert!(!holds(folder.path(), MARK), "no key is written or printed in clear");
}
