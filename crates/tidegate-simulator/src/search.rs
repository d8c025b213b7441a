//! Searches of the web that the services run themselves: what was asked and found is always the same.

use serde_json::{Value, json};

/// Searches for an answer where each is billed.
pub(crate) const EACH: u64 = 2;

/// What is found.
pub(crate) const URL: &str = "https://tides.example/today";
pub(crate) const TITLE: &str = "Tides of today";

/// What is asked for the n-th time.
pub(crate) fn query(place: u64) -> String {
    format!("tides today {}", place + 1)
}

/// A citation of OpenAI's chat completions.
pub(crate) fn url_citation() -> Value {
    json!({"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 1, "title": TITLE, "url": URL}})
}
