//! Embeddings: unit vectors that depend on the text alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Answered, Made, Received, object, word};
use crate::ask::{Invalid, count, only_known, text};
use crate::complete::Counts;
use crate::count::tokens;

const DEFAULT_DIMENSIONS: u64 = 8;
const MOST_INPUTS: usize = 2048;

/// A unit vector made of the text by a small generator.
pub(super) fn vector(text: &str, dimensions: u64) -> Vec<f32> {
    let mut state = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut numbers: Vec<f64> = (0..dimensions)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from((state >> 33) as u32) / f64::from(1u32 << 31) - 0.5
        })
        .collect();
    let length = numbers.iter().map(|number| number * number).sum::<f64>().sqrt().max(1e-9);
    numbers.iter_mut().for_each(|number| *number /= length);
    numbers.into_iter().map(|number| number as f32).collect()
}

fn texts(value: Option<&Value>, at: &str) -> Result<Vec<String>, Invalid> {
    let wrong = || Invalid::new(format!("'{at}' must be a string or a non-empty array of strings."), at);
    let found: Vec<String> = match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(wrong)?,
        _ => return Err(wrong()),
    };
    if found.is_empty() || found.len() > MOST_INPUTS || found.iter().any(String::is_empty) {
        return Err(wrong());
    }
    Ok(found)
}

/// Texts, or token ids that are shown as text; with the number of their tokens.
fn inputs(value: Option<&Value>) -> Result<(Vec<String>, u64), Invalid> {
    let ids = |value: &Value| {
        let array = value.as_array().filter(|array| !array.is_empty())?;
        array.iter().all(Value::is_u64).then_some(array.len() as u64)
    };
    if let Some(one) = value.and_then(ids) {
        return Ok((vec![value.map(Value::to_string).unwrap_or_default()], one));
    }
    let many = value.and_then(Value::as_array).filter(|array| array.iter().any(Value::is_array));
    if let Some(arrays) = many {
        let counts: Option<Vec<u64>> = arrays.iter().map(ids).collect();
        let counts = counts.ok_or_else(|| Invalid::new("'input' holds no token ids.", "input"))?;
        return Ok((arrays.iter().map(Value::to_string).collect(), counts.iter().sum()));
    }
    let texts = texts(value, "input")?;
    let sum = texts.iter().map(|text| tokens(text)).sum();
    Ok((texts, sum))
}

