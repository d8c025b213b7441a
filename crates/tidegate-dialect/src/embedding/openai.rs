//! OpenAI's embeddings, and those of services that follow them: Voyage and Jina differ in names of fields.
//! Sources: their public API references, read November 2026.

use tidegate_types::usage::Usage;

use super::{EmbeddingAnswer, EmbeddingCall, Inputs, Vector, of_input};
use crate::answer::AnswerFacts;
use crate::json::{Kind, Value, Writer};
use crate::outbound::Edits;
use crate::read::{CallBody, Fields, Path, array, text, whole, wrong};
use crate::registry::Carriage::{Carried, Dropped, Refused};
use crate::registry::Effect::{Gateway, Plain};
use crate::registry::{Field, field};
use crate::task::{Client, Payload, Provider, Received, Source, Wishes, pass_json};
use crate::{AnswerFault, Content, RequestError};

pub(super) const FIELDS: &[Field] = &[
    field("caching", Gateway, Dropped("read by the gateway")),
    field("dimensions", Plain, Carried("length of the vectors")),
    field("encoding_format", Plain, Carried("answered by the gateway")),
    field("input", Plain, Carried("inputs; token ids are refused elsewhere")),
    field("model", Plain, Carried("the upstream's name of the model")),
    field("models", Gateway, Dropped("read by the gateway")),
    field("provider", Gateway, Dropped("read by the gateway")),
    field("providerOptions", Gateway, Dropped("read by the gateway")),
    field("stream", Plain, Refused("vectors do not stream")).harmless(&[b"false"]),
    field("user", Plain, Carried("the caller's end user, where there is a place for it")),
];

pub(super) const CLIENT: Client<EmbeddingCall, EmbeddingAnswer> =
    Client { source: Source::Json { fields: FIELDS, decode }, encode: encode_answer, finish: None };

pub(super) const PROVIDER: Provider<EmbeddingCall, EmbeddingAnswer> = Provider {
    encode,
    pass: |call, _, edits| Ok(Payload::json(pass_json(call, edits).finish())),
    weigh: |received| {
        let root = root(received)?;
        if root.get("data").is_none_or(|data| data.kind() != Kind::Array) {
            return Err(AnswerFault::Malformed("no data"));
        }
        Ok(usage(&root))
    },
    decode: decode_answer,
};

fn decode(fields: &mut Fields<'_>, call: &mut CallBody) -> Result<EmbeddingCall, RequestError> {
    let root = Path::Root;
    let input = fields.take("input").ok_or_else(|| RequestError::Missing { path: "input".to_owned() })?;
    let inputs = inputs(&input, root.key("input"), call)?;
    let base64 = match fields.take("encoding_format") {
        None => false,
        Some(value) => match text(&value, root.key("encoding_format"))?.as_ref() {
            "float" => false,
            "base64" => true,
            _ => return Err(wrong(root.key("encoding_format"), "float or base64")),
        },
    };
    let dimensions =
        fields.take("dimensions").map(|value| whole(&value, root.key("dimensions"))).transpose()?;
    let user = fields.take("user").map(|value| text(&value, root.key("user"))).transpose()?;
    let user = user.map(|user| Content::new(user.into_owned()));
    call.labels.user = call.labels.user.take().or_else(|| user.clone());
    Ok(EmbeddingCall { inputs, dimensions, user, base64, wishes: Wishes::default() })
}

/// A text, texts, token ids or arrays of them; counts what they are at most.
pub(super) fn inputs(value: &Value<'_>, path: Path<'_>, call: &mut CallBody) -> Result<Inputs, RequestError> {
    const EXPECTED: &str = "a string, or an array of strings, of token ids, or of arrays of token ids";
    if value.kind() == Kind::Text {
        let input = text(value, path)?.into_owned();
        return Ok(counted(vec![input], call));
    }
    let first = value.elements().next().ok_or_else(|| wrong(path, "not empty"))?;
    let (mut texts, mut tokens) = (Vec::new(), Vec::new());
    match first.kind() {
        Kind::Text => array(value, path, |element, path| {
            texts.push(text(&element, path)?.into_owned());
            Ok(())
        })?,
        Kind::Number => tokens.push(ids(value, path, call)?),
        Kind::Array => array(value, path, |element, path| {
            tokens.push(ids(&element, path, call)?);
            Ok(())
        })?,
        _ => return Err(wrong(path, EXPECTED)),
    }
    Ok(if tokens.is_empty() { counted(texts, call) } else { Inputs::Tokens(tokens) })
}

/// Texts become at most as many tokens as they have bytes, and each has its marks.
pub(super) fn counted(texts: Vec<String>, call: &mut CallBody) -> Inputs {
    for text in &texts {
        call.input.text_bytes += text.len() as u64;
        call.input.messages += 1;
    }
    Inputs::Texts(texts.into_iter().map(Content::new).collect())
}

fn ids(value: &Value<'_>, path: Path<'_>, call: &mut CallBody) -> Result<Content, RequestError> {
    let mut count = 0;
    array(value, path, |element, path| {
        count += 1;
        whole(&element, path).map(|_| ())
    })?;
    if count == 0 {
        return Err(wrong(path, "not empty"));
    }
    call.input.text_bytes += count;
    call.input.messages += 1;
    Ok(Content::new(String::from_utf8_lossy(value.raw()).into_owned()))
}

