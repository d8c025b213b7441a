//! The AI SDK's reranking models (specifications v3, v4). Source: `@ai-sdk/gateway` and requests that it sent.

use super::{RerankingAnswer, RerankingCall, count};
use crate::answer::AnswerFacts;
use crate::json::Writer;
use crate::read::{CallBody, Fields, Path, text, wrong};
use crate::registry::Carriage::{Carried, Dropped};
use crate::registry::Effect::{Gateway, Plain};
use crate::registry::{Field, field};
use crate::task::{Client, Payload, Source, Wishes, ai_sdk};
use crate::{AnswerFault, RequestError};

const FIELDS: &[Field] = &[
    field("documents", Plain, Carried("documents; objects as JSON text")),
    field("headers", Gateway, Dropped("the caller's headers again; never sent on")),
    field("providerOptions", Plain, Carried("those of the provider asked")),
    field("query", Plain, Carried("query")),
    field("topN", Plain, Carried("how many results")),
];

pub(super) const CLIENT: Client<RerankingCall, RerankingAnswer> =
    Client { source: Source::Json { fields: FIELDS, decode }, encode, finish: None };

fn decode(fields: &mut Fields<'_>, call: &mut CallBody) -> Result<RerankingCall, RequestError> {
    let path = Path::Root.key("documents");
    let missing = || RequestError::Missing { path: "documents".to_owned() };
    let documents = fields.take("documents").ok_or_else(missing)?;
    let mut documents = Fields::read(&documents, path)?;
    let kind = documents.take("type").ok_or_else(|| wrong(path.key("type"), "text or object"))?;
    if !["text", "object"].contains(&text(&kind, path.key("type"))?.as_ref()) {
        return Err(wrong(path.key("type"), "text or object"));
    }
    let values = documents.take("values").ok_or_else(|| wrong(path.key("values"), "an array"))?;
    if let Some(unknown) = documents.iter().next() {
        return Err(wrong(path.key(&unknown.key), "absent: only type and values are known"));
    }
    let asked = super::decode(fields, &values, path.key("values"), call)?;
    let top = count(fields, "topN")?;
    Ok(RerankingCall { top, wishes: Wishes::read(fields)?, ..asked })
}

fn encode(
    answer: &RerankingAnswer,
    _call: &RerankingCall,
    facts: &AnswerFacts,
) -> Result<Payload, AnswerFault> {
    let mut json = Writer::new();
    json.object(|json| {
        json.key("ranking").array(|json| {
            for (index, score) in &answer.results {
                json.object(|json| {
                    json.key("index").whole(*index);
                    json.key("relevanceScore").raw(score);
                });
            }
        });
        ai_sdk::close(json, facts, answer.usage.as_ref());
    });
    Ok(Payload::json(json.into_bytes()))
}
