//! Gemini's embeddings: `batchEmbedContents` at AI Studio, `predict` at Vertex AI.
//! Sources: the two API references, read November 2026.

use tidegate_types::usage::Usage;

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

const NAMED: &[&str] = &["google", "vertex", "googleVertex"];

fn encode(call: &EmbeddingCall, edits: &Edits<'_>) -> Result<Payload, RequestError> {
    let Inputs::Texts(texts) = &call.inputs else {
        let why = "token ids belong to OpenAI's models";
        return Err(RequestError::Untranslatable { field: "input".to_owned(), why });
    };
    let mut json = Writer::new();
    let mut outcome = Ok(());
    json.object(|json| {
        outcome =
            if edits.vertex { at_vertex(json, call, texts) } else { at_studio(json, call, texts, edits) };
    });
    outcome?;
    Ok(Payload::json(json.into_bytes()))
}

fn at_studio(
    json: &mut Writer,
    call: &EmbeddingCall,
    texts: &[Content],
    edits: &Edits<'_>,
) -> Result<(), RequestError> {
    let mut outcome = Ok(());
    json.key("requests").array(|json| {
        for text in texts {
            json.object(|json| {
                json.key("model").text(&["models/", edits.model].concat());
                json.key("content").object(|json| {
                    json.key("parts").array(|json| {
                        json.object(|json| json.key("text").text(text.expose()).done());
                    });
                });
                let options = [
                    ("outputDimensionality", "outputDimensionality"),
                    ("taskType", "taskType"),
                    ("title", "title"),
                ];
                if let Some(dimensions) = call.dimensions
                    && !call.wishes.sets(NAMED, &options, "outputDimensionality")
                {
                    json.key("outputDimensionality").whole(dimensions);
                }
                if let Err(error) = call.wishes.write(json, NAMED, &options) {
                    outcome = Err(error);
                }
            });
        }
    });
    outcome
}

fn at_vertex(json: &mut Writer, call: &EmbeddingCall, texts: &[Content]) -> Result<(), RequestError> {
    json.key("instances").array(|json| {
        for text in texts {
            json.object(|json| {
                json.key("content").text(text.expose());
                for (option, name) in [("taskType", "task_type"), ("title", "title")] {
                    if let Some(value) = call.wishes.get(NAMED, option) {
                        json.key(name).raw(value);
                    }
                }
            });
        }
    });
    let mut outcome = Ok(());
    json.key("parameters").object(|json| {
        let options = [("outputDimensionality", "outputDimensionality"), ("autoTruncate", "autoTruncate")];
        if let Some(dimensions) = call.dimensions
            && !call.wishes.sets(NAMED, &options, "outputDimensionality")
        {
            json.key("outputDimensionality").whole(dimensions);
        }
        outcome = call.wishes.write_but(json, NAMED, &options, &["taskType", "title"]);
    });
    outcome
}

fn decode(received: &Received<'_, EmbeddingCall>) -> Result<EmbeddingAnswer, AnswerFault> {
    let root = Value::parse(&received.payload.bytes).map_err(|_| AnswerFault::Malformed("not JSON"))?;
    let list = |key| root.get(key).filter(|list: &Value<'_>| list.kind() == Kind::Array);
    let vector = |item: &Value<'_>| {
        let values = item.get("values").ok_or(AnswerFault::Malformed("an item without values"))?;
        Vector::read(&values)
    };
    if let Some(embeddings) = list("embeddings") {
        let vectors = embeddings.elements().map(|item| vector(&item)).collect::<Result<_, _>>()?;
        return EmbeddingAnswer { model: None, vectors, usage: usage(&root) }.complete(received.call);
    }
    let predictions =
        list("predictions").ok_or(AnswerFault::Malformed("neither embeddings nor predictions"))?;
    let mut answer = EmbeddingAnswer { usage: Some(of_input(0)), ..EmbeddingAnswer::default() };
    for item in predictions.elements() {
        let embedded =
            item.get("embeddings").ok_or(AnswerFault::Malformed("a prediction without embeddings"))?;
        answer.vectors.push(vector(&embedded)?);
        let statistics = embedded.get("statistics");
        // Vertex writes counts as whole numbers or as 6.0.
        let tokens = statistics.and_then(|statistics| statistics.get("token_count")?.number());
        answer.usage = match (answer.usage, tokens) {
            (Some(usage), Some(tokens)) if (0.0..1e12).contains(&tokens) => {
                Some(of_input(usage.input_tokens.saturating_add(tokens.ceil() as u64)))
            }
            _ => None,
        };
    }
    answer.complete(received.call)
}

fn usage(root: &Value<'_>) -> Option<Usage> {
    root.get("usageMetadata")?.get("promptTokenCount")?.whole().map(of_input)
}
