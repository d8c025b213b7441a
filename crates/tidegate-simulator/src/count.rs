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
    windows(text).map(|window| table().encode_ordinary(window).len() as u64).sum()
}

/// Tokens that a provider charges for an image of common size.
pub(crate) const IMAGE: u64 = 765;

/// A text in parts: a long text without a space would take quadratic time in one.
fn windows(mut text: &str) -> impl Iterator<Item = &str> {
    const LONGEST: usize = 16 * 1024;
    std::iter::from_fn(move || {
        let end = (0..=LONGEST.min(text.len())).rev().find(|at| text.is_char_boundary(*at))?;
        let (window, rest) = text.split_at(end);
        text = rest;
        (!window.is_empty()).then_some(window)
    })
}

fn table() -> &'static CoreBPE {
    tiktoken_rs::o200k_base_singleton()
}
