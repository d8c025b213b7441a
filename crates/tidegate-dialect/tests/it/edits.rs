//! The closed table of edits, at the head of `docs/dialects.md`: rich bodies that stay in their dialect pass
//! byte for byte except at its places, and every place of it is edited by some of them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bytes::Bytes;
use tidegate_dialect::Dialect;
use tidegate_dialect::answer::{AnswerFacts, Costing, Note, NotePlace, complete};
use tidegate_dialect::json::{Kind, Value};
use tidegate_dialect::outbound::{Edits, LimitKey, request};
use tidegate_dialect::read::{self, Outside};
use tidegate_dialect::sse::Reader;
use tidegate_types::NanoUsd;

use crate::support::{edits, facts, file, run_raw};

const CHAT: Dialect = Dialect::OpenaiChat;
const RESPONSES: Dialect = Dialect::OpenaiResponses;
const ANTHROPIC: Dialect = Dialect::AnthropicMessages;
const GEMINI: Dialect = Dialect::Gemini;
const BEDROCK: Dialect = Dialect::BedrockConverse;
const COHERE: Dialect = Dialect::CohereChat;
const ALL: &[Dialect] = &[CHAT, RESPONSES, ANTHROPIC, GEMINI, BEDROCK, COHERE];
const NAMING: &[Dialect] = &[CHAT, RESPONSES, ANTHROPIC, COHERE];

const IN_MESSAGES: &[Dialect] = &[CHAT, ANTHROPIC, BEDROCK, COHERE];

/// When an edit is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum When {
    Sent,
    Granted,
    Zdr,
    Unasked,
    Caching,
    Answered,
    AnsweredPydantic,
    AnsweredMlflow,
    AnsweredGroq,
    Streamed,
}

impl When {
    fn text(self) -> &'static str {
        match self {
            Self::Sent => "every request",
            Self::Granted => "a hard budget grants less than was asked for, or no limit was",
            Self::Zdr => "zero data retention",
            Self::Unasked => "a stream whose client did not ask for usage",
            Self::Caching => "`caching: auto`, where no marker stands",
            Self::Answered => "every answer with usage",
            Self::AnsweredPydantic => "every answer with usage, on `/proxy/…`",
            Self::AnsweredMlflow => {
                "every answer with usage, on `/gateway/mlflow/…` and `/gateway/…/mlflow/invocations`"
            }
            Self::AnsweredGroq => "streams on `/proxy/{route}/openai/v1/…`, the paths of Groq's client",
            Self::Streamed => "a stream whose client did not ask for usage, answered",
        }
    }
}

