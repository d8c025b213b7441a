//! Thought signatures on the wire. They are bytes in base64 there, so that those of other makers travel
//! through Gemini's clients in a wrapping that tells them apart from Gemini's own.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::Content;
use crate::canonical::signature;

const ENGINE_CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, ENGINE_CONFIG);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, ENGINE_CONFIG);

const FOREIGN: &str = "tidegate-signature:";
const REDACTED: &str = "tidegate-redacted:";

/// Stands for the signature of a call that another model made; Gemini's documentation names it.
const SKIP: &str = "skip_thought_signature_validator";

/// What a part's thought signature is.
pub(super) enum Sealed {
    Nothing,
    /// In the one form.
    Signature(Content),
    /// Reasoning that only its maker can read.
    Redacted(Content),
}

impl Sealed {
    pub(super) fn signature(self) -> Option<Content> {
        match self {
            Self::Signature(signature) => Some(signature),
            Self::Nothing | Self::Redacted(_) => None,
        }
    }
}

/// Reads a thought signature.
pub(super) fn open(text: &str) -> Sealed {
    if text.is_empty() || text == SKIP {
        return Sealed::Nothing;
    }
    let bytes = BASE64.decode(text).or_else(|_| BASE64_URL.decode(text)).unwrap_or_default();
    let plain = std::str::from_utf8(&bytes).unwrap_or_default();
    if plain == SKIP {
        Sealed::Nothing
    } else if let Some(foreign) = plain.strip_prefix(FOREIGN) {
        Sealed::Signature(foreign.into())
    } else if let Some(data) = plain.strip_prefix(REDACTED) {
        Sealed::Redacted(data.into())
    } else {
        Sealed::Signature(signature::mark(signature::GEMINI, text))
    }
}

/// A signature as Gemini's clients get it.
pub(super) fn seal(signature: &Content) -> String {
    match signature::by(signature::GEMINI, Some(signature)) {
        Some(own) => own.to_owned(),
        None => BASE64.encode(format!("{FOREIGN}{}", signature.expose())),
    }
}

/// The same for reasoning that only its maker can read.
pub(super) fn seal_redacted(data: &Content) -> String {
    BASE64.encode(format!("{REDACTED}{}", data.expose()))
}

/// What goes where a signature must be and there is none.
pub(super) fn skip() -> String {
    BASE64.encode(SKIP)
}
