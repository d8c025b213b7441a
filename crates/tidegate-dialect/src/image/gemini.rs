//! Pictures by Gemini's own models: `generateContent` with pictures as the output's kind.
//! Source: <https://ai.google.dev/gemini-api/docs/image-generation>, read November 2026.

use super::{ImageAnswer, ImageCall, Picture};
use crate::gemini::usage_of;
use crate::json::{Value, Writer};
use crate::outbound::Edits;
use crate::task::{Payload, Received};
use crate::{AnswerFault, Content, RequestError};

/// Whether a model draws in answers of its own, not as Imagen does.
pub(super) fn draws(model: &str) -> bool {
    model.starts_with("gemini-")
}

pub(super) fn encode(call: &ImageCall, edits: &Edits<'_>) -> Result<Payload, RequestError> {
    let refuse = |field: &str, why| Err(RequestError::Untranslatable { field: field.to_owned(), why });
    if let Some((field, _)) = call.further.first() {
        return refuse(field, "Gemini has no counterpart");
    }
    if call.n.is_some_and(|n| n > 1) {
        return refuse("n", "Gemini draws one picture per call");
    }
    let square = match call.size.as_deref() {
        None | Some("auto") => None,
        Some("1024x1024") => Some("1:1"),
        Some(_) => return refuse("size", "Gemini takes an aspect ratio; of sizes it knows 1024x1024"),
    };
    let mut json = Writer::new();
    let mut outcome = Ok(());
    json.object(|json| {
        json.key("contents").array(|json| {
            json.object(|json| {
                json.key("role").text("user").key("parts").array(|json| {
                    json.object(|json| json.key("text").text(call.prompt.expose()).done());
                });
            });
        });
        json.key("generationConfig").object(|json| {
            json.key("responseModalities").array(|json| json.text("IMAGE").done());
            json.key("imageConfig").object(|json| {
                if let Some(ratio) = call.aspect_ratio.as_deref().or(square) {
                    json.key("aspectRatio").text(ratio);
                }
                let named = ["google", "vertex", "googleVertex", edits.provider];
                outcome = call.wishes.write(json, &named, &[("imageSize", "imageSize")]);
            });
            if let Some(seed) = call.seed {
                json.key("seed").whole(seed);
            }
        });
    });
    outcome?;
    Ok(Payload::json(json.into_bytes()))
}

/// Billed by tokens; pictures count where none were told.
pub(super) fn decode(received: &Received<'_, ImageCall>) -> Result<ImageAnswer, AnswerFault> {
    let root = Value::parse(&received.payload.bytes).map_err(|_| AnswerFault::Malformed("not JSON"))?;
    let candidates = root.get("candidates").ok_or(AnswerFault::Malformed("no candidates"))?;
    let parts = candidates.elements().filter_map(|candidate| candidate.get("content")?.get("parts"));
    let parts = parts.flat_map(|parts| parts.elements().collect::<Vec<_>>());
    // Drafts that the model thought of first are no answer.
    let shown = parts.filter(|part| part.get("thought").and_then(|thought| thought.bool()) != Some(true));
    let picture = |part: Value<'_>| {
        let base64 = part.get("inlineData")?.get("data")?.text()?.into_owned();
        Some(Picture { base64: Some(Content::new(base64)), url: None, revised_prompt: None })
    };
    let pictures: Vec<Picture> = shown.filter_map(picture).collect();
    let told = usage_of(&root);
    let mut usage = told.unwrap_or_default();
    usage.requests = 1;
    if told.is_none() {
        usage.images = pictures.len() as u64;
    }
    Ok(ImageAnswer { pictures, usage, tokens: told.is_some() })
}
