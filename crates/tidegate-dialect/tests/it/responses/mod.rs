//! OpenAI responses: as surface, as target, and passed through.

mod answers;
mod passed;
mod requests;
mod streams;

use tidegate_dialect::Dialect;

const RESPONSES: Dialect = Dialect::OpenaiResponses;

/// A text file of `testdata`.
fn text(name: &str) -> String {
    String::from_utf8(crate::support::file(name).to_vec()).unwrap()
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect(text)
}
