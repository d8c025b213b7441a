//! The matrix of failover in every dialect: recorded streams, cut between and within their events, to callers of
//! each surface, with a healthy provider of another dialect behind. Whoever is not told of an error
//! has the whole of one provider's answer.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::Value;
use tidegate_proxy::Settings;
use tidegate_types::resource::DialectName;
use tidegate_upstream::Upstreams;

use crate::aborts::{ALL, CHAT, MESSAGES, Recorded};
use crate::provider::{Provider, Step, Turn, chunk, stream};
use crate::streams::OPENAI_STREAM;
use crate::world::{Offer, World, openai, upstreams_to_all};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Reset,
    Close,
    Stall,
    ErrorEvent,
}

const ENDINGS: [Ending; 4] = [Ending::Reset, Ending::Close, Ending::Stall, Ending::ErrorEvent];

/// An error as each dialect tells it in the middle of a stream. Converse's is a frame with checksums: there the
/// stream breaks within one.
fn error_event(dialect: DialectName) -> Vec<u8> {
    let text = match dialect {
        DialectName::AnthropicMessages => {
            "\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"late\"}}\n\n"
        }
        DialectName::OpenaiResponses => {
            "\n\nevent: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"late\",\"param\":null,\"sequence_number\":99}\n\n"
        }
        DialectName::BedrockConverse => "\0\0\0\u{10}garbage",
        _ => {
            "\n\ndata: {\"error\":{\"code\":500,\"message\":\"late\",\"status\":\"INTERNAL\",\"type\":\"server_error\"}}\n\n"
        }
    };
    text.as_bytes().to_vec()
}

fn chunked(data: &[u8]) -> Step {
    Step::Send([format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat())
}

/// The recording up to a byte, and how it ends there.
fn turn(recorded: &Recorded, cut: usize, ending: Ending) -> Turn {
    let all = recorded.chunks().concat();
    let mut turn = recorded.turn(&[]);
    if cut > 0 {
        turn.push(chunked(&all[..cut]));
    }
    match ending {
        Ending::Reset => turn.extend([Step::Pause(Duration::from_millis(2)), Step::Reset]),
        Ending::Close => turn.push(Step::Close),
        Ending::Stall => turn.push(Step::UntilHangUp),
        Ending::ErrorEvent => {
            turn.push(chunked(&error_event(recorded.dialect)));
            turn.push(Step::Send(chunk("")));
        }
    }
    turn
}

/// What a caller was shown: text and arguments in their order; whether its stream ends as a complete one does;
/// whether an error is told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    text: String,
    complete: bool,
    told: bool,
}

fn shown(path: &str, body: &str) -> Shown {
    let mut shown = Shown { text: String::new(), complete: false, told: false };
    for data in body.split('\n').filter_map(|line| line.trim().strip_prefix("data:")) {
        if data.trim() == "[DONE]" {
            shown.complete = path == CHAT;
        }
        let Ok(event) = serde_json::from_str::<Value>(data.trim()) else { continue };
        let kind = event["type"].as_str().unwrap_or_default();
        shown.told |= event["error"].is_object() || kind == "error" || kind == "response.failed";
        shown.complete |= kind == "message_stop" || kind == "response.completed";
        // The ends of parts repeat what their pieces said.
        if !kind.starts_with("response.") || kind.ends_with(".delta") {
            collect(&event, &mut shown.text);
        }
    }
    shown
}

fn collect(value: &Value, text: &mut String) {
    const SEEN: [&str; 6] = ["content", "arguments", "text", "partial_json", "thinking", "delta"];
    match value {
        Value::Array(all) => all.iter().for_each(|one| collect(one, text)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(some) if SEEN.contains(&name.as_str()) => text.push_str(some),
                    other => collect(other, text),
                }
            }
        }
        _ => {}
    }
}

struct Case {
    recorded: Recorded,
    cut: usize,
    ending: Ending,
    must_be_answered: bool,
}

/// What the caller got, and whether the primary was asked.
async fn ask(case: &Case, upstreams: &Upstreams, patience: Duration) -> ((u16, Shown), bool) {
    let primary = Provider::start(vec![turn(&case.recorded, case.cut, case.ending)]).await;
    let secondary = Provider::start(vec![stream(&OPENAI_STREAM)]).await;
    let settings = match case.ending {
        Ending::Stall => {
            Settings { attempt_timeout: patience, stream_idle_timeout: patience, ..Settings::default() }
        }
        _ => Settings::default(),
    };
    let offers = [Offer { dialect: case.recorded.dialect, ..openai("a", &primary) }, openai("b", &secondary)];
    let world = World::over(&offers, settings, upstreams.clone()).await;
    // Whoever speaks the caller's dialect would come first.
    let order = r#"{"providerOptions":{"gateway":{"order":["a","b"]}},"#;
    let reply = world.post(case.recorded.path, &case.recorded.body().replacen('{', order, 1)).await;
    let asked = primary.count() >= 1;
    world.end().await;
    [primary, secondary].iter().for_each(Provider::end);
    ((reply.status, shown(case.recorded.path, &reply.body)), asked)
}