/// An edit: where, in which dialects, what, when.
struct Row(&'static [Dialect], &'static str, &'static str, When);

const TABLE: &[Row] = &[
    Row(NAMING, "model", "the provider's name of it", When::Sent),
    Row(&[GEMINI], "model", "taken out: the path names it", When::Sent),
    Row(ALL, "providerOptions", "taken out", When::Sent),
    Row(ALL, "models", "taken out", When::Sent),
    Row(ALL, "provider", "taken out", When::Sent),
    Row(&[CHAT, RESPONSES, ANTHROPIC, BEDROCK, COHERE], "caching", "taken out", When::Sent),
    Row(&[RESPONSES], "cache_anchor_items", "taken out", When::Sent),
    Row(&[RESPONSES], "cache_ttl", "taken out", When::Sent),
    Row(
        IN_MESSAGES,
        "messages[].provider_metadata",
        "taken out: put there by the gateway, sent back by SDKs",
        When::Sent,
    ),
    Row(
        IN_MESSAGES,
        "messages[].provider_specific_fields",
        "taken out: the same by way of LiteLLM",
        When::Sent,
    ),
    Row(
        &[RESPONSES],
        "input",
        "reasoning that was sealed here for another dialect's provider, and the same two members of items: taken out",
        When::Sent,
    ),
    Row(
        &[ANTHROPIC],
        "messages[].content",
        "reasoning without its maker's signature, written here: taken out",
        When::Sent,
    ),
    Row(&[CHAT], "max_completion_tokens", "the grant", When::Granted),
    Row(
        &[CHAT],
        "max_tokens",
        "the grant; for providers that know only this key, in place of the other",
        When::Granted,
    ),
    Row(&[RESPONSES], "max_output_tokens", "the grant", When::Granted),
    Row(&[ANTHROPIC, COHERE], "max_tokens", "the grant", When::Granted),
    Row(&[GEMINI], "generationConfig.maxOutputTokens", "the grant", When::Granted),
    Row(&[GEMINI], "generationConfig", "added with the grant", When::Granted),
    Row(&[BEDROCK], "inferenceConfig.maxTokens", "the grant", When::Granted),
    Row(&[BEDROCK], "inferenceConfig", "added with the grant", When::Granted),
    Row(&[CHAT, RESPONSES], "store", "false", When::Zdr),
    Row(&[GEMINI], "store", "false, where it stands", When::Zdr),
    Row(&[CHAT], "stream_options.include_usage", "true, where the provider knows it", When::Unasked),
    Row(&[CHAT], "stream_options", "added with it", When::Unasked),
    Row(&[ANTHROPIC], "cache_control", "`{\"type\":\"ephemeral\"}`", When::Caching),
    Row(&[CHAT, ANTHROPIC, RESPONSES], "usage.cost", "the cost", When::Answered),
    Row(&[RESPONSES], "response.usage.cost", "the cost (streams)", When::Answered),
    Row(
        &[CHAT],
        "choices[].message.provider_metadata",
        "`gateway`: generation and cost; `routing` too where the request has options of the gateway",
        When::Answered,
    ),
    Row(
        &[CHAT],
        "choices[].delta.provider_metadata",
        "the same, of the chunk that has the usage",
        When::Streamed,
    ),
    Row(&[CHAT, ANTHROPIC], "usage.logfire_ai_gateway", "the cost", When::AnsweredPydantic),
    Row(&[RESPONSES], "usage.logfire_ai_gateway", "the cost", When::AnsweredPydantic),
    Row(&[RESPONSES], "response.usage.logfire_ai_gateway", "the cost (streams)", When::AnsweredPydantic),
    Row(&[CHAT], "provider", "slug of the provider that answered", When::AnsweredMlflow),
    Row(
        &[CHAT],
        "x_groq",
        "of the chunk that has the usage: the usage, unless it is there",
        When::AnsweredGroq,
    ),
    Row(&[CHAT], "usage", "of the last chunk with a choice: the usage", When::Streamed),
    Row(&[CHAT], "(chunk without choices)", "left out: its usage has been told", When::Streamed),
];

/// The table for people.
pub(crate) fn document(out: &mut String) {
    out.push_str("## The same dialect in and out\n\n");
    out.push_str("Bytes pass as they are, unknown fields and events among them, except at these places.\n\n");
    out.push_str("| dialect | where | becomes | when |\n|---|---|---|---|\n");
    for Row(dialects, place, becomes, when) in TABLE {
        let names: Vec<&str> = dialects.iter().map(|dialect| dialect.as_str()).collect();
        let names = if *dialects == ALL { "every".to_owned() } else { names.join(", ") };
        writeln!(out, "| {names} | `{place}` | {becomes} | {} |", when.text()).unwrap();
    }
    out.push_str(
        "\nBesides: a provider's entry may name top-level fields that it does not take (`drops`, `refuses`). Answers of Gemini and \
         Converse pass untouched: their clients' schemas are strict, so on `/proxy/…` the header `logfire-ai-gateway-cost` tells the cost. \
         A stream that breaks off gets an error event at its end. Embeddings, images, speech, transcripts and rerankings in their own \
         family: `model` and the gateway's fields, and `usage.cost` where the answer has a usage.\n\n\
         Searches of the web that a provider runs need a price of searches on every surface, and are counted as answers tell them: \
         `server_tool_use.web_search_requests` (Anthropic), `tool_usage.web_search.num_requests` (responses), one for a chat completion \
         that cites pages, the queries of `groundingMetadata` (Gemini 3; one a prompt before), calls of `nova_grounding` (Bedrock). \
         Groq's `x_groq.usage` counts as usage where a stream tells no other.\n\n",
    );
}

/// What differs, by path without indices.
fn differences(before: &[u8], after: &[u8]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    differ(&Value::parse(before).unwrap(), &Value::parse(after).unwrap(), "", &mut found);
    found
}

fn differ(before: &Value<'_>, after: &Value<'_>, path: &str, found: &mut BTreeSet<String>) {
    if before.raw() == after.raw() {
        return;
    }
    match (before.kind(), after.kind()) {
        (Kind::Object, Kind::Object) => {
            let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            for member in before.members() {
                match after.get(&member.key) {
                    Some(value) => differ(&member.value, &value, &join(&member.key), found),
                    None => drop(found.insert(join(&member.key))),
                }
            }
            let new = after.members().filter(|member| before.get(&member.key).is_none());
            found.extend(new.map(|member| join(&member.key)));
        }
        (Kind::Array, Kind::Array) if before.elements().count() == after.elements().count() => {
            let pairs = before.elements().zip(after.elements());
            pairs.for_each(|(before, after)| differ(&before, &after, &format!("{path}[]"), found));
        }
        _ => drop(found.insert(path.to_owned())),
    }
}

fn folder(dialect: Dialect) -> &'static str {
    match dialect {
        CHAT => "openai",
        RESPONSES => "responses",
        ANTHROPIC => "anthropic",
        GEMINI => "gemini",
        BEDROCK => "bedrock",
        _ => "cohere",
    }
}

