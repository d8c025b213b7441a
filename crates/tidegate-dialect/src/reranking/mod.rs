//! Reranking: a query and documents in, their order and scores out.

mod ai_sdk;
mod cohere;
mod jina;

use tidegate_types::usage::Usage;

use crate::json::{Kind as JsonKind, Value, Writer};
use crate::read::{CallBody, Fields, Path, array, text, whole, wrong};
use crate::task::{Client, Kind, Provider, Received, Task, Wishes};
use crate::{AnswerFault, Content, Dialect, RequestError};

/// A request for a ranking.
#[derive(Debug)]
pub(crate) struct RerankingCall {
    query: Content,
    documents: Vec<Document>,
    top: Option<u64>,
    /// The client wants the documents back.
    shown: bool,
    max_tokens: Option<u64>,
    wishes: Wishes,
}

/// What is ranked.
#[derive(Debug)]
enum Document {
    Text(Content),
    /// A JSON object, as it was written.
    Object(Content),
}

/// Places and scores (as they were written), the best first.
#[derive(Debug)]
pub(crate) struct RerankingAnswer {
    id: Option<String>,
    results: Vec<(u64, String)>,
    usage: Option<Usage>,
}

/// The operation.
pub(crate) struct Reranking;

impl Kind for Reranking {
    type Call = RerankingCall;
    type Answer = RerankingAnswer;

    fn wrap(call: RerankingCall) -> Task {
        Task::Reranking(call)
    }

    fn client(dialect: Dialect) -> Option<&'static Client<RerankingCall, RerankingAnswer>> {
        match dialect {
            Dialect::CohereChat => Some(&cohere::CLIENT),
            Dialect::AiSdk => Some(&ai_sdk::CLIENT),
            _ => None,
        }
    }

    fn provider(dialect: Dialect) -> Option<&'static Provider<RerankingCall, RerankingAnswer>> {
        match dialect {
            Dialect::CohereChat => Some(&cohere::PROVIDER),
            Dialect::OpenaiChat | Dialect::OpenaiResponses => Some(&jina::PROVIDER),
            _ => None,
        }
    }

    fn usage(answer: &RerankingAnswer) -> Option<Usage> {
        answer.usage
    }
}

/// Tokens after which Cohere counts a document again, with room for the query and for its marks.
const BYTES_PER_PIECE: u64 = 256;
/// Documents of one search unit.
const PER_SEARCH: u64 = 100;

/// Reads query and documents, and counts what they cost at most: providers that bill tokens read the
/// query with every document.
fn decode(
    fields: &mut Fields<'_>,
    documents: &Value<'_>,
    path: Path<'_>,
    call: &mut CallBody,
) -> Result<RerankingCall, RequestError> {
    let root = Path::Root;
    let query = fields.take("query").ok_or_else(|| RequestError::Missing { path: "query".to_owned() })?;
    let query = text(&query, root.key("query"))?.into_owned();
    let mut found = Vec::new();
    let (mut pieces, mut bytes) = (0u64, 0u64);
    array(documents, path, |element, path| {
        let size = element.raw().len().saturating_add(query.len()) as u64;
        pieces = pieces.saturating_add(1 + size / BYTES_PER_PIECE);
        bytes = bytes.saturating_add(size);
        found.push(match element.kind() {
            JsonKind::Text => Document::Text(Content::new(text(&element, path)?.into_owned())),
            JsonKind::Object => {
                Fields::read(&element, path)?;
                Document::Object(Content::new(String::from_utf8_lossy(element.raw()).into_owned()))
            }
            _ => return Err(wrong(path, "a string or an object")),
        });
        Ok(())
    })?;
    if found.is_empty() {
        return Err(wrong(path, "not empty"));
    }
    call.input.text_bytes = bytes;
    call.input.messages = found.len() as u64;
    call.input.most.searches = pieces.div_ceil(PER_SEARCH);
    Ok(RerankingCall {
        query: Content::new(query),
        documents: found,
        top: None,
        shown: false,
        max_tokens: None,
        wishes: Wishes::default(),
    })
}

fn count(fields: &mut Fields<'_>, key: &str) -> Result<Option<u64>, RequestError> {
    fields.take(key).map(|value| whole(&value, Path::Root.key(key))).transpose()
}

/// What all providers are told.
fn write(json: &mut Writer, call: &RerankingCall, model: &str, top: &str) {
    json.key("model").text(model);
    json.key("query").text(call.query.expose());
    json.key("documents").array(|json| {
        for document in &call.documents {
            // Objects are ranked as the JSON that they are.
            let (Document::Text(text) | Document::Object(text)) = document;
            json.text(text.expose());
        }
    });
    if let Some(count) = call.top {
        json.key(top).whole(count);
    }
}

/// Reads an answer: Cohere and Jina call the list `results`, Voyage `data`.
fn decode_answer(received: &Received<'_, RerankingCall>) -> Result<RerankingAnswer, AnswerFault> {
    let root = Value::parse(&received.payload.bytes).map_err(|_| AnswerFault::Malformed("not JSON"))?;
    let list = root.get("results").or_else(|| root.get("data")).filter(|list| list.kind() == JsonKind::Array);
    let list = list.ok_or(AnswerFault::Malformed("no results"))?;
    let mut results = Vec::new();
    for item in list.elements() {
        let index = item.get("index").and_then(|index| index.whole());
        let score = item.get("relevance_score").filter(|score| score.kind() == JsonKind::Number);
        let (Some(index), Some(score)) = (index, score) else {
            return Err(AnswerFault::Malformed("a result without index or score"));
        };
        if index >= received.call.documents.len() as u64 {
            return Err(AnswerFault::Malformed("a result for no document"));
        }
        results.push((index, String::from_utf8_lossy(score.raw()).into_owned()));
    }
    let id = root.get("id").and_then(|id| id.text()).map(|id| id.into_owned());
    Ok(RerankingAnswer { id, results, usage: usage(&root) })
}

/// Search units as Cohere bills them, or all tokens.
fn usage(root: &Value<'_>) -> Option<Usage> {
    let number = |value: Option<Value<'_>>| {
        let number = value?.number().filter(|number| (0.0..1e12).contains(number))?;
        Some(number.ceil() as u64)
    };
    let billed = root.get("meta").and_then(|meta| meta.get("billed_units"));
    let searches = number(billed.and_then(|billed| billed.get("search_units")));
    let tokens = number(root.get("usage").and_then(|usage| usage.get("total_tokens")));
    if searches.is_none() && tokens.is_none() {
        return None;
    }
    Some(Usage {
        input_tokens: tokens.unwrap_or(0),
        searches: searches.unwrap_or(0),
        requests: 1,
        ..Usage::default()
    })
}
