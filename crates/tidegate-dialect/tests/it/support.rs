//! What the tests share.

use bytes::Bytes;
use tidegate_dialect::answer::AnswerFacts;
use tidegate_dialect::outbound::{self, Edits, LimitKey};
use tidegate_dialect::read::{self, CallBody};
use tidegate_dialect::stream::{AnswerStream, End, Facts};
use tidegate_dialect::{Dialect, RequestError};

pub(crate) const OPENAI: Dialect = Dialect::OpenaiChat;
pub(crate) const ANTHROPIC: Dialect = Dialect::AnthropicMessages;

/// A file of `testdata`.
pub(crate) fn file(name: &str) -> Bytes {
    let path = format!("{}/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}")).into()
}

pub(crate) fn edits(model: &str) -> Edits<'_> {
    Edits {
        provider: "",
        model,
        output_limit: None,
        default_output_limit: 8192,
        limit_key: LimitKey::MaxCompletionTokens,
        no_stream_options: false,
        no_store: false,
        vertex: false,
    }
}

pub(crate) fn read(surface: Dialect, body: impl Into<Bytes>) -> CallBody {
    read::call(surface, read::Outside::default(), body.into()).expect("readable")
}

/// The body as a provider of `target` gets it.
pub(crate) fn sent(
    surface: Dialect,
    target: Dialect,
    body: impl Into<Bytes>,
) -> Result<String, RequestError> {
    let call = read::call(surface, read::Outside::default(), body.into())?;
    let bytes = outbound::request(&call, target, &edits("upstream-model"))?;
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

pub(crate) fn facts(asked_usage: bool) -> AnswerFacts {
    AnswerFacts {
        call_id: "gen_1".into(),
        model: "asked-model".into(),
        created: 1_700_000_000,
        asked_usage,
        note: None,
        spec: 4,
        warnings: Vec::new(),
        asked: tidegate_dialect::Asked::default(),
        seal: None,
    }
}

/// A stream fed in the given pieces.
pub(crate) struct Ran {
    pub(crate) out: String,
    pub(crate) facts: Facts,
    pub(crate) end: End,
}

pub(crate) fn run(surface: Dialect, target: Dialect, asked_usage: bool, pieces: &[Bytes]) -> Ran {
    let mut stream = AnswerStream::new(surface, target, &facts(asked_usage));
    let mut out = Vec::new();
    for piece in pieces {
        stream.push(piece, &mut out);
    }
    let end = stream.end(&mut out);
    let out = String::from_utf8(out.concat()).expect("UTF-8 in, UTF-8 out");
    Ran { out, facts: stream.facts().clone(), end }
}

/// Compact JSON with a line per member, numbers as they are.
pub(crate) fn lines(json: &str) -> String {
    json.replace(",\"", ",\n\"")
}

/// What leaves a stream that stays in its dialect, fed whole.
pub(crate) fn run_raw(dialect: Dialect, facts: &AnswerFacts, input: &Bytes) -> Bytes {
    let mut stream = AnswerStream::new(dialect, dialect, facts);
    let mut out = Vec::new();
    stream.push(input, &mut out);
    assert_eq!(stream.end(&mut out), End::Complete);
    out.concat().into()
}
