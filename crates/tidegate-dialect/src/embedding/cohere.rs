//! Cohere's embeddings, version 2. Source: its API reference, read November 2026.

use super::{EmbeddingAnswer, EmbeddingCall, Inputs, Vector, of_input};
use crate::json::{Kind, Value, Writer};
use crate::outbound::Edits;
use crate::task::{Payload, Provider, Received};
use crate::{AnswerFault, RequestError};

pub(super) const PROVIDER: Provider<EmbeddingCall, EmbeddingAnswer> = Provider {
    encode,
    pass: |_, call, edits| encode(call, edits),
    weigh: |received| decode(received).map(|answer| answer.usage),
    decode,
};

/// Texts are taken for documents, unless the caller's options say otherwise: queries of a search come one
/// at a time from clients that know Cohere, and OpenAI's request has no word for it.
fn encode(call: &EmbeddingCall, edits: &Edits<'_>) -> Result<Payload, RequestError> {
    let Inputs::Texts(texts) = &call.inputs else {
        let why = "token ids belong to OpenAI's models";
        return Err(RequestError::Untranslatable { field: "input".to_owned(), why });
    };
    let mut json = Writer::new();
    let mut outcome = Ok(());
    json.object(|json| {
        json.key("model").text(edits.model);
        json.key("texts").array(|json| texts.iter().for_each(|text| json.text(text.expose()).done()));
        let named = ["cohere", edits.provider];
        if call.wishes.get(&named, "inputType").is_none() {
            json.key("input_type").text("search_document");
        }
        json.key("embedding_types").array(|json| json.text("float").done());
        let options =
            [("inputType", "input_type"), ("outputDimension", "output_dimension"), ("truncate", "truncate")];
        if let Some(dimensions) = call.dimensions
            && !call.wishes.sets(&named, &options, "output_dimension")
        {
            json.key("output_dimension").whole(dimensions);
        }
        outcome = call.wishes.write(json, &named, &options);
    });
    outcome?;
    Ok(Payload::json(json.into_bytes()))
}

fn decode(received: &Received<'_, EmbeddingCall>) -> Result<EmbeddingAnswer, AnswerFault> {
    let root = Value::parse(&received.payload.bytes).map_err(|_| AnswerFault::Malformed("not JSON"))?;
    let floats = root.get("embeddings").and_then(|embeddings| embeddings.get("float"));
    let floats = floats.filter(|list| list.kind() == Kind::Array);
    let floats = floats.ok_or(AnswerFault::Malformed("no vectors of floats"))?;
    let vectors = floats.elements().map(|vector| Vector::read(&vector)).collect::<Result<_, _>>()?;
    let billed = root.get("meta").and_then(|meta| meta.get("billed_units")?.get("input_tokens")?.number());
    let usage =
        billed.filter(|tokens| (0.0..1e12).contains(tokens)).map(|tokens| of_input(tokens.ceil() as u64));
    EmbeddingAnswer { model: None, vectors, usage }.complete(received.call)
}
