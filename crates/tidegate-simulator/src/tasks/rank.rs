//! Reranking: documents that share more words with the query come first.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{Answered, Made, Received, object};
use crate::ask::{Invalid, count, only_known, text};
use crate::complete::{Counts, Units};
use crate::count::tokens;

/// Documents of one search unit, as Cohere bills them.
const PER_SEARCH: u64 = 100;

struct Asked {
    model: String,
    query: String,
    documents: Vec<String>,
    top: usize,
}

fn asked(body: &Map<String, Value>, known: &[&str]) -> Result<Asked, Invalid> {
    only_known(body, known, "")?;
    let documents = body.get("documents").and_then(Value::as_array).filter(|array| !array.is_empty());
    let documents: Option<Vec<String>> =
        documents.and_then(|array| array.iter().map(|item| item.as_str().map(str::to_owned)).collect());
    let documents = documents.ok_or_else(|| Invalid::new("documents must be strings", "documents"))?;
    let top = count(body.get("top_n"), 1, "top_n")?.map_or(documents.len(), |top| top as usize);
    Ok(Asked {
        model: text(body.get("model"), "model")?.to_owned(),
        query: text(body.get("query"), "query")?.to_owned(),
        top: top.min(documents.len()),
        documents,
    })
}

/// Places and scores, the best first.
fn ranked(asked: &Asked) -> Vec<(usize, f64)> {
    let words = |text: &str| -> HashSet<String> { text.split_whitespace().map(str::to_lowercase).collect() };
    let query = words(&asked.query);
    let score = |document: &String| {
        let shared = words(document).intersection(&query).count();
        (1 + shared) as f64 / (2 + query.len()) as f64
    };
    let mut scores: Vec<(usize, f64)> = asked.documents.iter().map(score).enumerate().collect();
    scores.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    scores.truncate(asked.top);
    scores
}

pub(super) fn cohere(received: &Received<'_>) -> Answered {
    let body = object(received.body)?;
    let asked = asked(&body, &["model", "query", "documents", "top_n", "max_tokens_per_doc", "priority"])?;
    let searches = (asked.documents.len() as u64).div_ceil(PER_SEARCH);
    let results: Vec<Value> = ranked(&asked)
        .iter()
        .map(|(index, score)| json!({"index": index, "relevance_score": score}))
        .collect();
    let answer = json!({"id": "sim", "results": results,
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": searches}}});
    let counts = Counts { units: Units { searches, ..Units::default() }, ..Counts::default() };
    Ok(Made::json(&asked.model, &asked.query, &answer, counts))
}

pub(super) fn jina(received: &Received<'_>) -> Answered {
    let body = object(received.body)?;
    let asked = asked(&body, &["model", "query", "documents", "top_n", "return_documents"])?;
    let query = tokens(&asked.query);
    let input = asked.documents.iter().map(|document| query + tokens(document)).sum();
    let shown = body.get("return_documents") != Some(&json!(false));
    let result = |(index, score): &(usize, f64)| {
        let mut result = json!({"index": index, "relevance_score": score});
        if let Some(document) = asked.documents.get(*index).filter(|_| shown) {
            result["document"] = json!({"text": document});
        }
        result
    };
    let results: Vec<Value> = ranked(&asked).iter().map(result).collect();
    let answer = json!({"model": asked.model, "results": results, "usage": {"total_tokens": input}});
    Ok(Made::json(&asked.model, &asked.query, &answer, Counts { input, ..Counts::default() }))
}
