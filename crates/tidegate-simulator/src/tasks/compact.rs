//! OpenAI's compaction of a conversation: the user's messages and one sealed item.

use serde_json::{Value, json};

use super::{Answered, Made, Received, object};
use crate::ask::{Invalid, only_known, text};
use crate::complete::Counts;
use crate::count::tokens;

const KNOWN: [&str; 8] = [
    "model",
    "input",
    "instructions",
    "previous_response_id",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "service_tier",
];

/// What the summary of a conversation costs, however long that is.
const SUMMARY_TOKENS: u64 = 40;

pub(super) fn openai(received: &Received<'_>) -> Answered {
    let body = object(received.body)?;
    only_known(&body, &KNOWN, "")?;
    let model = text(body.get("model"), "model")?;
    if body.contains_key("previous_response_id") {
        let message = "Previous response not found.";
        return Err(Invalid { status: 404, ..Invalid::new(message, "previous_response_id") });
    }
    let user = |said: &str, number: u64| {
        json!({"id": format!("msg_{number:024x}"), "type": "message", "status": "completed", "role": "user",
            "content": [{"type": "input_text", "text": said}]})
    };
    let (mut output, mut said) = (Vec::new(), String::new());
    match body.get("input") {
        Some(Value::String(input)) => {
            output.push(user(input, 0));
            said.clone_from(input);
        }
        Some(Value::Array(items)) if !items.is_empty() => {
            for (number, item) in items.iter().enumerate() {
                let content = item.get("content").and_then(Value::as_str).unwrap_or_default();
                said.push_str(content);
                if item.get("role").and_then(Value::as_str) == Some("user") {
                    output.push(user(content, number as u64));
                }
            }
        }
        _ => return Err(Invalid::new("Missing required parameter: 'input'.", "input")),
    }
    let number = received.number;
    output.push(json!({"id": format!("cmp_{number:024x}"), "type": "compaction",
        "encrypted_content": format!("gAAAAABsim{number:x}")}));
    let counts = Counts { input: tokens(&said), output: SUMMARY_TOKENS, ..Counts::default() };
    let answer = json!({"id": format!("resp_{number:024x}"), "object": "response.compaction",
        "created_at": 1_700_000_000, "output": output, "usage": {
            "input_tokens": counts.input, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": counts.output, "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": counts.input + counts.output}});
    Ok(Made::json(model, &said, &answer, counts))
}