/// How a provider differs from OpenAI.
struct Ways {
    dimensions: &'static str,
    /// What says that vectors are to come as base64: OpenAI's key and value, as a rule.
    base64: Option<(&'static str, &'static str)>,
    user: bool,
    tokens: bool,
    /// Names under which clients give options for it, and the options.
    named: &'static [&'static str],
    options: &'static [(&'static str, &'static str)],
}

const OPENAI: Ways = Ways {
    dimensions: "dimensions",
    base64: Some(("encoding_format", "base64")),
    user: true,
    tokens: true,
    named: &["openai"],
    options: &[("dimensions", "dimensions"), ("user", "user")],
};

const VOYAGE: Ways = Ways {
    dimensions: "output_dimension",
    base64: Some(("encoding_format", "base64")),
    user: false,
    tokens: false,
    named: &["voyage"],
    options: &[
        ("inputType", "input_type"),
        ("outputDimension", "output_dimension"),
        ("truncation", "truncation"),
    ],
};

const JINA: Ways = Ways {
    dimensions: "dimensions",
    base64: Some(("embedding_type", "base64")),
    user: false,
    tokens: false,
    named: &["jina"],
    options: &[("task", "task"), ("truncate", "truncate")],
};

fn encode(call: &EmbeddingCall, edits: &Edits<'_>) -> Result<Payload, RequestError> {
    let ways = match edits.provider {
        "voyage" => &VOYAGE,
        "jina" => &JINA,
        _ => &OPENAI,
    };
    let mut json = Writer::new();
    let mut outcome = Ok(());
    let named = [ways.named, &[edits.provider]].concat();
    let own = |member| !call.wishes.sets(&named, ways.options, member);
    json.object(|json| {
        json.key("model").text(edits.model);
        json.key("input");
        match &call.inputs {
            Inputs::Texts(texts) => {
                json.array(|json| texts.iter().for_each(|text| json.text(text.expose()).done())).done()
            }
            Inputs::Tokens(tokens) => {
                json.array(|json| tokens.iter().for_each(|tokens| json.raw(tokens.expose()).done())).done()
            }
        }
        if let Some(dimensions) = call.dimensions.filter(|_| own(ways.dimensions)) {
            json.key(ways.dimensions).whole(dimensions);
        }
        if let Some((key, value)) = ways.base64.filter(|_| call.base64) {
            json.key(key).text(value);
        }
        if let Some(user) = call.user.as_ref().filter(|_| ways.user && own("user")) {
            json.key("user").text(user.expose());
        }
        outcome = call.wishes.write(json, &named, ways.options);
    });
    outcome?;
    if !ways.tokens && matches!(call.inputs, Inputs::Tokens(_)) {
        let why = "token ids belong to OpenAI's models";
        return Err(RequestError::Untranslatable { field: "input".to_owned(), why });
    }
    Ok(Payload::json(json.into_bytes()))
}

fn root<'a>(received: &Received<'a, EmbeddingCall>) -> Result<Value<'a>, AnswerFault> {
    Value::parse(&received.payload.bytes).map_err(|_| AnswerFault::Malformed("not JSON"))
}

/// All tokens of an embedding are input; some services tell only the total.
fn usage(root: &Value<'_>) -> Option<Usage> {
    let usage = root.get("usage")?;
    let count = |key| usage.get(key).and_then(|count| count.whole());
    count("prompt_tokens").or_else(|| count("total_tokens")).map(of_input)
}

fn decode_answer(received: &Received<'_, EmbeddingCall>) -> Result<EmbeddingAnswer, AnswerFault> {
    let root = root(received)?;
    let data = root.get("data").filter(|data| data.kind() == Kind::Array);
    let data = data.ok_or(AnswerFault::Malformed("no data"))?;
    let mut vectors: Vec<(u64, Vector)> = Vec::new();
    for (place, item) in data.elements().enumerate() {
        let index = item.get("index").and_then(|index| index.whole()).unwrap_or(place as u64);
        let vector = item.get("embedding").ok_or(AnswerFault::Malformed("an item without a vector"))?;
        vectors.push((index, Vector::read(&vector)?));
    }
    vectors.sort_by_key(|(index, _)| *index);
    let answer = EmbeddingAnswer {
        model: root.get("model").and_then(|model| model.text()).map(|model| model.into_owned()),
        vectors: vectors.into_iter().map(|(_, vector)| vector).collect(),
        usage: usage(&root),
    };
    answer.complete(received.call)
}

fn encode_answer(
    answer: &EmbeddingAnswer,
    call: &EmbeddingCall,
    facts: &AnswerFacts,
) -> Result<Payload, AnswerFault> {
    let mut json = Writer::new();
    json.object(|json| {
        json.key("object").text("list");
        json.key("data").array(|json| {
            for (index, vector) in answer.vectors.iter().enumerate() {
                json.object(|json| {
                    json.key("object").text("embedding");
                    json.key("index").whole(index as u64);
                    json.key("embedding");
                    if call.base64 { vector.write_base64(json) } else { vector.write_numbers(json) }
                });
            }
        });
        json.key("model").text(answer.model.as_deref().unwrap_or(&facts.model));
        json.key("usage").object(|json| {
            let tokens = answer.usage.map_or(0, |usage| usage.input_tokens);
            json.key("prompt_tokens").whole(tokens);
            json.key("total_tokens").whole(tokens);
        });
    });
    Ok(Payload::json(json.into_bytes()))
}
