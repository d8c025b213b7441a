//! Reranking at services that follow OpenAI otherwise: Jina, Together and others alike; Voyage has a name
//! of its own. Sources: their API references, read November 2026.

use super::{RerankingAnswer, RerankingCall, decode_answer};
use crate::RequestError;
use crate::json::Writer;
use crate::outbound::Edits;
use crate::task::{Payload, Provider};

pub(super) const PROVIDER: Provider<RerankingCall, RerankingAnswer> = Provider {
    encode,
    pass: |_, call, edits| encode(call, edits),
    weigh: |received| decode_answer(received).map(|answer| answer.usage),
    decode: decode_answer,
};

fn encode(call: &RerankingCall, edits: &Edits<'_>) -> Result<Payload, RequestError> {
    if call.max_tokens.is_some() {
        let why = "only Cohere cuts documents at a number of tokens";
        return Err(RequestError::Untranslatable { field: "max_tokens_per_doc".to_owned(), why });
    }
    let mut json = Writer::new();
    let mut outcome = Ok(());
    json.object(|json| {
        super::write(json, call, edits.model, if edits.provider == "voyage" { "top_k" } else { "top_n" });
        // The gateway has the documents; it need not pay for their way back.
        json.key("return_documents").bool(false);
        outcome = call.wishes.write(json, &[edits.provider], &[("truncation", "truncation")]);
    });
    outcome?;
    Ok(Payload::json(json.into_bytes()))
}
