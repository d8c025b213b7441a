//! OpenAI's image generation and its followers'. Source: its API reference, read November 2026.

use tidegate_types::usage::Usage;

use super::{ImageAnswer, ImageCall, Picture, size_up};
use crate::answer::AnswerFacts;
use crate::json::{Kind, Value, Writer};
use crate::outbound::Edits;
use crate::read::{CallBody, Fields, Path, boolean, text, whole, wrong};
use crate::registry::Carriage::{Carried, Dropped, Refused};
use crate::registry::Effect::{Gateway, Plain};
use crate::registry::{Field, field};
use crate::task::{Client, Payload, Provider, Source, Wishes, pass_json};
use crate::{AnswerFault, Content, RequestError};

const FIELDS: &[Field] = &[
    field("background", Plain, Carried("OpenAI's only")),
    field("caching", Gateway, Dropped("read by the gateway")),
    field("model", Plain, Carried("the upstream's name of the model")),
    field("models", Gateway, Dropped("read by the gateway")),
    field("moderation", Plain, Carried("OpenAI's only")),
    field("n", Plain, Carried("how many pictures")),
    field("output_compression", Plain, Carried("OpenAI's only")),
    field("output_format", Plain, Carried("OpenAI's only")),
    field("partial_images", Plain, Refused("pictures do not stream here")).harmless(&[b"0"]),
    field("prompt", Plain, Carried("prompt")),
    field("provider", Gateway, Dropped("read by the gateway")),
    field("providerOptions", Gateway, Dropped("read by the gateway")),
    field("quality", Plain, Carried("OpenAI's only")),
    field("response_format", Plain, Carried("pictures themselves are always given where asked for")),
    field("size", Plain, Carried("Imagen knows 1024x1024")),
    field("stream", Plain, Refused("pictures do not stream here")).harmless(&[b"false"]),
    field("style", Plain, Carried("OpenAI's only")),
    field("user", Plain, Carried("the caller's end user, where there is a place for it")),
];

/// Fields that only OpenAI has, carried as they are.
const FURTHER: [&str; 6] =
    ["background", "moderation", "output_compression", "output_format", "quality", "style"];

pub(super) const CLIENT: Client<ImageCall, ImageAnswer> = Client {
    source: Source::Json { fields: FIELDS, decode },
    encode: |answer, _, facts| write_answer(answer, facts),
    finish: None,
};

pub(super) const PROVIDER: Provider<ImageCall, ImageAnswer> = Provider {
    encode,
    pass: |call, _, edits| Ok(Payload::json(pass_json(call, edits).finish())),
    weigh: |received| read_answer(received.payload).map(|answer| Some(answer.usage)),
    decode: |received| read_answer(received.payload),
};

fn decode(fields: &mut Fields<'_>, call: &mut CallBody) -> Result<ImageCall, RequestError> {
    let root = Path::Root;
    let prompt = fields.take("prompt").ok_or_else(|| RequestError::Missing { path: "prompt".to_owned() })?;
    let mut asked = ImageCall {
        prompt: Content::new(text(&prompt, root.key("prompt"))?.into_owned()),
        n: fields.take("n").map(|value| whole(&value, root.key("n"))).transpose()?,
        ..ImageCall::default()
    };
    if let Some(size) = fields.take("size") {
        asked.size = Some(text(&size, root.key("size"))?.into_owned());
    }
    if let Some(format) = fields.take("response_format") {
        asked.base64 = match text(&format, root.key("response_format"))?.as_ref() {
            "b64_json" => true,
            "url" => false,
            _ => return Err(wrong(root.key("response_format"), "url or b64_json")),
        };
    }
    if let Some(user) = fields.take("user") {
        let user = Content::new(text(&user, root.key("user"))?.into_owned());
        call.labels.user = call.labels.user.take().or_else(|| Some(user.clone()));
        asked.user = Some(user);
    }
    if fields.take("stream").map_or(Ok(false), |value| boolean(&value, root.key("stream")))? {
        return Err(wrong(root.key("stream"), "false: pictures are answered whole"));
    }
    for name in FURTHER {
        if let Some(value) = fields.take(name) {
            asked.further.push((name, Content::new(String::from_utf8_lossy(value.raw()).into_owned())));
        }
    }
    asked.wishes = Wishes::default();
    size_up(&asked, call);
    Ok(asked)
}

/// Models that always answer with the pictures themselves, and refuse to be asked for them.
fn gives_pictures(model: &str) -> bool {
    ["gpt-image", "chatgpt-image"].iter().any(|family| model.starts_with(family))
}