/// A rich body in which the gateway's fields stand, and a field that nobody knows.
fn rich(dialect: Dialect) -> String {
    let text = String::from_utf8(file(&format!("{}/full.json", folder(dialect))).to_vec()).unwrap();
    let mut added = String::from(r#"{"x_novel" : {"a":[1e400,"\u00e9"]},"#);
    let root = text.clone();
    let root = Value::parse(root.as_bytes()).unwrap();
    for (key, value) in [
        ("providerOptions", r#"{"gateway":{"tags":["t"]}}"#),
        ("models", r#"["x/y"]"#),
        ("provider", r#"{"sort":"cost"}"#),
        ("caching", "null"),
        ("cache_anchor_items", "2"),
        ("cache_ttl", r#""5m""#),
        ("model", r#""m""#),
        ("store", "true"),
    ] {
        let known = tidegate_dialect::registry::find(dialect, key).is_some();
        if known && root.get(key).is_none() {
            write!(added, r#""{key}":{value},"#).unwrap();
        }
    }
    let text = text.replacen('{', &added, 1).replace(r#""store": false"#, r#""store": true"#);
    let foreign = r#""content": [{"type": "thinking", "thinking": "t", "signature": "google-gemini-v1:s"},"#;
    let text = match (dialect, text.find(r#""role": "assistant""#)) {
        (ANTHROPIC, Some(at)) => {
            let (before, after) = text.split_at(at);
            format!("{before}{}", after.replacen(r#""content": ["#, foreign, 1))
        }
        _ => text,
    };
    let echoes = r#""role": "user", "provider_metadata": {"a": 1}, "provider_specific_fields": {"a": 1},"#;
    // Gemini's answers carry no such thing, and so nobody sends it back.
    if dialect == GEMINI { text } else { text.replacen(r#""role": "user","#, echoes, 1) }
}

/// What of the body changes on its way to a provider of its dialect.
fn changed(dialect: Dialect, body: &str, edits: &Edits<'_>) -> BTreeSet<String> {
    let model = (!NAMING.contains(&dialect)).then_some("m");
    let outside = Outside { model, stream: model.map(|_| true), ..Outside::default() };
    let call = read::call(dialect, outside, body.to_owned().into()).unwrap();
    differences(body.as_bytes(), &request(&call, dialect, edits).unwrap())
}

/// The body without these members, wherever they are.
fn without(body: &str, names: &[&str]) -> String {
    names
        .iter()
        .fold(body.to_owned(), |body, name| body.replace(&format!("\"{name}\""), &format!("\"x_{name}\"")))
}

fn requests(dialect: Dialect, when: When) -> BTreeSet<String> {
    let body = rich(dialect);
    let plain = edits("upstream-model");
    match when {
        When::Sent => changed(dialect, &body, &plain),
        When::Granted => {
            const LIMITS: [&str; 7] = [
                "max_tokens",
                "max_completion_tokens",
                "max_output_tokens",
                "maxOutputTokens",
                "generationConfig",
                "maxTokens",
                "inferenceConfig",
            ];
            let granted = Edits { output_limit: Some(3), ..plain };
            let old = Edits { limit_key: LimitKey::MaxTokens, ..granted.clone() };
            let none = without(&body, &LIMITS);
            let inside = without(&body, &["maxOutputTokens", "maxTokens"]);
            [(&body, &granted), (&body, &old), (&none, &granted), (&inside, &granted)]
                .into_iter()
                .flat_map(|(body, edits)| changed(dialect, body, edits))
                .collect()
        }
        When::Zdr => changed(dialect, &body, &Edits { no_store: true, ..plain }),
        When::Unasked => {
            let asks = body.replace(r#""include_usage": true"#, r#""include_usage": false"#);
            let silent = without(&body, &["stream_options"]);
            [asks, silent].iter().flat_map(|body| changed(dialect, body, &plain)).collect()
        }
        When::Caching => {
            let body = without(&body, &["cache_control"]);
            changed(dialect, &body.replace(r#""caching":null"#, r#""caching":"auto""#), &plain)
        }
        _ => BTreeSet::new(),
    }
}

fn noted(place: NotePlace, asked_usage: bool) -> AnswerFacts {
    let note = Note {
        generation_id: "gen_1".into(),
        costing: Costing::new(|usage| NanoUsd::new(i64::try_from(usage.input_tokens).unwrap())),
        provider: "acme".to_owned(),
        place,
        routing: None,
    };
    AnswerFacts { note: Some(note), ..facts(asked_usage) }
}

/// Payloads of events that are JSON.
fn payloads(stream: &Bytes, dialect: Dialect) -> Vec<Vec<u8>> {
    let ready = match dialect {
        BEDROCK => tidegate_dialect::eventstream::Reader::default().feed(stream),
        _ => Reader::default().feed(stream),
    };
    let data = ready.events().map(|event| event.data().into_owned());
    data.filter(|data| data.starts_with(b"{")).collect()
}

fn bare(chunk: &[u8]) -> bool {
    let root = Value::parse(chunk).unwrap();
    root.get("choices").is_some_and(|choices| choices.elements().next().is_none())
        && root.get("prompt_filter_results").is_none()
}

fn answers(dialect: Dialect, when: When) -> BTreeSet<String> {
    let (place, asked) = match when {
        When::AnsweredPydantic => (NotePlace::Logfire, true),
        When::AnsweredMlflow => (NotePlace::Mlflow, true),
        When::AnsweredGroq => (NotePlace::Groq, true),
        _ => (NotePlace::ProviderMetadata, when != When::Streamed),
    };
    let facts = noted(place, asked);
    let mut found = BTreeSet::new();
    let body = file(&format!("{}/answer.json", folder(dialect)));
    if when != When::Streamed {
        found.extend(differences(&body, &complete(dialect, dialect, &body, &facts).unwrap().bytes));
    }
    for name in ["text", "tools"] {
        let kind = if dialect == BEDROCK { "bin" } else { "sse" };
        let input = file(&format!("{}/stream_{name}.{kind}", folder(dialect)));
        let before = payloads(&input, dialect);
        let after = payloads(&run_raw(dialect, &facts, &input), dialect);
        let (before, dropped): (Vec<_>, Vec<_>) = match (dialect, asked) {
            (CHAT, false) => before.into_iter().partition(|chunk| !bare(chunk)),
            _ => (before, Vec::new()),
        };
        if !dropped.is_empty() {
            found.insert("(chunk without choices)".to_owned());
        }
        assert_eq!(before.len(), after.len(), "{dialect:?} {name}: events lost or invented");
        before.iter().zip(&after).for_each(|(before, after)| found.extend(differences(before, after)));
    }
    found
}

#[test]
fn only_what_the_table_lists_is_edited_and_all_of_it_is() {
    let listed = |dialect: Dialect, whens: &[When]| -> BTreeSet<String> {
        let rows = TABLE.iter().filter(|row| row.0.contains(&dialect) && whens.contains(&row.3));
        rows.map(|row| row.1.to_owned()).collect()
    };
    let mut wrong = Vec::new();
    let mut hold = |dialect: Dialect, when: When, seen: BTreeSet<String>, also: &[When]| {
        let (own, all) = (listed(dialect, &[when]), listed(dialect, &[&[when], also].concat()));
        seen.difference(&all)
            .for_each(|place| wrong.push(format!("{dialect:?} {when:?}: {place} is not listed")));
        own.difference(&seen)
            .for_each(|place| wrong.push(format!("{dialect:?} {when:?}: {place} is not edited")));
    };
    for dialect in ALL.iter().copied() {
        for when in [When::Sent, When::Granted, When::Zdr, When::Unasked, When::Caching] {
            hold(dialect, when, requests(dialect, when), &[When::Sent]);
        }
        let unified: &[When] = if dialect == CHAT { &[When::AnsweredMlflow] } else { &[] };
        for when in [&[When::Answered, When::AnsweredPydantic, When::Streamed], unified].concat() {
            hold(dialect, when, answers(dialect, when), &[When::Answered]);
        }
        if dialect == CHAT {
            hold(
                dialect,
                When::AnsweredGroq,
                answers(dialect, When::AnsweredGroq),
                &[When::AnsweredPydantic],
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_edit_that_is_not_listed_would_be_noticed() {
    let found = |after: &str| differences(br#"{"a":{"b":[1,{"c":2.0}]},"d":"\u0041"}"#, after.as_bytes());
    let set = |paths: &[&str]| paths.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(found(r#"{"a":{"b":[1,{"c":2}]},"d":"\u0041"}"#), set(&["a.b[].c"]));
    assert_eq!(found(r#"{"a":{"b":[1,{"c":2.0}]},"d":"A"}"#), set(&["d"]));
    assert_eq!(found(r#"{"a":{"b":[1]},"d":"\u0041","e":null}"#), set(&["a.b", "e"]));
}
