//! Counts tokens with the o200k table, as the newest public tokenizer does.

use tiktoken_rs::CoreBPE;

/// Tokens of a text, in order.
pub(crate) fn pieces(text: &str) -> Vec<String> {
    let table = table();
    let ranks = table.encode_ordinary(text);
    // Single tokens may be cut inside a character; such ones are shown with the next.
    let mut out = Vec::with_capacity(ranks.len());
    let mut held: Vec<u8> = Vec::new();
    for rank in ranks {
        held.extend(table.decode_bytes(&[rank]).unwrap_or_default());
        match String::from_utf8(std::mem::take(&mut held)) {
            Ok(piece) => out.push(piece),
            Err(cut) => {
                held = cut.into_bytes();
                out.push(String::new());
            }
        }
    }
    out
}

/// Number of tokens of a text.
pub(crate) fn tokens(text: &str) -> u64 {
    table().encode_ordinary(text).len() as u64
}

fn table() -> &'static CoreBPE {
    tiktoken_rs::o200k_base_singleton()
}
