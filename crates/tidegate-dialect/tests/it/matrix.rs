//! What becomes of each feature on its way from each surface to each kind of provider: found by
//! sending a sample, compared with `docs/dialects.md`. Nothing may be lost without a reason.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;
use tidegate_dialect::outbound;
use tidegate_dialect::read::{self, Outside};
use tidegate_dialect::registry::{Carriage, fields, left_out, nested};
use tidegate_dialect::{Dialect, RequestError};

use crate::support::{edits, file};

const TARGETS: [Dialect; 6] = [
    Dialect::OpenaiChat,
    Dialect::OpenaiResponses,
    Dialect::AnthropicMessages,
    Dialect::Gemini,
    Dialect::BedrockConverse,
    Dialect::CohereChat,
];

const SURFACES: [Dialect; 6] = [
    Dialect::OpenaiChat,
    Dialect::OpenaiResponses,
    Dialect::AnthropicMessages,
    Dialect::Gemini,
    Dialect::BedrockConverse,
    Dialect::AiSdk,
];

/// A sample laid over the base: objects are merged, everything else is replaced.
fn merged(base: &Value, over: &Value) -> Value {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            let mut out = base.clone();
            for (key, value) in over {
                let value = base.get(key).map_or_else(|| value.clone(), |base| merged(base, value));
                out.insert(key.clone(), value);
            }
            Value::Object(out)
        }
        (_, over) => over.clone(),
    }
}

fn sent(surface: Dialect, target: Dialect, body: &Value) -> Result<Value, RequestError> {
    let named = body.get("model").is_some();
    let outside = match (named, surface) {
        (true, _) => Outside::default(),
        (false, _) => Outside { model: Some("m"), stream: Some(false), ..Outside::default() },
    };
    let call = read::call(surface, outside, serde_json::to_vec(body).unwrap().into())?;
    let bytes = outbound::request(&call, target, &edits("upstream-model"))?;
    Ok(serde_json::from_slice(&bytes).unwrap())
}

/// What became of a sample.
fn fate(surface: Dialect, target: Dialect, name: &str, base: &Value, over: &Value) -> String {
    let (over, plain) = match over.get("with") {
        Some(with) => (with, merged(base, &over["without"])),
        None => (over, base.clone()),
    };
    let plain = match sent(surface, target, &plain) {
        Ok(plain) => plain,
        // What it is a feature of has no place there.
        Err(RequestError::Untranslatable { field, why }) => return format!("refused: `{field}`: {why}"),
        Err(error) => panic!("{surface:?} {name}: {error}"),
    };
    match sent(surface, target, &merged(base, over)) {
        Ok(body) if body != plain => "carried".to_owned(),
        Ok(_) => match untold(target, name).or_else(|| reason(surface, over)) {
            Some(reason) => format!("left out: {reason}"),
            None => "LOST".to_owned(),
        },
        Err(RequestError::Untranslatable { field, why }) => format!("refused: `{field}`: {why}"),
        Err(error) => format!("refused: {error}"),
    }
}

/// Why a provider of this dialect is not told.
fn untold(target: Dialect, name: &str) -> Option<&'static str> {
    left_out(target).iter().find(|(feature, _)| *feature == name).map(|(_, why)| *why)
}

/// The registry's reason for leaving out a field of the sample.
fn reason(surface: Dialect, over: &Value) -> Option<&'static str> {
    let words = serde_json::to_string(over).unwrap();
    let all = fields(surface).iter().chain(nested(surface));
    all.filter(|field| {
        let last = field.name.rsplit('.').next().unwrap_or(field.name).trim_end_matches("[]");
        words.contains(&format!("\"{last}\""))
    })
    .find_map(|field| match field.carriage {
        Carriage::Dropped(why) => Some(why),
        _ if says_nothing(field.name, field.harmless, over) => Some("says what is so without it"),
        Carriage::Carried(_) | Carriage::Refused(_) => None,
    })
}

