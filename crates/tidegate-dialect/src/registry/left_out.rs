//! What a provider's dialect has no place for and can do without, whatever the client's dialect calls it.

use crate::Dialect;

/// A feature, as `docs/dialects.md` names it, and why it is left out without harm.
pub type LeftOut = (&'static str, &'static str);

const SEED: LeftOut = ("seed", "no counterpart; a best effort wherever there is one");
const END_USER: LeftOut = ("end user", "no counterpart; the gateway itself counts by end user");
const ADAPTIVE: LeftOut = ("reasoning: adaptive", "what the model does by itself");
const NO_TOOLS: LeftOut = ("tool choice: none", "tools that may not be called are not sent");

const UNFILTERED: LeftOut = ("safety settings: block none", "there is no filter to switch off");
const OTHERS: LeftOut = ("a provider's own options", "options of a provider that is not asked");

const SIGNED: LeftOut = ("reasoning: signed, sent back", "only its maker can read it back");
const REDACTED: LeftOut = ("reasoning: redacted, sent back", "only its maker can read it back");
const ENCRYPTED: LeftOut = ("reasoning: encrypted, sent back", "only its maker can read it back");
const CACHED: LeftOut = ("prompt cache: marker", "caches by itself, or not at all");
const CACHED_LONG: LeftOut = ("prompt cache: marker of an hour", "caches by itself, or not at all");
const FOREIGN_MARK: LeftOut =
    ("prompt cache: marker", "a marker for another provider than the one that is asked");

/// What a provider of this dialect is not told.
#[must_use]
pub const fn left_out(target: Dialect) -> &'static [LeftOut] {
    match target {
        Dialect::OpenaiChat => {
            &[ADAPTIVE, UNFILTERED, OTHERS, SIGNED, REDACTED, ENCRYPTED, CACHED, CACHED_LONG]
        }
        Dialect::OpenaiResponses => {
            &[SEED, ADAPTIVE, UNFILTERED, OTHERS, SIGNED, REDACTED, ENCRYPTED, CACHED, CACHED_LONG]
        }
        Dialect::AnthropicMessages => &[SEED, UNFILTERED, OTHERS, ENCRYPTED, SIGNED],
        Dialect::Gemini => &[END_USER, OTHERS, SIGNED, REDACTED, ENCRYPTED, CACHED, CACHED_LONG],
        Dialect::BedrockConverse => {
            &[SEED, END_USER, ADAPTIVE, NO_TOOLS, UNFILTERED, OTHERS, ENCRYPTED, SIGNED, FOREIGN_MARK]
        }
        Dialect::CohereChat => {
            &[END_USER, ADAPTIVE, UNFILTERED, OTHERS, SIGNED, REDACTED, ENCRYPTED, CACHED, CACHED_LONG]
        }
        Dialect::AiSdk => &[],
    }
}
