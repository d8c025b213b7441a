//! Reads a client's body just far enough to plan, admit and forward it: facts and places, no tree.
//!
//! Duplicate keys at every level that is interpreted here are refused, because two readers could
//! disagree about them. Knows nothing of policies: it reports findings, others refuse.

mod gateway;
mod labels;
mod messages;
mod place;
mod request_credentials;
mod size;
mod wishes;

use std::sync::Arc;

use std::fmt;

use bytes::Bytes;

pub use gateway::GatewayOptions;
pub use labels::Labels;
pub(crate) use place::{Fields, Path, array, boolean, text, texts, whole, wrong};
pub use request_credentials::{RequestCredential, RequestCredentials};
pub use size::{InputBound, InputSize};

pub(crate) use messages::{Survey, parts, removals};

use crate::json::{Document, Member, Span};
use crate::registry::{self, Effect, Field};
use crate::task::Task;
use crate::{Dialect, RequestError, codec};

/// What a call needs from a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Tools are declared.
    pub tools: bool,
    /// Images are in the input.
    pub vision: bool,
    /// Reasoning is switched on explicitly.
    pub reasoning: bool,
    /// The output must follow a schema or be JSON.
    pub structured_output: bool,
}

/// Why a field was noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingKind {
    /// Not in the registry: may bill or retain for all we know.
    Unregistered,
    /// Can bill beyond tokens at their list price.
    Bills,
    /// Lets the provider keep content.
    Retains,
}

/// Unregistered fields beyond this many are not listed: the first one is enough to refuse.
const MOST_FINDINGS: usize = 64;

/// A field that a strict budget or ZDR may refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// JSON path; keys chosen by the client are cut at 64 bytes.
    pub path: String,
    /// Why it was noted.
    pub kind: FindingKind,
}

/// A client's body: its facts, and where the editable things lie. Debug shows no content.
#[derive(Clone)]
pub struct CallBody {
    /// The dialect it is written in.
    pub surface: Dialect,
    /// The model as asked for.
    pub model: String,
    /// A stream was asked for.
    pub stream: bool,
    /// The client's own limit of output tokens (the lower one when it gave two).
    pub output_limit: Option<u64>,
    /// Reasoning tokens that the limit must leave room for.
    pub reasoning_budget: Option<u64>,
    /// Number of answers asked for (`n`).
    pub answers: u64,
    /// The client asked for usage in the stream.
    pub asked_usage: bool,
    /// Only its tokens are to be counted.
    pub counting: bool,
    /// What the model must be able to do.
    pub needs: Needs,
    /// End user and tags, from named fields.
    pub labels: Labels,
    /// Options for the gateway itself.
    pub gateway: GatewayOptions,
    /// Fields that a strict budget or ZDR may refuse.
    pub findings: Vec<Finding>,
    /// What of the provider's own features it makes use of, by their names in requests: what is known of how
    /// the provider handles data holds for each.
    pub features: Vec<String>,
    /// How large the input is, for bounds.
    pub input: InputSize,
    /// Version of the AI SDK's specification, see [`Outside`].
    pub spec: u8,
    /// Which of its surface's operations it is.
    pub way: Way,
    /// What is asked for, where it is not an answer of a language model.
    pub(crate) task: Option<Arc<Task>>,
    pub(crate) bytes: Bytes,
    pub(crate) spots: Spots,
}

impl fmt::Debug for CallBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallBody")
            .field("surface", &self.surface)
            .field("model", &self.model)
            .field("stream", &self.stream)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

impl CallBody {
    /// A body of which nothing is known yet but how it came.
    pub(crate) fn new(surface: Dialect, spec: u8, bytes: Bytes, root: Span) -> Self {
        Self {
            surface,
            model: String::new(),
            stream: false,
            output_limit: None,
            reasoning_budget: None,
            answers: 1,
            asked_usage: false,
            counting: false,
            needs: Needs::default(),
            labels: Labels::default(),
            gateway: GatewayOptions::default(),
            findings: Vec::new(),
            features: Vec::new(),
            input: InputSize::default(),
            spec,
            way: Way::Usual,
            task: None,
            bytes,
            spots: Spots { root, members: Vec::new(), echoes: Vec::new() },
        }
    }

    /// The body as it came.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Takes the bytes of credentials out of the body.
    pub(crate) fn forget_credentials(&mut self) {
        if let Some(span) = self.gateway.byok_at.take() {
            self.bytes = request_credentials::blanked(std::mem::take(&mut self.bytes), span);
        }
    }

    /// Whether something else is asked for than an answer of a language model.
    #[must_use]
    pub const fn is_task(&self) -> bool {
        self.task.is_some()
    }

    /// Where facts about the messages are collected.
    pub(crate) fn survey(&mut self) -> Survey<'_> {
        Survey {
            input: &mut self.input,
            findings: &mut self.findings,
            features: &mut self.features,
            vision: &mut self.needs.vision,
        }
    }

    /// The first finding of one of these kinds.
    #[must_use]
    pub fn finding(&self, kinds: &[FindingKind]) -> Option<&Finding> {
        self.findings.iter().find(|finding| kinds.contains(&finding.kind))
    }
}

