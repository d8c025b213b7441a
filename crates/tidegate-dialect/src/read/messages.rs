//! What both dialects' messages have in common: counting, and echoes of our own answers.

use super::place::{Fields, Path, array, wrong};
use super::{Finding, FindingKind, InputSize, Spots};
use crate::RequestError;
use crate::json::{Kind, Span, Value};

/// Members that answers of ours add to assistant messages, and what LiteLLM makes of them; SDKs
/// send them back. The edit table takes them out again.
const ECHOES: &[&str] = &["provider_metadata", "provider_specific_fields"];

/// Collects facts while the messages are walked.
pub(crate) struct Survey<'s> {
    pub(crate) input: &'s mut InputSize,
    pub(crate) findings: &'s mut Vec<Finding>,
    pub(crate) features: &'s mut Vec<String>,
    pub(crate) vision: &'s mut bool,
}

impl Survey<'_> {
    /// An image whose payload (base64 or address) is no text.
    pub(crate) fn image(&mut self, payload: Option<Value<'_>>) {
        *self.vision = true;
        self.input.images += 1;
        self.payload(payload);
    }

    /// Bytes that do not become text tokens.
    pub(crate) fn payload(&mut self, payload: Option<Value<'_>>) {
        let bytes = payload.map_or(0, |value| value.raw().len() as u64);
        self.input.text_bytes = self.input.text_bytes.saturating_sub(bytes);
    }

    /// An input whose size the body does not tell.
    pub(crate) fn unboundable(&mut self, path: Path<'_>) {
        self.input.unboundable.get_or_insert_with(|| path.to_string());
    }

    /// A part that is not registered.
    pub(crate) fn unregistered(&mut self, path: Path<'_>) {
        self.unboundable(path);
        self.findings.push(Finding { path: path.to_string(), kind: FindingKind::Unregistered });
    }

    /// A tool that the provider runs: it bills beyond tokens. Searches of the web have a price of their own.
    pub(crate) fn provider_tool(&mut self, kind: &str, path: Path<'_>) {
        if searches_the_web(kind) {
            self.input.most.searches = self.input.most.searches.max(1);
        }
        self.feature(kind);
        self.bills(path);
    }

    /// A feature of the provider by its name in requests; a name that is none is not repeated.
    pub(crate) fn feature(&mut self, name: &str) {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
        let is_name = (1..=64).contains(&name.len()) && name.chars().all(plain);
        let name = if is_name { name } else { "unnamed" };
        if !self.features.iter().any(|known| known == name) {
            self.features.push(name.to_owned());
        }
    }

    /// Something that bills beyond tokens.
    pub(crate) fn bills(&mut self, path: Path<'_>) {
        self.findings.push(Finding { path: path.to_string(), kind: FindingKind::Bills });
    }
}

/// How names of tools that search the web begin, without `_` and in lower case: OpenAI's, Anthropic's and
/// xAI's, Google's, Amazon's, Groq's. Sources: their API references, read November 2026.
const SEARCHES: &[&str] =
    &["websearch", "googlesearch", "enterprisewebsearch", "novagrounding", "browsersearch", "xsearch"];

/// Whether a tool of this kind searches the web. The AI SDK writes the provider before it: `openai.web_search`.
fn searches_the_web(kind: &str) -> bool {
    let bare = kind.rsplit('.').next().unwrap_or(kind);
    let bare: String = bare.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect();
    SEARCHES.iter().any(|search| bare.starts_with(search))
}

/// Content is a string, null, or an array of parts handed to `part`.
pub(crate) fn parts<'a>(
    content: Option<Value<'a>>,
    path: Path<'_>,
    part: impl FnMut(Value<'a>, Path<'_>) -> Result<(), RequestError>,
) -> Result<(), RequestError> {
    match content {
        None => Ok(()),
        Some(value) => match value.kind() {
            Kind::Text => Ok(()),
            Kind::Array => array(&value, path, part),
            _ => Err(wrong(path, "a string or an array of parts")),
        },
    }
}

impl Spots {
    /// Notes the members of a message that must not reach the provider.
    pub(crate) fn note_echoes(&mut self, message: &Fields<'_>) {
        let is_echo = |key: &str| ECHOES.contains(&key);
        if !message.iter().any(|member| is_echo(&member.key)) {
            return;
        }
        let members: Vec<(bool, usize, usize)> = message
            .iter()
            .map(|member| (is_echo(&member.key), member.start, member.value.span().end))
            .collect();
        self.echoes.extend(removals(&members));
    }
}

/// Spans that take the marked members out of an object, each with one comma.
/// A member is (marked, start of its key, end of its value), in order.
pub(crate) fn removals(members: &[(bool, usize, usize)]) -> Vec<Span> {
    let mut kept_before = false;
    let mut out = Vec::new();
    for (at, &(marked, start, end)) in members.iter().enumerate() {
        if !marked {
            kept_before = true;
        } else if let (true, Some(previous)) = (kept_before, at.checked_sub(1).and_then(|i| members.get(i))) {
            out.push(Span { start: previous.2, end });
        } else {
            let until = members.get(at + 1).map_or(end, |next| next.1);
            out.push(Span { start, end: until });
        }
    }
    out
}
