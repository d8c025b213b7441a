//! Requests of every surface, on their way to every provider, and whole answers on their way back.

use std::sync::OnceLock;

use bytes::Bytes;
use tidegate_dialect::answer::{self, AnswerFacts};
use tidegate_dialect::outbound::{self, Edits, LimitKey};
use tidegate_dialect::read::{self, CallBody, Outside};
use tidegate_dialect::task::{self, Payload};
use tidegate_dialect::{Dialect, refusal};
use tidegate_types::resource::Operation;

use crate::memory::bounded;
use crate::{SURFACES, targets};

const FORM: &str = "multipart/form-data; boundary=\"b\"";
const JSON: &str = "application/json";
const TASKS: [Operation; 6] = [
    Operation::Embedding,
    Operation::Reranking,
    Operation::Image,
    Operation::Speech,
    Operation::Transcription,
    Operation::Video,
];

fn edits(rich: bool) -> Edits<'static> {
    Edits {
        provider: "openai",
        model: "upstream-model",
        output_limit: rich.then_some(17),
        default_output_limit: 8192,
        limit_key: if rich { LimitKey::MaxTokens } else { LimitKey::MaxCompletionTokens },
        no_stream_options: false,
        no_store: rich,
        vertex: rich,
    }
}

pub(crate) fn facts() -> AnswerFacts {
    AnswerFacts {
        call_id: "gen_1".into(),
        model: "asked-model".into(),
        created: 1_700_000_000,
        asked_usage: false,
        note: None,
        spec: 4,
        warnings: Vec::new(),
        asked: tidegate_dialect::Asked::default(),
        seal: None,
    }
}

/// What the gateway leaves of a request must be readable by whoever reads the request.
fn sent(call: &CallBody, target: Dialect) {
    for rich in [false, true] {
        let Ok(bytes) = outbound::request(call, target, &edits(rich)) else { continue };
        if call.surface == target {
            // As it was read: whoever names the stream elsewhere leaves whatever the body says of one.
            let outside = Outside { model: Some("m"), stream: Some(call.stream), ..Outside::default() };
            let again = read::call(target, outside, bytes);
            assert!(again.is_ok(), "an edited body can no longer be read: {:?}", again.err());
        }
    }
}

fn language(surface: Dialect, data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    for spec in if surface == Dialect::AiSdk { 2..=4 } else { 4..=4 } {
        // Clients of paths and headers name the model there; the others in the body.
        for model in [None, Some("m")] {
            let outside = Outside { model, stream: Some(spec == 3), spec, ..Outside::default() };
            let Ok(call) = read::call(surface, outside, body.clone()) else { continue };
            targets().for_each(|target| sent(&call, target));
        }
    }
}

/// Requests of language models from every surface but the AI SDK, to every provider.
pub fn requests(data: &[u8]) {
    bounded(data.len(), || {
        SURFACES
            .into_iter()
            .filter(|surface| *surface != Dialect::AiSdk)
            .for_each(|surface| language(surface, data));
    });
}

fn task_call(operation: Operation, surface: Dialect, content_type: &str, data: &Bytes) {
    for model in [None, Some("m")] {
        let outside = Outside { model, ..Outside::default() };
        let Ok(call) = task::read(operation, surface, outside, content_type, data.clone()) else { continue };
        for target in targets() {
            let _ = task::request(&call, target, &edits(false));
            let _ = task::request(&call, target, &edits(true));
        }
    }
}

/// Everything that the AI SDK asks for.
pub fn ai_sdk(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    bounded(data.len(), || {
        language(Dialect::AiSdk, data);
        TASKS.into_iter().for_each(|operation| task_call(operation, Dialect::AiSdk, JSON, &body));
    });
}

/// Requests of operations that are not a language model's, in JSON.
pub fn tasks(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    bounded(data.len(), || {
        for surface in [Dialect::OpenaiChat, Dialect::CohereChat, Dialect::Gemini] {
            TASKS.into_iter().for_each(|operation| task_call(operation, surface, JSON, &body));
        }
    });
}

/// Forms with files (transcriptions); once with the first line as `content-type`.
pub fn forms(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    bounded(data.len(), || {
        task_call(Operation::Transcription, Dialect::OpenaiChat, FORM, &body);
        let line = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
        if let Ok(content_type) = std::str::from_utf8(&data[..line]) {
            let rest = body.slice(line..);
            task_call(Operation::Transcription, Dialect::OpenaiChat, content_type, &rest);
        }
    });
}

/// One plain call of each operation, whose answers are read.
fn asked() -> &'static [CallBody] {
    static CALLS: OnceLock<Vec<CallBody>> = OnceLock::new();
    CALLS.get_or_init(|| {
        let form = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b\r\nContent-Disposition: \
                    form-data; name=\"file\"; filename=\"a.mp3\"\r\n\r\nID3\r\n--b--\r\n";
        let calls = [
            (Operation::Embedding, Dialect::OpenaiChat, JSON, r#"{"model":"m","input":["a","b"]}"#),
            (Operation::Embedding, Dialect::AiSdk, JSON, r#"{"values":["a","b"]}"#),
            (Operation::Reranking, Dialect::CohereChat, JSON, r#"{"model":"m","query":"q","documents":["a","b"]}"#),
            (Operation::Reranking, Dialect::AiSdk, JSON, r#"{"query":"q","documents":{"type":"text","values":["a"]}}"#),
            (Operation::Image, Dialect::OpenaiChat, JSON, r#"{"model":"m","prompt":"p"}"#),
            (Operation::Image, Dialect::AiSdk, JSON, r#"{"prompt":"p","n":1,"providerOptions":{}}"#),
            (Operation::Speech, Dialect::AiSdk, JSON, r#"{"text":"t"}"#),
            (Operation::Transcription, Dialect::OpenaiChat, FORM, form),
            (
                Operation::Transcription,
                Dialect::AiSdk,
                JSON,
                r#"{"audio":"UklGRg==","mediaType":"audio/wav","providerOptions":{}}"#,
            ),
        ];
        let read = calls.into_iter().map(|(operation, surface, content_type, body)| {
            let model = (surface == Dialect::AiSdk).then_some("m");
            let outside = Outside { model, ..Outside::default() };
            task::read(operation, surface, outside, content_type, Bytes::from_static(body.as_bytes()))
        });
        read.collect::<Result<_, _>>().expect("plain requests are read")
    })
}

/// Whole answers and errors of every provider, for every client.
pub fn answers(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    asked();
    bounded(data.len(), || {
        for target in targets() {
            let _ = refusal::read(data);
            for surface in SURFACES {
                let _ = answer::complete(surface, target, &body, &facts());
            }
            for (call, content_type) in asked().iter().flat_map(|call| [(call, JSON), (call, "text/plain")]) {
                let received = Payload { bytes: body.clone(), content_type: content_type.into() };
                let _ = task::complete(call, target, "openai", &received, None, &facts());
            }
        }
    });
}