/// Where editable things lie in the bytes.
#[derive(Debug, Clone)]
pub(crate) struct Spots {
    /// The whole object.
    pub(crate) root: Span,
    /// Its members in order.
    pub(crate) members: Vec<Spot>,
    /// Spans that take out what answers of ours put into assistant messages.
    pub(crate) echoes: Vec<Span>,
}

/// A top-level member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spot {
    /// The registered field; `None` for others.
    pub(crate) field: Option<&'static Field>,
    /// Offset of the key.
    pub(crate) start: usize,
    /// The value.
    pub(crate) value: Span,
}

/// A further operation that a surface has beside its usual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Way {
    /// The usual one.
    #[default]
    Usual,
    /// OpenAI's `/responses/compact`: a conversation is made shorter.
    Compact,
    /// OpenAI's `/images/edits`.
    Edit,
}

/// What a surface tells outside of the body: in the path or in headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outside<'a> {
    /// The model; `None`: the body names it.
    pub model: Option<&'a str>,
    /// Whether a stream is asked for; `None`: the body says so.
    pub stream: Option<bool>,
    /// Version of the AI SDK's specification (2, 3, 4); of no meaning elsewhere.
    pub spec: u8,
    /// Which of the surface's operations it is.
    pub way: Way,
}

impl Default for Outside<'_> {
    fn default() -> Self {
        Self { model: None, stream: None, spec: crate::ai_sdk::NEWEST, way: Way::Usual }
    }
}

/// Reads a client's body.
///
/// # Errors
/// [`RequestError`] with the JSON path of what is wrong; the answer is a 400.
pub fn call(surface: Dialect, outside: Outside<'_>, body: Bytes) -> Result<CallBody, RequestError> {
    // A second handle on the same bytes, so that the walk and the result do not borrow from each other.
    let bytes = body.clone();
    let document = Document::parse(&bytes)?;
    let root = document.root();
    let fields = Fields::read(&root, Path::Root)?;
    let mut labels = Labels::default();
    let gateway = GatewayOptions::read(&fields, &mut labels, surface == Dialect::AiSdk)?;
    let mut call = CallBody::new(surface, outside.spec, body, root.span());
    call.model = match outside.model {
        Some(model) => named(model)?,
        None => model(&fields)?,
    };
    call.stream = match outside.stream {
        Some(stream) => stream,
        None => fields.get("stream").map_or(Ok(false), |value| boolean(&value, Path::Root.key("stream")))?,
    };
    (call.labels, call.gateway) = (labels, gateway);
    for member in fields.iter() {
        let field = registered(registry::fields(surface), member, &mut call.findings)?;
        call.spots.members.push(Spot { field, start: member.start, value: member.value.span() });
    }
    (codec::of(surface).read)(&fields, &mut call)?;
    if let Some(stream) = outside.stream {
        call.stream = stream;
    }
    call.way = outside.way;
    // The other handle goes first, so that they can be wiped where they lie.
    drop(fields);
    drop(document);
    drop(bytes);
    call.forget_credentials();
    Ok(call)
}

pub(crate) fn model(fields: &Fields<'_>) -> Result<String, RequestError> {
    let path = Path::Root.key("model");
    let value = fields.get("model").ok_or_else(|| RequestError::Missing { path: path.to_string() })?;
    named(&place::text(&value, path)?)
}

pub(crate) fn named(model: &str) -> Result<String, RequestError> {
    if model.is_empty() || model.len() > 256 {
        return Err(place::wrong(Path::Root.key("model"), "a model's name of 1 to 256 bytes"));
    }
    Ok(model.to_owned())
}

/// The registered field of a member; notes what may bill or retain.
pub(crate) fn registered(
    fields: &'static [Field],
    member: &Member<'_>,
    findings: &mut Vec<Finding>,
) -> Result<Option<&'static Field>, RequestError> {
    let path = || Path::Root.key(&member.key).to_string();
    let Some(field) = registry::find_in(fields, &member.key) else {
        // Some servers match keys without regard to case: such a field would be read there, not here.
        if let Some(known) = registry::resembling_in(fields, &member.key) {
            return Err(RequestError::LooksLike { path: path(), known });
        }
        if findings.len() < MOST_FINDINGS {
            findings.push(Finding { path: path(), kind: FindingKind::Unregistered });
        }
        return Ok(None);
    };
    if !member.value.is_null() && !field.harmless.contains(&member.value.raw()) {
        if matches!(field.effect, Effect::Bills | Effect::BillsAndRetains) {
            findings.push(Finding { path: path(), kind: FindingKind::Bills });
        }
        if matches!(field.effect, Effect::Retains | Effect::BillsAndRetains) {
            findings.push(Finding { path: path(), kind: FindingKind::Retains });
        }
    }
    Ok(Some(field))
}
