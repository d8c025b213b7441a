//! Bodies that real SDKs sent.

use tidegate_dialect::Dialect;
use tidegate_dialect::outbound::request;

use crate::support::{ANTHROPIC, OPENAI, edits, file, read};

fn bodies(name: &str) -> Vec<String> {
    String::from_utf8(file(name).to_vec()).unwrap().lines().map(str::to_owned).collect()
}

fn accepted(surface: Dialect, target: Dialect, name: &str) {
    for body in bodies(name) {
        let call = read(surface, body.clone());
        assert_eq!(call.finding(&[tidegate_dialect::read::FindingKind::Unregistered]), None, "{body}");
        let sent = match request(&call, target, &edits("m")) {
            Ok(sent) => sent,
            // JSON mode without a schema is the one thing real clients ask for that Anthropic has not.
            Err(error) if body.contains("json_object") && error.path() == Some("response_format") => continue,
            Err(error) => panic!("{error}: {body}"),
        };
        let sent: serde_json::Value = serde_json::from_slice(&sent).unwrap();
        assert_eq!(sent["model"], "m");
        for gone in ["providerOptions", "models", "provider"] {
            assert!(sent.get(gone).is_none(), "{gone} is for the gateway");
        }
        assert!(!sent.to_string().contains("provider_metadata"));
    }
}

#[test]
fn openai_bodies_of_real_clients_pass_and_translate() {
    accepted(OPENAI, OPENAI, "captures/openai.jsonl");
    accepted(OPENAI, ANTHROPIC, "captures/openai.jsonl");
}

#[test]
fn anthropic_bodies_of_real_clients_pass_and_translate() {
    accepted(ANTHROPIC, ANTHROPIC, "captures/anthropic.jsonl");
    accepted(ANTHROPIC, OPENAI, "captures/anthropic.jsonl");
}
