//! Makes the answer: obeys limit, stop sequences, tool choice, declared tools and schemas.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::ask::{Ask, Choice, Tool};
use crate::script::Faults;
use crate::{count, sample};

/// Why an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    StopSequence,
    Length,
    ToolCalls,
}

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Text in tokens, so that a stream can be cut where a real one is.
    pub(crate) pieces: Vec<String>,
    /// Tool calls: name and arguments (JSON text).
    pub(crate) calls: Vec<(String, String)>,
    pub(crate) finish: Finish,
    /// The stop sequence that was met.
    pub(crate) stopped_by: Option<String>,
    /// Visible thinking.
    pub(crate) thinking: Option<String>,
}

/// Counts of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) input: u64,
    pub(crate) cached: u64,
    /// Of the input, written to the cache.
    pub(crate) written: u64,
    pub(crate) output: u64,
    pub(crate) reasoning: u64,
    /// What is no token.
    pub(crate) units: Units,
}

/// What is billed beside tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Units {
    pub(crate) images: u64,
    pub(crate) audio_seconds: u64,
    pub(crate) characters: u64,
    pub(crate) searches: u64,
    pub(crate) video_seconds: u64,
}

/// Everything that the provider has to say.
#[derive(Debug, Clone)]
pub(crate) struct Completion {
    pub(crate) answers: Vec<Answer>,
    pub(crate) counts: Counts,
}

/// Answers a request; `is_known` tells whether a prefix is in the cache, and puts it there.
pub(crate) fn complete(ask: &Ask, faults: &Faults, is_known: impl FnOnce(u64) -> bool) -> Completion {
    let input = texts(&ask.input) + 3 + ask.images * count::IMAGE;
    let answers: Vec<Answer> = (0..ask.n.max(1)).map(|index| answer(ask, faults, index)).collect();
    let visible: u64 = answers.iter().map(size).sum();
    let room = ask.limit.map_or(u64::MAX, |limit| (limit * ask.n.max(1)).saturating_sub(visible));
    let hidden = if faults.hidden_reasoning { (8 + input % 24).min(room) } else { 0 };
    let thinking: u64 = answers.iter().filter_map(|a| a.thinking.as_deref()).map(count::tokens).sum();
    let called = answers.iter().any(|answer| !answer.calls.is_empty());
    let (cached, written) = cache_use(ask, input, is_known);
    let counts = Counts {
        input,
        cached,
        written,
        output: visible + hidden,
        reasoning: hidden + thinking,
        units: Units { searches: if called { 0 } else { ask.searches }, ..Units::default() },
    };
    Completion { answers, counts }
}

fn texts(texts: &[String]) -> u64 {
    texts.iter().map(|text| count::tokens(text) + 3).sum()
}

/// Tokens read from the cache and written to it. Shorter prefixes than 1,024 are never cached.
fn cache_use(ask: &Ask, input: u64, is_known: impl FnOnce(u64) -> bool) -> (u64, u64) {
    if ask.caches_itself && input > 1024 {
        return (input / 128 * 64, 0);
    }
    let Some(prefix) = ask.cached_texts.and_then(|end| ask.input.get(..end)) else { return (0, 0) };
    let size = texts(prefix);
    if size < 1024 {
        return (0, 0);
    }
    let mut hasher = DefaultHasher::new();
    (&ask.model, prefix).hash(&mut hasher);
    if is_known(hasher.finish()) { (size, 0) } else { (0, size) }
}

fn size(answer: &Answer) -> u64 {
    let calls: u64 = answer.calls.iter().map(|(name, args)| count::tokens(name) + count::tokens(args)).sum();
    let thinking = answer.thinking.as_deref().map_or(0, count::tokens);
    answer.pieces.len() as u64 + calls + thinking
}