fn encode(call: &ImageCall, edits: &Edits<'_>) -> Result<Payload, RequestError> {
    let why = "OpenAI's images have a size and no seed";
    let unknown = [("aspectRatio", call.aspect_ratio.is_some()), ("seed", call.seed.is_some())];
    if let Some((field, _)) = unknown.iter().find(|(_, there)| *there) {
        return Err(RequestError::Untranslatable { field: (*field).to_owned(), why });
    }
    let mut json = Writer::new();
    let mut outcome = Ok(());
    json.object(|json| {
        json.key("model").text(edits.model);
        json.key("prompt").text(call.prompt.expose());
        if let Some(n) = call.n {
            json.key("n").whole(n);
        }
        if let Some(size) = &call.size {
            json.key("size").text(size);
        }
        if call.base64 && !gives_pictures(edits.model) {
            json.key("response_format").text("b64_json");
        }
        if let Some(user) = &call.user {
            json.key("user").text(user.expose());
        }
        for (name, value) in &call.further {
            json.key(name).raw(value.expose());
        }
        let options = [
            ("background", "background"),
            ("moderation", "moderation"),
            ("outputCompression", "output_compression"),
            ("outputFormat", "output_format"),
            ("quality", "quality"),
            ("style", "style"),
            ("user", "user"),
        ];
        outcome = call.wishes.write(json, &["openai", edits.provider], &options);
    });
    outcome?;
    Ok(Payload::json(json.into_bytes()))
}

/// Pictures, and what they used.
pub(super) fn read_answer(payload: &Payload) -> Result<ImageAnswer, AnswerFault> {
    let root = Value::parse(&payload.bytes).map_err(|_| AnswerFault::Malformed("not JSON"))?;
    let data = root.get("data").filter(|data| data.kind() == Kind::Array);
    let data = data.ok_or(AnswerFault::Malformed("no data"))?;
    let pictures: Vec<Picture> = data
        .elements()
        .map(|item| {
            let text = |key| Some(Content::new(item.get(key)?.text()?.into_owned()));
            Picture { base64: text("b64_json"), url: text("url"), revised_prompt: text("revised_prompt") }
        })
        .collect();
    if pictures.iter().any(|picture| picture.base64.is_none() && picture.url.is_none()) {
        return Err(AnswerFault::Malformed("a picture that is nowhere"));
    }
    let mut usage = Usage { images: pictures.len() as u64, requests: 1, ..Usage::default() };
    let told = root.get("usage").filter(|usage| usage.kind() == Kind::Object);
    if let Some(told) = &told {
        let count = |value: &Value<'_>, key| value.get(key).and_then(|count| count.whole()).unwrap_or(0);
        usage.input_tokens = count(told, "input_tokens");
        usage.output_tokens = count(told, "output_tokens");
        let of_input = told.get("input_tokens_details").map_or(0, |details| count(&details, "image_tokens"));
        usage.image_input_tokens = of_input.min(usage.input_tokens);
        // What these models write is pictures, unless they say that some of it is text.
        let text = told.get("output_tokens_details").map_or(0, |details| count(&details, "text_tokens"));
        usage.image_output_tokens = usage.output_tokens.saturating_sub(text);
    }
    Ok(ImageAnswer { pictures, usage, tokens: told.is_some() })
}

/// Pictures as OpenAI's clients read them.
pub(super) fn write_answer(answer: &ImageAnswer, facts: &AnswerFacts) -> Result<Payload, AnswerFault> {
    let mut json = Writer::new();
    json.object(|json| {
        json.key("created").raw(facts.created.to_string());
        json.key("data").array(|json| {
            for picture in &answer.pictures {
                let Picture { base64, url, revised_prompt } = picture;
                json.object(|json| {
                    for (key, value) in
                        [("b64_json", base64), ("url", url), ("revised_prompt", revised_prompt)]
                    {
                        if let Some(value) = value {
                            json.key(key).text(value.expose());
                        }
                    }
                });
            }
        });
        if answer.tokens {
            json.key("usage").object(|json| {
                let usage = &answer.usage;
                json.key("input_tokens").whole(usage.input_tokens);
                json.key("output_tokens").whole(usage.output_tokens);
                json.key("total_tokens").whole(usage.input_tokens.saturating_add(usage.output_tokens));
            });
        }
    });
    Ok(Payload::json(json.into_bytes()))
}
