//! Imagen's predictions, and [`super::gemini`] for models that draw in answers, at AI Studio and Vertex AI. Source: the API reference, read November 2026.

use tidegate_types::usage::Usage;

use super::{ImageAnswer, ImageCall, Picture, gemini};
use crate::json::{Kind, Value, Writer};
use crate::outbound::Edits;
use crate::task::{Payload, Provider, Received};
use crate::{AnswerFault, Content, RequestError};

pub(super) const PROVIDER: Provider<ImageCall, ImageAnswer> = Provider {
    encode,
    pass: |_, call, edits| encode(call, edits),
    weigh: |received| decode(received).map(|answer| Some(answer.usage)),
    decode,
};

fn encode(call: &ImageCall, edits: &Edits<'_>) -> Result<Payload, RequestError> {
    if gemini::draws(edits.model) {
        return gemini::encode(call, edits);
    }
    let refuse = |field: &str, why| Err(RequestError::Untranslatable { field: field.to_owned(), why });
    if let Some((field, _)) = call.further.first() {
        return refuse(field, "Imagen has no counterpart");
    }
    let square = match call.size.as_deref() {
        None | Some("auto") => None,
        Some("1024x1024") => Some("1:1"),
        Some(_) => return refuse("size", "Imagen takes an aspect ratio; of sizes it knows 1024x1024"),
    };
    let mut json = Writer::new();
    let mut outcome = Ok(());
    json.object(|json| {
        json.key("instances").array(|json| {
            json.object(|json| json.key("prompt").text(call.prompt.expose()).done());
        });
        json.key("parameters").object(|json| {
            json.key("sampleCount").whole(call.n.unwrap_or(1));
            if let Some(ratio) = call.aspect_ratio.as_deref().or(square) {
                json.key("aspectRatio").text(ratio);
            }
            if let Some(seed) = call.seed {
                json.key("seed").whole(seed);
                // A seed is refused beside a watermark.
                json.key("addWatermark").bool(false);
            }
            let options = [
                ("negativePrompt", "negativePrompt"),
                ("personGeneration", "personGeneration"),
                ("safetySetting", "safetySetting"),
            ];
            let named = ["google", "vertex", "googleVertex", edits.provider];
            outcome = call.wishes.write(json, &named, &options);
        });
    });
    outcome?;
    Ok(Payload::json(json.into_bytes()))
}

/// Pictures that the provider's own rules kept back are no pictures, and are not billed.
fn decode(received: &Received<'_, ImageCall>) -> Result<ImageAnswer, AnswerFault> {
    let root = Value::parse(&received.payload.bytes).map_err(|_| AnswerFault::Malformed("not JSON"))?;
    if root.get("candidates").is_some() {
        return gemini::decode(received);
    }
    let list = root.get("predictions").filter(|list| list.kind() == Kind::Array);
    let list = list.ok_or(AnswerFault::Malformed("no predictions"))?;
    let picture = |item: Value<'_>| {
        let base64 = item.get("bytesBase64Encoded")?.text()?.into_owned();
        let revised_prompt =
            item.get("prompt").and_then(|prompt| prompt.text()).map(|p| Content::new(p.into_owned()));
        Some(Picture { base64: Some(Content::new(base64)), url: None, revised_prompt })
    };
    let pictures: Vec<Picture> = list.elements().filter_map(picture).collect();
    let usage = Usage { images: pictures.len() as u64, requests: 1, ..Usage::default() };
    Ok(ImageAnswer { pictures, usage, tokens: false })
}
