//! Images: as many tiny PNGs as were asked for.

use serde_json::{Value, json};

use super::{Answered, Made, Received, object, word};
use crate::ask::{Invalid, count, only_known, text};
use crate::complete::{Counts, Units};
use crate::count::tokens;

/// One transparent pixel.
const PNG: &str =
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
    word(body.get("size"), &["auto", "256x256", "512x512", "1024x1024", "1536x1024", "1024x1536"], "size")?;
    let format = word(body.get("response_format"), &["url", "b64_json"], "response_format")?;
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
        (counts.input, counts.output) = (tokens(prompt), n * IMAGE_TOKENS);
        answer["usage"] = json!({"input_tokens": counts.input, "output_tokens": counts.output,
            "total_tokens": counts.input + counts.output,
            "input_tokens_details": {"text_tokens": counts.input, "image_tokens": 0}});
    } else {
        counts.units = Units { images: n, ..Units::default() };
    }
    let answer: Value = answer;
    Ok(Made::json(model, prompt, &answer, counts))
}