/// What a caller sees of the whole recording.
async fn whole(recorded: &Recorded, upstreams: &Upstreams) -> Shown {
    let mut turn = recorded.turn(&recorded.chunks());
    turn.push(Step::Send(chunk("")));
    let primary = Provider::start(vec![turn]).await;
    let offer = Offer { dialect: recorded.dialect, ..openai("a", &primary) };
    let world = World::over(&[offer], Settings::default(), upstreams.clone()).await;
    let seen = shown(recorded.path, &world.post(recorded.path, &recorded.body()).await.body);
    assert!(seen.complete && !seen.told && !seen.text.is_empty(), "{recorded:?}: {seen:?}");
    seen
}

/// What is wrong with what a caller got.
fn wrong(case: &Case, primary: &str, (status, shown): &(u16, Shown)) -> Option<&'static str> {
    let secondary = "Hello";
    if *status >= 400 || (shown.told && !shown.complete) {
        let whole_words = primary.starts_with(&shown.text) || secondary.starts_with(&shown.text);
        return match (case.must_be_answered, whole_words) {
            (true, _) => Some("lost"),
            (_, false) => Some("an error behind other words than one provider's"),
            _ => None,
        };
    }
    match (shown.complete, shown.told) {
        (true, false) if shown.text == primary || shown.text == secondary => None,
        (true, false) => Some("presented as complete, and is not"),
        (true, true) => Some("told and complete at once"),
        (false, _) => Some("neither complete nor told"),
    }
}

/// Where the first event surely has not ended yet: some dialects end lines with CR and LF.
fn first_event(chunk: &[u8]) -> usize {
    chunk.windows(3).position(|three| three == b"\n\r\n").unwrap_or(chunk.len())
}

/// Cuts of a recording: before anything, within the first event, and further on between and within events.
fn cases(recorded: Recorded, steps: usize) -> Vec<Case> {
    let chunks = recorded.chunks();
    let (all, first) = (chunks.concat().len(), first_event(&chunks[0]));
    let mut cuts = vec![0, first / 2];
    let mut at = 0;
    let ends = chunks.iter().map(|chunk| {
        at += chunk.len();
        at
    });
    let ends: Vec<usize> = ends.collect();
    let between = ends.iter().step_by(ends.len().div_ceil(steps)).copied();
    let within = (1..steps).map(|part| all * part / steps + part);
    cuts.extend(between.chain(within).filter(|cut| *cut < all));
    let case = |cut: usize, ending| Case { recorded, cut, ending, must_be_answered: cut < first };
    cuts.into_iter().flat_map(|cut| ENDINGS.map(|ending| case(cut, ending))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_every_dialect_the_caller_gets_one_whole_answer_or_is_told() {
    const PATIENCE: Duration = Duration::from_millis(1_500);
    let full = std::env::var_os("TIDEGATE_FULL").is_some_and(|value| value == "1");
    let upstreams = upstreams_to_all();
    let (mut played, mut failures) = (0, Vec::new());
    for recorded in ALL {
        let primary = whole(&recorded, &upstreams).await.text;
        let (primary, upstreams) = (&primary, &upstreams);
        let judged =
            futures_util::stream::iter(cases(recorded, if full { 40 } else { 2 })).map(|case| async move {
                let (mut seen, mut asked) = ask(&case, upstreams, PATIENCE).await;
                if case.ending == Ending::Stall && (!asked || (case.must_be_answered && seen.0 >= 400)) {
                    // A provider may have been too slow for a busy machine's patience.
                    (seen, asked) = ask(&case, upstreams, PATIENCE * 8).await;
                }
                assert!(asked, "{:?}: the primary was never asked", case.recorded);
                let why = wrong(&case, primary, &seen)?;
                Some(format!("{:?} cut at {} by {:?}: {why}: {seen:?}", case.recorded, case.cut, case.ending))
            });
        let judged: Vec<Option<String>> = judged.buffer_unordered(16).collect().await;
        played += judged.len();
        failures.extend(judged.into_iter().flatten());
    }
    println!("{played} cases, {} wrong", failures.len());
    let shown: Vec<&String> = failures.iter().take(8).collect();
    assert!(failures.is_empty(), "{} of {played}: {shown:#?}", failures.len());
    assert!(played > 250, "{played}");
}

#[test]
fn the_judge_of_dialects_sees_what_is_lost_cut_and_doubled() {
    let case = |cut| Case { recorded: ALL[0], cut, ending: Ending::Close, must_be_answered: cut == 0 };
    let seen = |text: &str, complete, told| (200, Shown { text: text.into(), complete, told });
    assert_eq!(wrong(&case(9), "one two", &seen("one two", true, false)), None);
    assert_eq!(wrong(&case(9), "one two", &seen("one", false, true)), None);
    for lie in [seen("one", true, false), seen("one", false, false), seen("one two", true, true)] {
        assert!(wrong(&case(9), "one two", &lie).is_some(), "{lie:?}");
    }
    for lie in
        [seen("one one", false, true), seen("oneHello", true, false), seen("one twoone two", true, false)]
    {
        assert!(wrong(&case(9), "one two", &lie).is_some(), "{lie:?}");
    }
    assert_eq!(
        wrong(&case(0), "one two", &(502, Shown { text: String::new(), complete: false, told: false })),
        Some("lost")
    );
    // It reads each surface's own words and ends.
    let anthropic = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a\"}}\n\ndata: {\"type\":\"message_stop\"}\n\n";
    assert_eq!(shown(MESSAGES, anthropic), Shown { text: "a".into(), complete: true, told: false });
    let chat =
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"error\":{\"message\":\"m\"}}\n\n";
    assert_eq!(shown(CHAT, chat), Shown { text: "a".into(), complete: false, told: true });
}
