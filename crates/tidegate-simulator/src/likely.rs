//! Log probabilities, made of the tokens alone. As OpenAI writes them, in both of its dialects.

use serde_json::{Value, json};

/// Entries of these tokens, each with so many likely ones.
pub(crate) fn entries(pieces: &[String], top: u64) -> Value {
    pieces.iter().map(|piece| entry(piece, top)).collect()
}

fn entry(piece: &str, top: u64) -> Value {
    let first = -((piece.len() % 8) as f64) / 16.0;
    let mut entry = one(piece, first);
    entry["top_logprobs"] =
        (0..top)
            .map(|rank| {
                if rank == 0 {
                    one(piece, first)
                } else {
                    one(&format!("{piece}{rank}"), first - rank as f64)
                }
            })
            .collect();
    entry
}

fn one(token: &str, logprob: f64) -> Value {
    json!({"token": token, "logprob": logprob, "bytes": token.as_bytes()})
}

/// The same as Gemini writes them.
pub(crate) fn result(pieces: &[String], top: u64) -> Value {
    let entries = entries(pieces, top);
    let candidate =
        |entry: &Value| json!({"token": entry["token"], "tokenId": 7, "logProbability": entry["logprob"]});
    let each = |list: &Value, of: &dyn Fn(&Value) -> Value| -> Value {
        list.as_array().into_iter().flatten().map(of).collect()
    };
    json!({"chosenCandidates": each(&entries, &candidate),
        "topCandidates": each(&entries, &|entry| json!({"candidates": each(&entry["top_logprobs"], &candidate)}))})
}