fn says_nothing(name: &str, harmless: &[&[u8]], over: &Value) -> bool {
    let written = over.get(name).map(Value::to_string).unwrap_or_default();
    harmless.contains(&written.as_bytes())
}

/// Options for the gateway itself: what each does.
fn options(out: &mut String) {
    out.push_str("## `providerOptions.gateway`\n\n");
    out.push_str("Values of other types are refused. Options without effect yet, and fields of other names, are named in `warnings` where the answer has them.\n\n");
    out.push_str("| option | |\n|---|---|\n");
    for field in tidegate_dialect::registry::gateway::FIELDS {
        match field.carriage {
            Carriage::Carried(what) => writeln!(out, "| `{}` | {what} |", field.name),
            Carriage::Dropped(why) => {
                writeln!(out, "| `{}` | checked, without effect yet: {why} |", field.name)
            }
            Carriage::Refused(why) => writeln!(out, "| `{}` | refused: {why} |", field.name),
        }
        .unwrap();
    }
}

fn document() -> String {
    let mut out = String::from(
        "# Dialects\n\nWhat becomes of a request's features when the provider speaks another dialect than the client. Made from \
         `crates/tidegate-dialect/testdata/features` by its tests (`UPDATE_DOCS=1 cargo nextest run -p tidegate-dialect matrix`), \
         which send each sample and look at what comes out: **nothing is lost in silence**. In the same dialect everything passes as \
         it is, but for the edits of the first table; unknown fields pass too, except under a strict budget or zero \
         data retention, where they are refused by name.\n\n",
    );
    crate::edits::document(&mut out);
    options(&mut out);
    let mut lost: Vec<String> = Vec::new();
    for surface in SURFACES {
        let samples: Value =
            serde_json::from_slice(&file(&format!("features/{}.json", surface.as_str()))).unwrap();
        let features: BTreeMap<String, Value> = serde_json::from_value(samples["features"].clone()).unwrap();
        let targets: Vec<_> = TARGETS.into_iter().filter(|target| *target != surface).collect();
        write!(out, "\n## From `{}`\n\n| feature |", surface.as_str()).unwrap();
        targets.iter().for_each(|target| write!(out, " {} |", target.as_str()).unwrap());
        write!(out, "\n|---|{}\n", "---|".repeat(targets.len())).unwrap();
        let mut notes: Vec<String> = Vec::new();
        for (name, over) in &features {
            write!(out, "| {name} |").unwrap();
            for target in &targets {
                let fate = fate(surface, *target, name, &samples["base"], over);
                if fate == "LOST" {
                    lost.push(format!("{name} of {surface:?} to {target:?}"));
                }
                match fate.split_once(": ") {
                    None => write!(out, " {fate} |").unwrap(),
                    Some((word, why)) => {
                        let at = notes.iter().position(|note| note == why).unwrap_or_else(|| {
                            notes.push(why.to_owned());
                            notes.len() - 1
                        });
                        write!(out, " {word} ({}) |", at + 1).unwrap();
                    }
                }
            }
            out.push('\n');
        }
        out.push('\n');
        for (at, note) in notes.iter().enumerate() {
            writeln!(out, "{}. {note}", at + 1).unwrap();
        }
    }
    assert!(lost.is_empty(), "lost in silence:\n{}", lost.join("\n"));
    out
}

#[test]
fn the_documented_fate_of_every_feature_is_what_happens() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/dialects.md");
    let made = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == made,
        "docs/dialects.md is not what happens; run with UPDATE_DOCS=1 and read the difference"
    );
}

#[test]
fn a_lost_feature_would_be_noticed() {
    // The detector's own test: a member that nobody reads and no registry explains.
    let base = serde_json::json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let same = serde_json::json!({"messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(fate(Dialect::OpenaiChat, Dialect::AnthropicMessages, "nothing", &base, &same), "LOST");
}
