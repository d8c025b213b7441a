//! The AI SDK's image models (specifications v2, v3, v4). Source: `@ai-sdk/gateway` and requests that it sent.

use super::{ImageAnswer, ImageCall, size_up};
use crate::answer::AnswerFacts;
use crate::json::Writer;
use crate::read::{CallBody, Fields, Path, text, whole};
use crate::registry::Carriage::{Carried, Dropped, Refused};
use crate::registry::Effect::{Gateway, Plain};
use crate::registry::{Field, field};
use crate::task::{Client, Payload, Source, Wishes, ai_sdk};
use crate::{AnswerFault, Content, RequestError};

const FIELDS: &[Field] = &[
    field("aspectRatio", Plain, Carried("Imagen only")),
    field("files", Plain, Refused("pictures are made, not edited")).harmless(&[b"[]"]),
    field("headers", Gateway, Dropped("the caller's headers again; never sent on")),
    field("mask", Plain, Refused("pictures are made, not edited")),
    field("n", Plain, Carried("how many pictures")),
    field("prompt", Plain, Carried("prompt")),
    field("providerOptions", Plain, Carried("those of the provider asked")),
    field("seed", Plain, Carried("Imagen only")),
    field("size", Plain, Carried("Imagen knows 1024x1024")),
];

pub(super) const CLIENT: Client<ImageCall, ImageAnswer> =
    Client { source: Source::Json { fields: FIELDS, decode }, encode, finish: None };

fn decode(fields: &mut Fields<'_>, call: &mut CallBody) -> Result<ImageCall, RequestError> {
    let root = Path::Root;
    let prompt = fields.take("prompt").ok_or_else(|| RequestError::Missing { path: "prompt".to_owned() })?;
    let mut words = |key: &str| {
        let value = fields.take(key);
        value.map(|value| Ok::<_, RequestError>(text(&value, root.key(key))?.into_owned())).transpose()
    };
    let (size, aspect_ratio) = (words("size")?, words("aspectRatio")?);
    let mut count = |key: &str| fields.take(key).map(|value| whole(&value, root.key(key))).transpose();
    let (n, seed) = (count("n")?, count("seed")?);
    let asked = ImageCall {
        prompt: Content::new(text(&prompt, root.key("prompt"))?.into_owned()),
        n,
        size,
        aspect_ratio,
        seed,
        base64: true,
        wishes: Wishes::read(fields)?,
        ..ImageCall::default()
    };
    size_up(&asked, call);
    Ok(asked)
}

fn encode(answer: &ImageAnswer, _call: &ImageCall, facts: &AnswerFacts) -> Result<Payload, AnswerFault> {
    if answer.pictures.iter().any(|picture| picture.base64.is_none()) {
        return Err(AnswerFault::Untranslatable(
            "the provider gave the address of a picture, not the picture",
        ));
    }
    let mut json = Writer::new();
    json.object(|json| {
        json.key("images").array(|json| {
            for picture in answer.pictures.iter().filter_map(|picture| picture.base64.as_ref()) {
                json.text(picture.expose());
            }
        });
        if answer.tokens {
            json.key("usage").object(|json| {
                let usage = &answer.usage;
                json.key("inputTokens").whole(usage.input_tokens);
                json.key("outputTokens").whole(usage.output_tokens);
                json.key("totalTokens").whole(usage.input_tokens.saturating_add(usage.output_tokens));
            });
        }
        ai_sdk::close(json, facts, Some(&answer.usage));
    });
    Ok(Payload::json(json.into_bytes()))
}
