//! The AI SDK's embedding models (specifications v2, v3, v4). Source: `@ai-sdk/gateway` and requests
//! that it sent: v2 names the texts `input`, the later ones `values`.

use super::{EmbeddingAnswer, EmbeddingCall, Inputs, openai};
use crate::answer::AnswerFacts;
use crate::json::{Kind, Writer};
use crate::read::{CallBody, Fields, Path, whole, wrong};
use crate::registry::Carriage::{Carried, Dropped};
use crate::registry::Effect::{Gateway, Plain};
use crate::registry::{Field, field};
use crate::task::{Client, Payload, Source, Wishes, ai_sdk};
use crate::{AnswerFault, RequestError};

const FIELDS: &[Field] = &[
    field("dimensions", Plain, Carried("length of the vectors")),
    field("headers", Gateway, Dropped("the caller's headers again; never sent on")),
    field("input", Plain, Carried("texts (specification v2)")),
    field(
        "providerOptions",
        Plain,
        Carried("the gateway's are read by it, those of the provider asked are carried"),
    ),
    field("values", Plain, Carried("texts")),
];

pub(super) const CLIENT: Client<EmbeddingCall, EmbeddingAnswer> =
    Client { source: Source::Json { fields: FIELDS, decode }, encode, finish: None };

fn decode(fields: &mut Fields<'_>, call: &mut CallBody) -> Result<EmbeddingCall, RequestError> {
    let root = Path::Root;
    let (value, path) = match (fields.take("values"), fields.take("input")) {
        (Some(values), None) if values.kind() == Kind::Array => (values, root.key("values")),
        (None, Some(input)) => (input, root.key("input")),
        (None, None) => return Err(RequestError::Missing { path: "values".to_owned() }),
        _ => return Err(wrong(root.key("values"), "an array of strings, without `input` beside it")),
    };
    let inputs = openai::inputs(&value, path, call)?;
    if matches!(inputs, Inputs::Tokens(_)) {
        return Err(wrong(path, "texts"));
    }
    let dimensions =
        fields.take("dimensions").map(|value| whole(&value, root.key("dimensions"))).transpose()?;
    let wishes = Wishes::read(fields)?;
    Ok(EmbeddingCall { inputs, dimensions, user: None, base64: false, wishes })
}

fn encode(
    answer: &EmbeddingAnswer,
    _call: &EmbeddingCall,
    facts: &AnswerFacts,
) -> Result<Payload, AnswerFault> {
    let mut json = Writer::new();
    json.object(|json| {
        json.key("embeddings").array(|json| {
            answer.vectors.iter().for_each(|vector| vector.write_numbers(json));
        });
        if let Some(usage) = &answer.usage {
            json.key("usage").object(|json| json.key("tokens").whole(usage.input_tokens).done());
        }
        ai_sdk::close(json, facts, answer.usage.as_ref());
    });
    Ok(Payload::json(json.into_bytes()))
}
