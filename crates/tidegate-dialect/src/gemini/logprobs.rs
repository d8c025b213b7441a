//! Log probabilities as Gemini writes them: what was chosen and what else was likely, in two lists.
//! Source: `LogprobsResult` of the REST references, read November 2026.

use crate::canonical::Logprobs;
use crate::json::{Value, Writer};

/// Those of a candidate.
pub(super) fn read(candidate: &Value<'_>) -> Logprobs {
    let mut found = Logprobs::default();
    let Some(result) = candidate.get("logprobsResult") else { return found };
    let (chosen, top) = (result.get("chosenCandidates"), result.get("topCandidates"));
    let mut others = top.iter().flat_map(Value::elements);
    for token in chosen.iter().flat_map(Value::elements) {
        let likely = others.next().and_then(|position| position.get("candidates"));
        let mut json = Writer::new();
        json.object(|json| {
            entry(json, &token);
            json.key("top_logprobs").array(|json| {
                for other in likely.iter().flat_map(Value::elements) {
                    json.object(|json| entry(json, &other));
                }
            });
        });
        found.push(&json.into_bytes());
    }
    found
}

/// A token as OpenAI writes it. A probability of one has the logarithm zero, which protobuf's JSON leaves out.
fn entry(json: &mut Writer, token: &Value<'_>) {
    let text = token.get("token").and_then(|text| text.text()).unwrap_or_default();
    json.key("token").text(&text).key("logprob");
    match token.get("logProbability").filter(|number| number.number().is_some()) {
        Some(number) => json.raw(number.raw()).done(),
        None => json.raw("0.0").done(),
    }
    json.key("bytes").array(|json| text.bytes().for_each(|byte| json.whole(u64::from(byte)).done()));
}

/// Writes the member of a candidate.
pub(super) fn write(json: &mut Writer, logprobs: &Logprobs) {
    let list = logprobs.list();
    let Ok(list) = Value::parse(&list) else { return };
    json.key("logprobsResult").object(|json| {
        json.key("chosenCandidates").array(|json| list.elements().for_each(|entry| candidate(json, &entry)));
        json.key("topCandidates").array(|json| {
            for entry in list.elements() {
                let likely = entry.get("top_logprobs");
                json.object(|json| {
                    json.key("candidates").array(|json| {
                        likely.iter().flat_map(Value::elements).for_each(|other| candidate(json, &other));
                    });
                });
            }
        });
    });
}

fn candidate(json: &mut Writer, entry: &Value<'_>) {
    json.object(|json| {
        for (key, theirs) in [("token", "token"), ("logProbability", "logprob")] {
            if let Some(value) = entry.get(theirs) {
                json.key(key).raw(value.raw());
            }
        }
    });
}
