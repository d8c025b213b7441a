//! Embeddings at Bedrock: `InvokeModel` takes each maker's own body. Titan's take one text, Cohere's many.
//! Sources: <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html> and
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html>, read November 2026.

use super::{EmbeddingAnswer, EmbeddingCall, Inputs, Vector, of_input};
use crate::json::{Kind, Value, Writer};
use crate::outbound::Edits;
use crate::task::{Payload, Provider, Received};
use crate::{AnswerFault, Content, RequestError};

pub(super) const PROVIDER: Provider<EmbeddingCall, EmbeddingAnswer> = Provider {
    encode,
    pass: |_, call, edits| encode(call, edits),
    weigh: |received| decode(received).map(|answer| answer.usage),
    decode,
};

const NAMED: &[&str] = &["bedrock", "amazonBedrock"];
const MOST_TEXTS: usize = 96;

fn refuse<T>(field: &str, why: &'static str) -> Result<T, RequestError> {
    Err(RequestError::Untranslatable { field: field.to_owned(), why })
}

fn encode(call: &EmbeddingCall, edits: &Edits<'_>) -> Result<Payload, RequestError> {
    let Inputs::Texts(texts) = &call.inputs else {
        return refuse("input", "token ids belong to OpenAI's models");
    };
    let mut json = Writer::new();
    let mut outcome = Ok(());
    json.object(|json| {
        // The model's name, perhaps after a region: `us.cohere.embed-v4:0`.
        outcome = match edits.model {
            model if model.contains("titan-embed") => titan(json, call, texts, model),
            model if model.contains("cohere.embed") => cohere(json, call, texts, model),
            _ => refuse("model", "of embeddings at Bedrock, Titan's and Cohere's are known"),
        };
    });
    outcome?;
    Ok(Payload::json(json.into_bytes()))
}

fn titan(
    json: &mut Writer,
    call: &EmbeddingCall,
    texts: &[Content],
    model: &str,
) -> Result<(), RequestError> {
    let [text] = texts else { return refuse("input", "Titan takes one text per call") };
    json.key("inputText").text(text.expose());
    let takes_dimensions = model.contains("-v2");
    let options: &[(&str, &str)] =
        if takes_dimensions { &[("dimensions", "dimensions"), ("normalize", "normalize")] } else { &[] };
    if let Some(dimensions) = call.dimensions.filter(|_| !call.wishes.sets(NAMED, options, "dimensions")) {
        if !takes_dimensions {
            return refuse("dimensions", "this model's vectors have one length");
        }
        json.key("dimensions").whole(dimensions);
    }
    call.wishes.write(json, NAMED, options)
}

/// Texts are taken for documents, unless the caller's options say otherwise: as at Cohere itself.
fn cohere(
    json: &mut Writer,
    call: &EmbeddingCall,
    texts: &[Content],
    model: &str,
) -> Result<(), RequestError> {
    if texts.len() > MOST_TEXTS {
        return refuse("input", "Cohere takes 96 texts per call");
    }
    json.key("texts").array(|json| texts.iter().for_each(|text| json.text(text.expose()).done()));
    if call.wishes.get(NAMED, "inputType").is_none() {
        json.key("input_type").text("search_document");
    }
    json.key("embedding_types").array(|json| json.text("float").done());
    let takes_dimensions = model.contains("embed-v4");
    let mut options = vec![("inputType", "input_type"), ("truncate", "truncate")];
    if takes_dimensions {
        options.push(("outputDimension", "output_dimension"));
    }
    if let Some(dimensions) =
        call.dimensions.filter(|_| !call.wishes.sets(NAMED, &options, "output_dimension"))
    {
        if !takes_dimensions {
            return refuse("dimensions", "this model's vectors have one length");
        }
        json.key("output_dimension").whole(dimensions);
    }
    call.wishes.write(json, NAMED, &options)
}

fn decode(received: &Received<'_, EmbeddingCall>) -> Result<EmbeddingAnswer, AnswerFault> {
    let root = Value::parse(&received.payload.bytes).map_err(|_| AnswerFault::Malformed("not JSON"))?;
    let list = |value: Option<Value<'_>>| value.is_some_and(|value| value.kind() == Kind::Array);
    // Titan tells the tokens in the body, too; Cohere only where Bedrock does for all models: in a header.
    let told = root.get("inputTextTokenCount").and_then(|count| count.whole());
    let usage = told.or(received.input_tokens).map(of_input);
    if let Some(vector) = root.get("embedding").filter(|vector| list(Some(*vector))) {
        let vectors = vec![Vector::read(&vector)?];
        return EmbeddingAnswer { model: None, vectors, usage }.complete(received.call);
    }
    let embeddings = root.get("embeddings");
    let floats = embeddings.and_then(|embeddings| embeddings.get("float")).or(embeddings);
    let floats = floats.filter(|floats| list(Some(*floats)));
    let floats = floats.ok_or(AnswerFault::Malformed("no vectors of floats"))?;
    let vectors = floats.elements().map(|vector| Vector::read(&vector)).collect::<Result<_, _>>()?;
    EmbeddingAnswer { model: None, vectors, usage }.complete(received.call)
}
