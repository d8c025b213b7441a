//! The AI SDK's protocol: requests of all versions in, answers and streams of all targets out.

mod answers;
mod options;
mod requests;

use bytes::Bytes;
use tidegate_dialect::outbound::{Edits, request};
use tidegate_dialect::read::{self, CallBody, Outside};
use tidegate_dialect::{Dialect, RequestError};

use crate::support::edits;

const AI_SDK: Dialect = Dialect::AiSdk;

fn call(spec: u8, stream: bool, body: impl Into<Bytes>) -> Result<CallBody, RequestError> {
    let outside =
        Outside { model: Some("openai/gpt-mock"), stream: Some(stream), spec, ..Outside::default() };
    read::call(AI_SDK, outside, body.into())
}

fn sent_to(
    target: Dialect,
    provider: &'static str,
    stream: bool,
    body: impl Into<Bytes>,
) -> Result<String, RequestError> {
    let call = call(4, stream, body)?;
    let bytes = request(&call, target, &Edits { provider, ..edits("upstream-model") })?;
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

/// A body around one user's message.
fn with(member: &str) -> String {
    format!(r#"{{"prompt":[{{"role":"user","content":[{{"type":"text","text":"x"}}]}}],{member}}}"#)
}

fn refused(target: Dialect, provider: &'static str, body: &str) -> String {
    match sent_to(target, provider, false, body.to_owned()) {
        Err(error) => error.to_string(),
        Ok(sent) => panic!("{body} was sent as {sent}"),
    }
}
