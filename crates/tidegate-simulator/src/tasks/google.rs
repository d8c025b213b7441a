//! Google's predictions (Imagen's pictures, Vertex AI's vectors), and pictures in answers of Gemini.
//! Sources: the REST references of AI Studio and Vertex AI, read November 2026.

use serde_json::{Value, json};

use super::embed::vector;
use super::image::PNG;
use super::{Answered, Made, Received, object, word};
use crate::ask::{Invalid, count, only_known, text};
use crate::complete::{Counts, Units};
use crate::count::tokens;

/// What a picture of Gemini's is counted as.
const PICTURE_TOKENS: u64 = 1290;
const RATIOS: &[&str] = &["1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"];
const VECTOR: u64 = 768;

/// The model before this ending of a path.
fn model<'p>(path: &'p str, ending: &str) -> &'p str {
    path.rsplit_once('/').and_then(|(_, last)| last.strip_suffix(ending)).unwrap_or_default()
}

/// `:predict`: what is made depends on the model.
pub(super) fn predict(received: &Received<'_>) -> Answered {
    let model = model(received.path, ":predict");
    let body = object(received.body)?;
    only_known(&body, &["instances", "parameters"], "")?;
    let instances = body.get("instances").and_then(Value::as_array).filter(|all| !all.is_empty());
    let instances = instances.ok_or_else(|| Invalid::new("Empty instances.", "instances"))?;
    let none = json!({});
    let parameters = body.get("parameters").unwrap_or(&none);
    if model.starts_with("imagen-") {
        imagen(model, instances, parameters)
    } else {
        vectors(model, instances, parameters)
    }
}

fn imagen(model: &str, instances: &[Value], parameters: &Value) -> Answered {
    let known = [
        "sampleCount",
        "aspectRatio",
        "seed",
        "addWatermark",
        "negativePrompt",
        "personGeneration",
        "safetySetting",
        "sampleImageSize",
    ];
    let members = parameters.as_object().ok_or_else(|| Invalid::new("not an object", "parameters"))?;
    only_known(members, &known, "parameters")?;
    let [instance] = instances else { return Err(Invalid::new("One prompt per call.", "instances")) };
    let prompt = text(instance.get("prompt"), "instances.prompt")?;
    let n = count(members.get("sampleCount"), 1, "parameters.sampleCount")?.unwrap_or(4);
    if n > 4 {
        return Err(Invalid::new("sampleCount must be between 1 and 4.", "parameters.sampleCount"));
    }
    word(members.get("aspectRatio"), RATIOS, "parameters.aspectRatio")?;
    if members.contains_key("seed") && members.get("addWatermark") != Some(&Value::Bool(false)) {
        return Err(Invalid::new("Seed is not supported when watermark is enabled.", "parameters.seed"));
    }
    let picture = json!({"mimeType": "image/png", "bytesBase64Encoded": PNG});
    let counts = Counts { units: Units { images: n, ..Units::default() }, ..Counts::default() };
    let predictions: Vec<Value> = (0..n).map(|_| picture.clone()).collect();
    Ok(Made::json(model, prompt, &json!({"predictions": predictions}), counts))
}

fn vectors(model: &str, instances: &[Value], parameters: &Value) -> Answered {
    let members = parameters.as_object().ok_or_else(|| Invalid::new("not an object", "parameters"))?;
    only_known(members, &["autoTruncate", "outputDimensionality"], "parameters")?;
    let dimensions = count(members.get("outputDimensionality"), 1, "parameters.outputDimensionality")?;
    if model.starts_with("gemini-embedding") && instances.len() > 1 {
        return Err(Invalid::new("Only one instance is supported by this model.", "instances"));
    }
    let (mut predictions, mut input, mut last) = (Vec::new(), 0, String::new());
    for instance in instances {
        let members = instance.as_object().ok_or_else(|| Invalid::new("not an object", "instances"))?;
        only_known(members, &["content", "task_type", "title"], "instances")?;
        text(members.get("content"), "instances.content")?.clone_into(&mut last);
        let counted = tokens(&last);
        input += counted;
        let values = vector(&last, dimensions.unwrap_or(VECTOR));
        predictions.push(json!({"embeddings": {"values": values,
            "statistics": {"truncated": false, "token_count": counted}}}));
    }
    let counts = Counts { input, ..Counts::default() };
    Ok(Made::json(model, &last, &json!({"predictions": predictions}), counts))
}

/// `:generateContent` of a model that draws.
pub(super) fn picture(received: &Received<'_>) -> Answered {
    let model = model(received.path, ":generateContent");
    let body = object(received.body)?;
    only_known(&body, &["contents", "generationConfig"], "")?;
    let config = body.get("generationConfig").and_then(Value::as_object).cloned().unwrap_or_default();
    only_known(&config, &["responseModalities", "imageConfig", "seed"], "generationConfig")?;
    if !config.get("responseModalities").is_some_and(|kinds| kinds.to_string().contains("IMAGE")) {
        return Err(Invalid::new("The simulator's model draws only.", "generationConfig.responseModalities"));
    }
    let image = config.get("imageConfig").and_then(Value::as_object).cloned().unwrap_or_default();
    only_known(&image, &["aspectRatio", "imageSize"], "generationConfig.imageConfig")?;
    word(image.get("aspectRatio"), RATIOS, "generationConfig.imageConfig.aspectRatio")?;
    let said = body.get("contents").and_then(|contents| contents.pointer("/0/parts/0/text"));
    let prompt = text(said, "contents.parts.text")?;
    let input = tokens(prompt);
    let details = json!([{"modality": "IMAGE", "tokenCount": PICTURE_TOKENS}]);
    let answer = json!({"modelVersion": model, "responseId": "sim", "candidates": [{"index": 0, "finishReason": "STOP",
        "content": {"role": "model", "parts": [{"inlineData": {"mimeType": "image/png", "data": PNG}}]}}],
        "usageMetadata": {"promptTokenCount": input, "candidatesTokenCount": PICTURE_TOKENS,
            "totalTokenCount": input + PICTURE_TOKENS, "candidatesTokensDetails": details}});
    Ok(Made::json(model, prompt, &answer, Counts { input, output: PICTURE_TOKENS, ..Counts::default() }))
}
