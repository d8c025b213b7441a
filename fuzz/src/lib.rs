//! What must hold of every decoder, whatever it is fed: no panic, memory linear in the input, and the
//! same events however a stream is cut. One function for each fuzz target; each is fed the input as it is,
//! so that the files of `testdata` are its seeds.

pub mod memory;
mod read;
mod stream;

use tidegate_dialect::Dialect;

pub use read::{ai_sdk, answers, forms, requests, tasks};
pub use stream::{frames, sse, streams};

/// All dialects of clients.
const SURFACES: [Dialect; 7] = [
    Dialect::OpenaiChat,
    Dialect::OpenaiResponses,
    Dialect::AnthropicMessages,
    Dialect::Gemini,
    Dialect::BedrockConverse,
    Dialect::CohereChat,
    Dialect::AiSdk,
];

/// All dialects of providers.
fn targets() -> impl Iterator<Item = Dialect> {
    SURFACES.into_iter().filter(|dialect| *dialect != Dialect::AiSdk)
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    /// One test, for the memory of a process is measured.
    #[test]
    fn all_seeds_pass_and_the_detectors_notice_what_they_must() {
        let hog = || memory::bounded(10, || vec![0_u8; 8 << 20].len());
        assert!(catch_unwind(hog).is_err(), "memory out of all proportion");
        assert!(catch_unwind(stream::a_reader_that_depends_on_cuts).is_err(), "other events when cut");

        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/tidegate-dialect/testdata");
        let mut fed = 0;
        for folder in std::fs::read_dir(data).expect("testdata") {
            for file in std::fs::read_dir(folder.expect("a folder").path()).expect("a folder") {
                let input = std::fs::read(file.expect("a file").path()).expect("readable");
                for target in [requests, ai_sdk, tasks, forms, answers, streams, frames, sse] {
                    target(&input);
                }
                fed += 1;
            }
        }
        assert!(fed > 50, "{fed} seeds only");
    }
}
