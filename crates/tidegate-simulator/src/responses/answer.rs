//! Writes responses: plain, streamed, and the error inside a stream.

use serde_json::{Value, json};

use crate::ask::{Ask, Choice};
use crate::complete::{Answer, Completion, Counts, Finish};
use crate::script::Faults;
use crate::{likely, search};

const CREATED: u64 = 1_700_000_000;

/// What encrypted reasoning of this service begins with.
pub(super) const SEAL: &str = "gAAAAABsim";

fn usage(counts: Counts) -> Value {
    json!({
        "input_tokens": counts.input,
        "input_tokens_details": {"cached_tokens": counts.cached, "cache_write_tokens": 0},
        "output_tokens": counts.output,
        "output_tokens_details": {"reasoning_tokens": counts.reasoning},
        "total_tokens": counts.input + counts.output
    })
}

/// One answer and the request that it repeats.
struct Writer<'a> {
    ask: &'a Ask,
    answer: Option<&'a Answer>,
    counts: Option<Counts>,
    number: u64,
}

impl Writer<'_> {
    fn id(&self, kind: &str, index: usize) -> String {
        format!("{kind}_{:024x}{index:02x}", self.number)
    }

    fn searches(&self) -> u64 {
        self.counts.map_or(0, |counts| counts.units.searches)
    }

    fn limited(&self) -> bool {
        self.answer.is_some_and(|answer| answer.finish == Finish::Length)
    }

    /// The response object in a state of its making.
    fn response(&self, status: &str, output: &[Value], usage: &Value) -> Value {
        let tools: Vec<Value> = self
            .ask
            .tools
            .iter()
            .map(|tool| json!({"type": "function", "name": tool.name, "parameters": tool.schema, "strict": false, "description": null}))
            .collect();
        let choice = match &self.ask.choice {
            Choice::Auto => json!("auto"),
            Choice::None => json!("none"),
            Choice::Required => json!("required"),
            Choice::Named(name) => json!({"type": "function", "name": name}),
        };
        let reason =
            if status == "incomplete" { json!({"reason": "max_output_tokens"}) } else { Value::Null };
        json!({
            "id": self.id("resp", 0), "object": "response", "created_at": CREATED, "status": status,
            "background": false, "error": null, "incomplete_details": reason, "instructions": null,
            "max_output_tokens": self.ask.limit, "max_tool_calls": null, "model": self.ask.model, "output": output,
            "parallel_tool_calls": !self.ask.single_call, "previous_response_id": null,
            "reasoning": {"effort": null, "summary": null}, "service_tier": "default", "store": false,
            "temperature": 1.0, "text": {"format": {"type": "text"}, "verbosity": "medium"}, "tool_choice": choice,
            "tools": tools, "top_logprobs": self.ask.logprobs.unwrap_or(0), "top_p": 1.0, "truncation": "disabled", "usage": usage, "user": null,
            "metadata": {}, "tool_usage": {
                "image_gen": {"input_tokens": 0, "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
                    "output_tokens": 0, "total_tokens": 0},
                "web_search": {"num_requests": self.searches()}
            }
        })
    }

    /// The items, each whole.
    fn items(&self) -> Vec<Value> {
        let Some(answer) = self.answer else { return Vec::new() };
        let mut items = Vec::new();
        if answer.thinking.is_some() || self.ask.sealed {
            let summary = answer.thinking.iter().map(|said| json!({"type": "summary_text", "text": said}));
            let mut item =
                json!({"id": self.id("rs", 0), "type": "reasoning", "summary": summary.collect::<Vec<_>>()});
            if self.ask.sealed {
                item["encrypted_content"] = json!(format!("{SEAL}{:x}==", self.number));
            }
            items.push(item);
        }
        for (name, arguments) in &answer.calls {
            let index = items.len();
            items.push(json!({"id": self.id("fc", index), "type": "function_call", "status": "completed",
                "arguments": arguments, "call_id": self.id("call", index), "name": name}));
        }
        for place in 0..self.searches() {
            let action = json!({"type": "search", "query": search::query(place)});
            items.push(
                json!({"id": self.id("ws", items.len()), "type": "web_search_call", "status": "completed",
                "action": action}),
            );
        }
        if answer.calls.is_empty() && !answer.pieces.is_empty() {
            let status = if self.limited() { "incomplete" } else { "completed" };
            items.push(json!({"id": self.id("msg", items.len()), "type": "message", "status": status,
                "role": "assistant", "content": [self.output_text(&answer.pieces)]}));
        }
        items
    }

    fn output_text(&self, pieces: &[String]) -> Value {
        let mut part = output_text(&pieces.concat());
        if let Some(top) = self.ask.logprobs {
            part["logprobs"] = likely::entries(pieces, top);
        }
        if self.searches() > 0 && !pieces.is_empty() {
            part["annotations"] = json!([{"type": "url_citation", "start_index": 0, "end_index": 1,
                "title": search::TITLE, "url": search::URL}]);
        }
        part
    }

    /// The last state.
    fn ended(&self) -> Value {
        let status = if self.limited() { "incomplete" } else { "completed" };
        self.response(status, &self.items(), &self.counts.map_or(Value::Null, usage))
    }
}

fn output_text(text: &str) -> Value {
    json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text})
}

fn writer<'a>(ask: &'a Ask, completion: &'a Completion, faults: &Faults, number: u64) -> Writer<'a> {
    let counts = (!faults.omit_usage).then_some(completion.counts);
    Writer { ask, answer: completion.answers.first(), counts, number }
}