pub(super) fn openai(received: &Received<'_>) -> Answered {
    let body = object(received.body)?;
    only_known(&body, &["model", "input", "encoding_format", "dimensions", "user"], "")?;
    let model = text(body.get("model"), "model")?;
    let dimensions = count(body.get("dimensions"), 1, "dimensions")?.unwrap_or(DEFAULT_DIMENSIONS);
    let format = word(body.get("encoding_format"), &["float", "base64"], "encoding_format")?;
    let (texts, input) = inputs(body.get("input"))?;
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = vector(text, dimensions);
            let embedding = if format == Some("base64") {
                let packed: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                json!(STANDARD.encode(packed))
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let answer = json!({"object": "list", "data": data, "model": model,
        "usage": {"prompt_tokens": input, "total_tokens": input}});
    let last = texts.last().map(String::as_str).unwrap_or_default();
    Ok(Made::json(model, last, &answer, Counts { input, ..Counts::default() }))
}

pub(super) fn cohere(received: &Received<'_>) -> Answered {
    let body = object(received.body)?;
    let known =
        ["model", "texts", "input_type", "embedding_types", "output_dimension", "truncate", "max_tokens"];
    only_known(&body, &known, "")?;
    let model = text(body.get("model"), "model")?;
    let kinds = ["search_document", "search_query", "classification", "clustering", "image"];
    if word(body.get("input_type"), &kinds, "input_type")?.is_none() {
        return Err(Invalid::new("valid input_type must be provided with the provided model", "input_type"));
    }
    if body.get("embedding_types") != Some(&json!(["float"])) {
        return Err(Invalid::new("the simulator gives vectors of floats only", "embedding_types"));
    }
    let dimensions =
        count(body.get("output_dimension"), 1, "output_dimension")?.unwrap_or(DEFAULT_DIMENSIONS);
    let texts = texts(body.get("texts"), "texts")?;
    if texts.len() > 96 {
        return Err(Invalid::new("too many texts", "texts"));
    }
    let input = texts.iter().map(|text| tokens(text)).sum();
    let vectors: Vec<Vec<f32>> = texts.iter().map(|text| vector(text, dimensions)).collect();
    let answer = json!({"id": "sim", "embeddings": {"float": vectors}, "texts": texts,
        "response_type": "embeddings_by_type",
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": input}}});
    let last = texts.last().map(String::as_str).unwrap_or_default();
    Ok(Made::json(model, last, &answer, Counts { input, ..Counts::default() }))
}

pub(super) fn gemini(received: &Received<'_>) -> Answered {
    let model = received.path.rsplit_once('/').and_then(|(_, rest)| rest.split_once(':')).map(|(m, _)| m);
    let model = model.unwrap_or_default();
    let body = object(received.body)?;
    only_known(&body, &["requests"], "")?;
    let requests = body.get("requests").and_then(Value::as_array).filter(|array| !array.is_empty());
    let requests = requests.ok_or_else(|| Invalid::new("requests: at least one is required", "requests"))?;
    let (mut embeddings, mut input, mut last) = (Vec::new(), 0, String::new());
    for request in requests {
        let request = request.as_object().ok_or_else(|| Invalid::new("not an object", "requests"))?;
        only_known(request, &["model", "content", "taskType", "title", "outputDimensionality"], "requests")?;
        if text(request.get("model"), "requests.model")? != format!("models/{model}") {
            return Err(Invalid::new("the model must be the one of the path", "requests.model"));
        }
        let parts = request.get("content").and_then(|content| content["parts"].as_array());
        let words: Option<Vec<&str>> =
            parts.and_then(|parts| parts.iter().map(|part| part["text"].as_str()).collect());
        let said =
            words.ok_or_else(|| Invalid::new("parts of text are required", "requests.content"))?.concat();
        let dimensions = count(request.get("outputDimensionality"), 1, "requests.outputDimensionality")?;
        input += tokens(&said);
        embeddings.push(json!({"values": vector(&said, dimensions.unwrap_or(DEFAULT_DIMENSIONS))}));
        last = said;
    }
    let answer = json!({"embeddings": embeddings, "usageMetadata": {"promptTokenCount": input}});
    Ok(Made::json(model, &last, &answer, Counts { input, ..Counts::default() }))
}

/// `InvokeModel` of Bedrock: the body is that of the model's maker.
pub(super) fn bedrock(received: &Received<'_>) -> Answered {
    let model = crate::bedrock::invoked(received.path).unwrap_or_default();
    let body = object(received.body)?;
    let malformed = |what: String| {
        Invalid::new(
            format!("Malformed input request: {what}, please reformat your input and try again."),
            "body",
        )
    };
    let known = |names: &[&str]| match body.keys().find(|key| !names.contains(&key.as_str())) {
        Some(key) => Err(malformed(format!("#: extraneous key [{key}] is not permitted"))),
        None => Ok(()),
    };
    if model.starts_with("amazon.titan-embed-text-v2") {
        known(&["inputText", "dimensions", "normalize", "embeddingTypes"])?;
        let said = body.get("inputText").and_then(Value::as_str).filter(|text| !text.is_empty());
        let said = said.ok_or_else(|| malformed("#: required key [inputText] not found".to_owned()))?;
        let dimensions = count(body.get("dimensions"), 1, "dimensions")?.unwrap_or(1024);
        if ![256, 512, 1024].contains(&dimensions) {
            return Err(malformed(format!("#/dimensions: {dimensions} is not a valid enum value")));
        }
        let (vector, input) = (vector(said, dimensions), tokens(said));
        let answer =
            json!({"embedding": vector, "embeddingsByType": {"float": vector}, "inputTextTokenCount": input});
        return Ok(Made::json(&model, said, &answer, Counts { input, ..Counts::default() }));
    }
    if !model.contains("cohere.embed") {
        return Err(Invalid {
            status: 404,
            ..Invalid::new("Could not resolve the foundation model.", "model")
        });
    }
    let v4 = model.contains("embed-v4");
    let own = ["texts", "input_type", "embedding_types", "truncate", "images"];
    let newer = ["inputs", "output_dimension", "max_tokens"];
    known(&if v4 { [&own[..], &newer[..]].concat() } else { own.to_vec() })?;
    let kinds = ["search_document", "search_query", "classification", "clustering", "image"];
    if word(body.get("input_type"), &kinds, "input_type")?.is_none() {
        return Err(malformed("#: required key [input_type] not found".to_owned()));
    }
    let texts = texts(body.get("texts"), "texts")?;
    if texts.len() > 96 {
        return Err(malformed("#/texts: expected maximum item count: 96".to_owned()));
    }
    let dimensions = count(body.get("output_dimension"), 1, "output_dimension")?.unwrap_or(1024);
    let vectors: Vec<Vec<f32>> = texts.iter().map(|text| vector(text, dimensions)).collect();
    let by_type = body.get("embedding_types") == Some(&json!(["float"]));
    let (embeddings, kind) = if by_type {
        (json!({"float": vectors}), "embeddings_by_type")
    } else {
        (json!(vectors), "embeddings_floats")
    };
    // What was counted stands in a header only.
    let answer = json!({"id": "sim", "embeddings": embeddings, "texts": texts, "response_type": kind});
    let input = texts.iter().map(|text| tokens(text)).sum();
    let last = texts.last().map(String::as_str).unwrap_or_default();
    Ok(Made::json(&model, last, &answer, Counts { input, ..Counts::default() }))
}
