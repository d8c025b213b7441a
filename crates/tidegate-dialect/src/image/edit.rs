//! OpenAI's image edits: a form with pictures, for providers of the same family only.
//! Source: its API reference, read November 2026.

use tidegate_types::usage::Usage;

use super::{ImageAnswer, openai};
use crate::outbound::Edits;
use crate::read::{CallBody, Finding, FindingKind, named};
use crate::task::{Client, Form, Incoming, Kind, Payload, Provider, Source, Task};
use crate::{Dialect, RequestError};

/// A request for edited pictures: the form as it came.
#[derive(Debug)]
pub(crate) struct EditCall(Form);

/// The operation.
pub(crate) struct Edit;

/// Parts that are known.
const KNOWN: [&str; 18] = [
    "background",
    "image",
    "image[]",
    "input_fidelity",
    "mask",
    "model",
    "moderation",
    "n",
    "output_compression",
    "output_format",
    "partial_images",
    "prompt",
    "quality",
    "response_format",
    "safety_identifier",
    "size",
    "stream",
    "user",
];

/// No published count of tokens for a picture that is edited is above this.
const TOKENS_PER_PICTURE: u64 = 20_000;

static CLIENT: Client<EditCall, ImageAnswer> = Client {
    source: Source::Form { decode },
    encode: |answer, _, facts| openai::write_answer(answer, facts),
    finish: None,
};

static PROVIDER: Provider<EditCall, ImageAnswer> = Provider {
    encode,
    pass: |_, call, edits| encode(call, edits),
    weigh: |received| openai::read_answer(received.payload).map(|answer| Some(answer.usage)),
    decode: |received| openai::read_answer(received.payload),
};

impl Kind for Edit {
    type Call = EditCall;
    type Answer = ImageAnswer;

    fn wrap(call: EditCall) -> Task {
        Task::Edit(call)
    }

    fn client(dialect: Dialect) -> Option<&'static Client<EditCall, ImageAnswer>> {
        (dialect == Dialect::OpenaiChat).then_some(&CLIENT)
    }

    fn provider(dialect: Dialect) -> Option<&'static Provider<EditCall, ImageAnswer>> {
        matches!(dialect, Dialect::OpenaiChat | Dialect::OpenaiResponses).then_some(&PROVIDER)
    }

    fn usage(answer: &ImageAnswer) -> Option<Usage> {
        Some(answer.usage)
    }
}

fn decode(incoming: &Incoming<'_>, call: &mut CallBody) -> Result<EditCall, RequestError> {
    let form = Form::read(incoming.content_type, &incoming.body)?;
    let missing = |path: &str| RequestError::Missing { path: path.to_owned() };
    let wrong = |path: &str, expected| RequestError::Wrong { path: path.to_owned(), expected };
    call.model = match incoming.outside.model {
        Some(model) => named(model)?,
        None => named(form.text("model")?.ok_or_else(|| missing("model"))?)?,
    };
    let prompt = form.text("prompt")?.ok_or_else(|| missing("prompt"))?.len() as u64;
    let pictures = form.parts.iter().filter(|part| part.file_name.is_some()).count() as u64;
    if !form
        .parts
        .iter()
        .any(|part| matches!(part.name.as_str(), "image" | "image[]") && part.file_name.is_some())
    {
        return Err(missing("image"));
    }
    for (name, harmless) in [("stream", "false"), ("partial_images", "0")] {
        if form.text(name)?.is_some_and(|value| value != harmless) {
            return Err(wrong(name, "left out: pictures are answered whole"));
        }
    }
    let n = match form.text("n")? {
        None => 1,
        Some(text) => match text.parse::<u64>() {
            Ok(n @ 1..=100) => n,
            _ => return Err(wrong("n", "a whole number from 1 to 100")),
        },
    };
    if let Some(user) = form.text("user")? {
        call.labels.user = Some(user.into());
    }
    for part in form.parts.iter().filter(|part| !KNOWN.contains(&part.name.as_str())).take(64) {
        let path = part.name.chars().take(64).collect();
        call.findings.push(Finding { path, kind: FindingKind::Unregistered });
    }
    call.answers = n;
    call.input.text_bytes = prompt.saturating_add(pictures.saturating_mul(TOKENS_PER_PICTURE));
    call.input.messages = 1;
    call.input.most.images = n;
    call.input.most.image_input_tokens = u64::MAX;
    call.input.most.image_output_tokens = u64::MAX;
    Ok(EditCall(form))
}

fn encode(call: &EditCall, edits: &Edits<'_>) -> Result<Payload, RequestError> {
    let mut form = call.0.clone();
    form.set("model", edits.model);
    Ok(form.write())
}