/// The whole answer as one JSON body.
pub(crate) fn plain(ask: &Ask, completion: &Completion, faults: &Faults, number: u64) -> Vec<u8> {
    writer(ask, completion, faults, number).ended().to_string().into_bytes()
}

/// Events, numbered.
#[derive(Default)]
struct Events(Vec<Vec<u8>>);

impl Events {
    fn push(&mut self, kind: &str, mut event: Value) {
        event["type"] = json!(kind);
        event["sequence_number"] = json!(self.0.len());
        self.0.push(format!("event: {kind}\ndata: {event}\n\n").into_bytes());
    }

    /// The pieces of one text, and what comes before and after them.
    fn text(&mut self, kind: &str, place: &Value, pieces: &[String], last: &str) {
        let with = |key: &str, text: &str| {
            let mut event = place.clone();
            event[key] = json!(text);
            event
        };
        for piece in pieces {
            let mut event = with("delta", piece);
            event["obfuscation"] = json!("x".repeat(piece.len() % 5));
            self.push(&format!("response.{kind}.delta"), event);
        }
        self.push(&format!("response.{kind}.done"), with(last, &pieces.concat()));
    }

    /// The groups of tokens of an answer's text, with their log probabilities.
    fn output_text(&mut self, writer: &Writer<'_>, place: &Value, groups: &[&[String]]) {
        let event = |key: &str, pieces: &[String]| {
            let mut event = place.clone();
            event[key] = json!(pieces.concat());
            event["logprobs"] = writer.ask.logprobs.map_or(json!([]), |top| likely::entries(pieces, top));
            event
        };
        for group in groups {
            let mut event = event("delta", group);
            event["obfuscation"] = json!("x".repeat(group.len() % 5));
            self.push("response.output_text.delta", event);
        }
        self.push("response.output_text.done", event("text", &groups.concat()));
    }
}

/// The answer as server-sent events, one entry a write.
pub(crate) fn stream(ask: &Ask, completion: &Completion, faults: &Faults, number: u64) -> Vec<Vec<u8>> {
    let writer = writer(ask, completion, faults, number);
    let mut events = Events::default();
    for kind in ["response.created", "response.in_progress"] {
        events.push(kind, json!({"response": writer.response("in_progress", &[], &Value::Null)}));
    }
    let pieces = writer.answer.map_or(&[][..], |answer| &answer.pieces);
    for (index, item) in writer.items().iter().enumerate() {
        let groups: Vec<&[String]> = pieces.chunks(faults.tokens_per_chunk.max(1)).collect();
        stream_item(&mut events, &writer, (index, item), &groups);
    }
    let kind = if writer.limited() { "response.incomplete" } else { "response.completed" };
    events.push(kind, json!({"response": writer.ended()}));
    events.0
}

fn stream_item(
    events: &mut Events,
    writer: &Writer<'_>,
    (index, item): (usize, &Value),
    groups: &[&[String]],
) {
    let place = json!({"item_id": item["id"], "output_index": index});
    let within = |key: &str, more: Value| {
        let mut event = place.clone();
        event[key] = json!(0);
        if !more.is_null() {
            event["part"] = more;
        }
        event
    };
    let mut begun = item.clone();
    match item["type"].as_str() {
        Some("message") => {
            (begun["content"], begun["status"]) = (json!([]), json!("in_progress"));
            events.push("response.output_item.added", json!({"output_index": index, "item": begun}));
            events.push("response.content_part.added", within("content_index", output_text("")));
            events.output_text(writer, &within("content_index", Value::Null), groups);
            let part = writer.output_text(&groups.concat());
            events.push("response.content_part.done", within("content_index", part));
        }
        Some("web_search_call") => {
            begun["status"] = json!("in_progress");
            events.push("response.output_item.added", json!({"output_index": index, "item": begun}));
            for state in ["in_progress", "searching", "completed"] {
                events.push(&format!("response.web_search_call.{state}"), place.clone());
            }
        }
        Some("function_call") => {
            (begun["arguments"], begun["status"]) = (json!(""), json!("in_progress"));
            events.push("response.output_item.added", json!({"output_index": index, "item": begun}));
            let arguments = item["arguments"].as_str().unwrap_or_default();
            events.text("function_call_arguments", &place, &halves(arguments), "arguments");
        }
        _ => {
            begun["summary"] = json!([]);
            events.push("response.output_item.added", json!({"output_index": index, "item": begun}));
            if let Some(said) = item["summary"][0]["text"].as_str() {
                let part =
                    |text: &str| within("summary_index", json!({"type": "summary_text", "text": text}));
                events.push("response.reasoning_summary_part.added", part(""));
                let place = within("summary_index", Value::Null);
                events.text("reasoning_summary_text", &place, &halves(said), "text");
                events.push("response.reasoning_summary_part.done", part(said));
            }
        }
    }
    events.push("response.output_item.done", json!({"output_index": index, "item": item}));
}

fn halves(text: &str) -> [String; 2] {
    let middle = (text.len() / 2..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let (first, second) = text.split_at(middle);
    [first.to_owned(), second.to_owned()]
}

/// An error inside a stream.
pub(crate) fn error_event() -> Vec<u8> {
    let error = json!({"type": "error", "code": "server_error", "param": null, "sequence_number": 0,
        "message": "The server had an error while processing your request."});
    format!("event: error\ndata: {error}\n\n").into_bytes()
}
