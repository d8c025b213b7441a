//! Cohere's rerank, versions 1 and 2, as a surface; version 2 as a provider.
//! Source: its API reference, read November 2026.

use super::{Document, RerankingAnswer, RerankingCall, count, decode_answer};
use crate::answer::AnswerFacts;
use crate::json::{Value, Writer};
use crate::outbound::Edits;
use crate::read::{CallBody, Fields, Path, boolean};
use crate::registry::Carriage::{Carried, Dropped, Refused};
use crate::registry::Effect::{Gateway, Plain};
use crate::registry::{Field, field};
use crate::task::{Client, Payload, Provider, Source, pass_json};
use crate::{AnswerFault, RequestError};

const FIELDS: &[Field] = &[
    field("caching", Gateway, Dropped("read by the gateway")),
    field("documents", Plain, Carried("documents; objects as JSON text")),
    field("max_chunks_per_doc", Plain, Refused("of version 1, no counterpart")),
    field("max_tokens_per_doc", Plain, Carried("Cohere only")),
    field("model", Plain, Carried("the upstream's name of the model")),
    field("models", Gateway, Dropped("read by the gateway")),
    field("priority", Plain, Dropped("order of service at Cohere")),
    field("provider", Gateway, Dropped("read by the gateway")),
    field("providerOptions", Gateway, Dropped("read by the gateway")),
    field("query", Plain, Carried("query")),
    field("rank_fields", Plain, Refused("of version 1, no counterpart")),
    field("return_documents", Plain, Carried("answered by the gateway")),
    field("top_n", Plain, Carried("how many results")),
];

pub(super) const CLIENT: Client<RerankingCall, RerankingAnswer> =
    Client { source: Source::Json { fields: FIELDS, decode }, encode: encode_answer, finish: None };

pub(super) const PROVIDER: Provider<RerankingCall, RerankingAnswer> = Provider {
    encode,
    pass: |call, _, edits| Ok(Payload::json(pass_json(call, edits).finish())),
    weigh: |received| decode_answer(received).map(|answer| answer.usage),
    decode: decode_answer,
};

fn decode(fields: &mut Fields<'_>, call: &mut CallBody) -> Result<RerankingCall, RequestError> {
    let missing = || RequestError::Missing { path: "documents".to_owned() };
    let documents: Value<'_> = fields.take("documents").ok_or_else(missing)?;
    let asked = super::decode(fields, &documents, Path::Root.key("documents"), call)?;
    let path = Path::Root.key("return_documents");
    let shown = fields.take("return_documents").map_or(Ok(false), |value| boolean(&value, path))?;
    let (top, max_tokens) = (count(fields, "top_n")?, count(fields, "max_tokens_per_doc")?);
    Ok(RerankingCall { top, max_tokens, shown, ..asked })
}

fn encode(call: &RerankingCall, edits: &Edits<'_>) -> Result<Payload, RequestError> {
    let mut json = Writer::new();
    let mut outcome = Ok(());
    json.object(|json| {
        super::write(json, call, edits.model, "top_n");
        if let Some(most) = call.max_tokens {
            json.key("max_tokens_per_doc").whole(most);
        }
        let options = [("maxTokensPerDoc", "max_tokens_per_doc"), ("priority", "priority")];
        outcome = call.wishes.write(json, &["cohere", edits.provider], &options);
    });
    outcome?;
    Ok(Payload::json(json.into_bytes()))
}

fn encode_answer(
    answer: &RerankingAnswer,
    call: &RerankingCall,
    facts: &AnswerFacts,
) -> Result<Payload, AnswerFault> {
    let mut json = Writer::new();
    json.object(|json| {
        json.key("id").text(answer.id.as_deref().unwrap_or(&facts.call_id));
        json.key("results").array(|json| {
            for (index, score) in &answer.results {
                json.object(|json| {
                    json.key("index").whole(*index);
                    json.key("relevance_score").raw(score);
                    match usize::try_from(*index).ok().and_then(|index| call.documents.get(index)) {
                        Some(Document::Text(text)) if call.shown => {
                            json.key("document").object(|json| json.key("text").text(text.expose()).done());
                        }
                        Some(Document::Object(object)) if call.shown => {
                            json.key("document").raw(object.expose());
                        }
                        _ => {}
                    }
                });
            }
        });
        if let Some(usage) = &answer.usage {
            json.key("meta").object(|json| {
                json.key("billed_units").object(|json| {
                    if usage.searches > 0 {
                        json.key("search_units").whole(usage.searches);
                    }
                    if usage.input_tokens > 0 {
                        json.key("input_tokens").whole(usage.input_tokens);
                    }
                });
            });
        }
    });
    Ok(Payload::json(json.into_bytes()))
}
