//! What the gateway adds about itself to answers that have a place for it: the cost beside the usage,
//! and `provider_metadata.gateway`. Splices into bytes that are otherwise left as they are.

use bytes::Bytes;
use tidegate_types::usage::Usage;

use crate::Dialect;
use crate::answer::{Note, NotePlace};
use crate::codec::Places;
use crate::json::{Kind, Span, Splices, Value, Writer};
use crate::sse::{Event, Reader};

/// The whole answer with the note in it; the same bytes where there is no place for it.
pub(crate) fn on_answer(surface: Dialect, body: Bytes, note: &Note, usage: &Usage) -> Bytes {
    match Value::parse(&body) {
        Ok(root) => on_read(surface, &root, None, &body, (note, usage)),
        Err(_) => body,
    }
}

/// The same for a body that has been read already, and where that reading came by the places of the note.
pub(crate) fn on_read(
    surface: Dialect,
    root: &Value<'_>,
    places: Option<Places>,
    body: &Bytes,
    (note, usage): (&Note, &Usage),
) -> Bytes {
    let mut splices = Splices::default();
    let places = places.unwrap_or_else(|| find(surface, root));
    place(surface, root, places, 0, (note, usage), &mut splices);
    if splices.is_empty() { body.clone() } else { splices.apply(body) }
}

/// The pieces of a stream with the note in the events that tell usage.
pub(crate) fn on_stream(surface: Dialect, pieces: &mut [Bytes], note: &Note, usage: &Usage) {
    for piece in pieces {
        if memchr::memmem::find(piece, b"\"usage\"").is_none() {
            continue;
        }
        let ready = Reader::default().feed(piece);
        let mut splices = Splices::default();
        for event in ready.events() {
            on_event(surface, &event, note, usage, &mut splices);
        }
        if !splices.is_empty() {
            *piece = splices.apply(piece);
        }
    }
}

fn on_event(surface: Dialect, event: &Event<'_>, note: &Note, usage: &Usage, splices: &mut Splices) {
    // Data in several lines is left alone: no place in the bytes is a place in the JSON.
    let Some(offset) = event.data_offset().map(|offset| event.span.start + offset) else { return };
    if let Ok(root) = Value::parse(&event.data()) {
        place(surface, &root, find(surface, &root), offset, (note, usage), splices);
    }
}

/// Where clients of this surface look for the note.
fn find(surface: Dialect, root: &Value<'_>) -> Places {
    let holder = match surface {
        Dialect::OpenaiResponses => root.get("response").unwrap_or(*root),
        Dialect::OpenaiChat | Dialect::AnthropicMessages => *root,
        // Their clients' schemas are strict, or their encoder writes the note itself.
        Dialect::Gemini | Dialect::BedrockConverse | Dialect::CohereChat | Dialect::AiSdk => {
            return Places { counts: None, said: None };
        }
    };
    let [counts, choices] = holder.pick(["usage", "choices"]);
    let choice = choices.and_then(|choices| choices.elements().next());
    let said = choice.and_then(|choice| {
        let [message, delta] = choice.pick(["message", "delta"]);
        message.or(delta)
    });
    let said = said.filter(|said| said.get("provider_metadata").is_none());
    Places { counts: counts.map(|counts| counts.span()), said: said.map(|said| said.span()) }
}

/// Puts the note where clients of this surface look. `offset`: of the JSON in the bytes.
fn place(
    surface: Dialect,
    root: &Value<'_>,
    places: Places,
    offset: usize,
    (note, usage): (&Note, &Usage),
    splices: &mut Splices,
) {
    let object =
        |span: Option<Span>| span.map(|span| root.within(span)).filter(|value| value.kind() == Kind::Object);
    let Some(counts) = object(places.counts) else { return };
    let cost = note.costing.cost(usage).to_string();
    match note.place {
        NotePlace::ProviderMetadata | NotePlace::Mlflow => {
            insert(&counts, offset, splices, |json| json.name("cost").raw(&cost).done());
        }
        NotePlace::Logfire | NotePlace::Groq => insert(&counts, offset, splices, |json| {
            json.key("logfire_ai_gateway").object(|json| json.key("cost").text(&cost).done()).done();
        }),
        NotePlace::AiSdk => return,
    }
    if surface == Dialect::OpenaiChat
        && !matches!(note.place, NotePlace::Logfire | NotePlace::Groq)
        && let Some(said) = object(places.said)
    {
        insert(&said, offset, splices, |json| metadata(json, note, &cost));
    }
    if note.place == NotePlace::Groq && is_chunk(root) {
        as_groq(root, &counts, offset, splices);
    }
    if note.place == NotePlace::Mlflow && root.get("provider").is_none() {
        insert(root, offset, splices, |json| json.key("provider").text(&note.provider).done());
    }
}

/// Whether it is a piece of a stream of OpenAI chat completions.
fn is_chunk(root: &Value<'_>) -> bool {
    root.get("object").and_then(|kind| kind.text()).as_deref() == Some("chat.completion.chunk")
}

/// The counts of a chunk as `x_groq.usage`, unless they are there.
fn as_groq(root: &Value<'_>, counts: &Value<'_>, offset: usize, splices: &mut Splices) {
    let own = root.get("x_groq").filter(|own| own.kind() == Kind::Object);
    if own.is_some_and(|own| own.get("usage").is_some()) {
        return;
    }
    if let Some(own) = own {
        return insert(&own, offset, splices, |json| json.key("usage").raw(counts.raw()).done());
    }
    insert(root, offset, splices, |json| {
        let own = |json: &mut Writer| {
            if let Some(id) = root.get("id") {
                json.key("id").raw(id.raw());
            }
            json.key("usage").raw(counts.raw());
        };
        json.key("x_groq").object(own).done();
    });
}

/// `"provider_metadata": {"gateway": {…}}`.
fn metadata(json: &mut Writer, note: &Note, cost: &str) {
    let gateway = |json: &mut Writer| {
        json.name("generationId").text(&note.generation_id).name("cost").text(cost);
        if let Some(routing) = &note.routing {
            json.name("routing").raw(routing);
        }
    };
    json.name("provider_metadata").object(|json| json.name("gateway").object(gateway).done()).done();
}

/// Adds members at the end of an object.
fn insert(object: &Value<'_>, offset: usize, splices: &mut Splices, write: impl FnOnce(&mut Writer)) {
    let mut members = Writer::behind(object.has_members());
    write(&mut members);
    let end = offset + object.span().end.saturating_sub(1);
    splices.replace(Span::at(end), members.into_bytes());
}
