//! Images: as many tiny PNGs as were asked for.

use serde_json::{Value, json};

use super::form::{Part, parts};
use super::{Answered, Made, Received, object, word};
use crate::ask::{Invalid, count, only_known, text};
use crate::complete::{Counts, Units};
use crate::count::tokens;

/// One transparent pixel.
pub(super) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
/// What models that bill images in tokens count for a small one.
const IMAGE_TOKENS: u64 = 272;
const MOST: u64 = 10;

const KNOWN: &[&str] = &[
    "model",
    "prompt",
    "n",
    "size",
    "quality",
    "style",
    "response_format",
    "user",
    "background",
    "moderation",
    "output_format",
    "output_compression",
];

pub(super) fn openai(received: &Received<'_>) -> Answered {
    let body = object(received.body)?;
    only_known(&body, KNOWN, "")?;
    let model = text(body.get("model"), "model")?;
    let prompt = text(body.get("prompt"), "prompt")?;
    let n = count(body.get("n"), 1, "n")?.unwrap_or(1);
    if n > MOST || prompt.is_empty() {
        return Err(Invalid::new("'n' is at most 10, and 'prompt' is not empty.", "n"));
    }
    word(body.get("size"), &SIZES, "size")?;
    let format = word(body.get("response_format"), &["url", "b64_json"], "response_format")?;
    draw(model, prompt, n, format, 0)
}

const SIZES: [&str; 6] = ["auto", "256x256", "512x512", "1024x1024", "1536x1024", "1024x1536"];

/// What models that bill images in tokens count for one that is edited.
const EDITED_TOKENS: u64 = 323;

/// `POST /images/edits`, a form.
pub(super) fn edit(received: &Received<'_>) -> Answered {
    let parts = parts(received.content_type, received.body)?;
    let known =
        |name: &str| KNOWN.contains(&name) || ["image", "image[]", "mask", "input_fidelity"].contains(&name);
    if let Some(part) = parts.iter().find(|part| !known(&part.name)) {
        return Err(Invalid::new(format!("Unknown parameter: '{}'.", part.name), &*part.name));
    }
    let said = |name: &str| parts.iter().find(|part| part.name == name).map(Part::text);
    let images = parts.iter().filter(|part| matches!(&*part.name, "image" | "image[]"));
    let images = images.filter(|part| part.file_name.is_some() && part.body.starts_with(b"\x89PNG")).count();
    if images == 0 {
        return Err(Invalid::new("Invalid image file: a PNG is needed.", "image"));
    }
    let (Some(model), Some(prompt)) = (said("model"), said("prompt").filter(|prompt| !prompt.is_empty()))
    else {
        return Err(Invalid::new("Missing required parameter: 'prompt'.", "prompt"));
    };
    let n = said("n").map_or(Ok(1), |n| n.parse::<u64>()).ok().filter(|n| (1..=MOST).contains(n));
    let n = n.ok_or_else(|| Invalid::new("'n' is from 1 to 10.", "n"))?;
    word(said("size").map(Value::from).as_ref(), &SIZES, "size")?;
    let format = said("response_format");
    draw(&model, &prompt, n, format.as_deref(), images as u64 * EDITED_TOKENS)
}

/// So many pictures, and what they cost; `edited`: tokens of the pictures that they are made from.
fn draw(model: &str, prompt: &str, n: u64, format: Option<&str>, edited: u64) -> Answered {
    let in_tokens = model.starts_with("gpt-image");
    if in_tokens && format.is_some() {
        return Err(Invalid::new("Unknown parameter: 'response_format'.", "response_format"));
    }
    let image = if in_tokens || format == Some("b64_json") {
        json!({"b64_json": PNG})
    } else {
        json!({"url": "https://images.invalid/simulated.png"})
    };
    let mut answer = json!({"created": 1_700_000_000, "data": vec![image; n as usize]});
    let mut counts = Counts::default();
    if in_tokens {
        (counts.input, counts.output) = (tokens(prompt) + edited, n * IMAGE_TOKENS);
        answer["usage"] = json!({"input_tokens": counts.input, "output_tokens": counts.output,
            "total_tokens": counts.input + counts.output,
            "input_tokens_details": {"text_tokens": counts.input - edited, "image_tokens": edited}});
    } else {
        counts.units = Units { images: n, ..Units::default() };
    }
    let answer: Value = answer;
    Ok(Made::json(model, prompt, &answer, counts))
}