fn answer(ask: &Ask, faults: &Faults, index: u64) -> Answer {
    let wanted = tools_to_call(ask);
    if !wanted.is_empty() {
        let calls: Vec<_> = wanted
            .into_iter()
            .map(|tool| (tool.name.clone(), sample::value(&tool.schema, &ask.last_text).to_string()))
            .collect();
        let whole =
            Answer { pieces: vec![], calls, finish: Finish::ToolCalls, stopped_by: None, thinking: None };
        return match ask.limit {
            Some(limit) if size(&whole) > limit => Answer { calls: vec![], finish: Finish::Length, ..whole },
            _ => whole,
        };
    }
    let thought = "The question is simulated, so is the thought.";
    let spent = if ask.thinking { count::tokens(thought) } else { 0 };
    if ask.limit.is_some_and(|limit| limit < spent) {
        return Answer {
            pieces: vec![],
            calls: vec![],
            finish: Finish::Length,
            stopped_by: None,
            thinking: None,
        };
    }
    let thinking = ask.thinking.then(|| thought.to_owned());
    let mut text = faults.text.clone().unwrap_or_else(|| words(ask));
    if index > 0 {
        text = format!("{text} ({})", index + 1);
    }
    let met = ask.stops.iter().filter_map(|stop| text.find(stop.as_str()).map(|at| (at, stop))).min();
    let stopped_by = met.map(|(at, stop)| {
        let stop = stop.clone();
        (at, stop)
    });
    if let Some((at, _)) = &stopped_by {
        text.truncate(*at);
    }
    let mut pieces = count::pieces(&text);
    if let Some(tokens) = faults.output_tokens {
        pieces = (0..tokens).map(|i| if i == 0 { "word".to_owned() } else { " word".to_owned() }).collect();
    }
    let limit = ask.limit.filter(|_| !faults.ignores_limit);
    let room = limit.map_or(usize::MAX, |limit| limit.saturating_sub(spent) as usize);
    if pieces.len() > room {
        pieces.truncate(room);
        return Answer { pieces, calls: vec![], finish: Finish::Length, stopped_by: None, thinking };
    }
    let finish = if stopped_by.is_some() { Finish::StopSequence } else { Finish::Stop };
    Answer { pieces, calls: vec![], finish, stopped_by: stopped_by.map(|(_, stop)| stop), thinking }
}

/// The text of an ordinary answer.
fn words(ask: &Ask) -> String {
    if let Some(schema) = &ask.json {
        return sample::value(schema, &ask.last_text).to_string();
    }
    if let Some(result) = &ask.tool_result {
        return format!("The tool said: {}", clip(result));
    }
    let mut tokens = ask.last_text.split_whitespace().peekable();
    while let Some(token) = tokens.next() {
        let number = token.parse::<usize>().ok().filter(|n| (1..=20_000).contains(n));
        if let (Some(n), Some(&"words")) = (number, tokens.peek()) {
            return vec!["word"; n].join(" ");
        }
    }
    format!("This is a simulated answer to: {}", clip(&ask.last_text))
}

fn clip(text: &str) -> String {
    text.chars().take(400).collect()
}

fn tools_to_call(ask: &Ask) -> Vec<&Tool> {
    let mentioned = |tool: &&Tool| {
        let asked = ask.last_text.to_lowercase();
        tool.name.to_lowercase().split(['_', '-', '.']).any(|part| part.len() > 3 && asked.contains(part))
    };
    let mut chosen: Vec<&Tool> = match &ask.choice {
        Choice::None => vec![],
        Choice::Named(name) => ask.tools.iter().filter(|tool| tool.name == *name).collect(),
        Choice::Required => {
            let fitting: Vec<_> = ask.tools.iter().filter(mentioned).collect();
            if fitting.is_empty() { ask.tools.iter().take(1).collect() } else { fitting }
        }
        Choice::Auto if ask.tool_result.is_some() => vec![],
        Choice::Auto => ask.tools.iter().filter(mentioned).collect(),
    };
    if ask.single_call {
        chosen.truncate(1);
    }
    chosen
}
