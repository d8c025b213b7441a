//! Failover as a matrix: each status and each byte offset, times each way to end there, on the primary with
//! a healthy secondary. Whoever is not told of an error has the whole answer of one provider, once.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::Value;
use tidegate_proxy::Settings;
use tidegate_upstream::Upstreams;

use crate::client::Reply;
use crate::plain::ask;
use crate::provider::{Provider, STREAM_HEAD, Step, Turn, chunk, json, stream, whole};
use crate::streams::ask_stream;
use crate::world::{World, openai, upstreams_to_all};

/// How the primary ends where it is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Reset,
    Close,
    Stall,
    ErrorEvent,
    Garbage,
}

const BREAKS: [Ending; 3] = [Ending::Reset, Ending::Close, Ending::Stall];
const ALL: [Ending; 5] = [Ending::Reset, Ending::Close, Ending::Stall, Ending::ErrorEvent, Ending::Garbage];
/// What each provider says: no word of one is a word of the other's.
const PRIMARY: [&str; 4] = ["Alpha ", "beta ", "gamma ", "delta"];
const SECONDARY: [&str; 3] = ["Uno ", "due ", "tre"];

fn full() -> bool {
    std::env::var_os("TIDEGATE_FULL").is_some_and(|value| value == "1")
}

/// How long a silent provider is waited for. The healthy one must answer in the same time.
const PATIENCE: Duration = Duration::from_millis(1_500);

fn settings(patience: Duration) -> Settings {
    Settings { attempt_timeout: patience, stream_idle_timeout: patience, ..Settings::default() }
}

fn events(words: &[&str]) -> Vec<String> {
    let frame = |delta: Value, finish: Value| {
        let choice = serde_json::json!({"index": 0, "delta": delta, "finish_reason": finish});
        let frame = serde_json::json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [choice]});
        format!("data: {frame}\n\n")
    };
    let mut events: Vec<String> =
        words.iter().map(|word| frame(serde_json::json!({"content": word}), Value::Null)).collect();
    events.push(frame(serde_json::json!({}), "stop".into()));
    events.push("data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":3,\"total_tokens\":15}}\n\n".to_owned());
    events.push("data: [DONE]\n\n".to_owned());
    events
}

fn answer(words: &[&str]) -> String {
    let message = serde_json::json!({"role": "assistant", "content": words.concat()});
    serde_json::json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}})
    .to_string()
}

fn end(ending: Ending, chunked: bool) -> Vec<Step> {
    let event = "\n\ndata: {\"error\":{\"message\":\"late\",\"type\":\"server_error\"}}\n\n";
    match ending {
        Ending::Reset => vec![Step::Pause(Duration::from_millis(2)), Step::Reset],
        Ending::Close => vec![Step::Close],
        Ending::Stall => vec![Step::UntilHangUp],
        Ending::ErrorEvent if chunked => {
            vec![Step::Send(chunk(event)), Step::Send(b"0\r\n\r\n".to_vec())]
        }
        Ending::ErrorEvent | Ending::Garbage => {
            vec![Step::Send(b"\x00\xff zz {]\r\n\r\n".to_vec()), Step::Close]
        }
    }
}

/// What the caller was given.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The whole answer of this provider.
    Primary,
    Secondary,
    /// An error, openly; before it whole words of one provider, or nothing.
    Told,
    /// What must never be: something that looks complete and is not, or words twice or of both.
    Lie(String),
}

fn judge(status: u16, body: &str, streamed: bool) -> Verdict {
    if status >= 400 {
        return Verdict::Told;
    }
    let (text, complete, told) = if streamed { read_stream(body) } else { read_whole(body) };
    let (primary, secondary) = (PRIMARY.concat(), SECONDARY.concat());
    match (complete && !told, told) {
        (true, _) if text == primary => Verdict::Primary,
        (true, _) if text == secondary => Verdict::Secondary,
        (false, true) if primary.starts_with(&text) || secondary.starts_with(&text) => Verdict::Told,
        _ => Verdict::Lie(format!("{text:?}, complete {complete}, told {told}")),
    }
}

fn read_whole(body: &str) -> (String, bool, bool) {
    let Ok(body) = serde_json::from_str::<Value>(body) else { return (String::new(), false, false) };
    let text = body["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned();
    (text, body["choices"][0]["finish_reason"] == "stop", body["error"].is_object())
}

/// The words, whether it ends as a complete stream does, whether an error is told.
fn read_stream(body: &str) -> (String, bool, bool) {
    let (mut text, mut done, mut told) = (String::new(), false, false);
    for line in body.lines().filter_map(|line| line.strip_prefix("data: ")) {
        if line == "[DONE]" {
            done = true;
        } else if let Ok(event) = serde_json::from_str::<Value>(line) {
            text += event["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
            told |= event["error"].is_object();
        }
    }
    (text, done, told)
}

/// One case: what the primary does, and whether the call must be answered in spite of it.
#[derive(Debug, Clone)]
struct Case {
    turn: Turn,
    streamed: bool,
    must_be_answered: bool,
    name: String,
}

impl Case {
    /// Whether it ends by the gateway's patience only.
    fn stalls(&self) -> bool {
        self.turn.iter().any(|step| matches!(step, Step::UntilHangUp))
    }
}

/// Plays a case; one in which a provider may have been too slow for the gateway's patience is played
/// again with more of it, so that a busy machine is not taken for a lost call.
async fn play(case: &Case, attempts: Option<u8>, upstreams: &Upstreams) -> (Verdict, usize) {
    let lost = |verdict: &Verdict| case.must_be_answered && *verdict == Verdict::Told;
    let played = play_once(case, attempts, upstreams, PATIENCE).await;
    if attempts.is_none() && case.stalls() && (lost(&played.0) || played.1 == 0) {
        return play_once(case, attempts, upstreams, PATIENCE * 8).await;
    }
    played
}

async fn play_once(
    case: &Case,
    attempts: Option<u8>,
    upstreams: &Upstreams,
    patience: Duration,
) -> (Verdict, usize) {
    use tidegate_types::resource::{Policy, Resource};
    let primary = Provider::start(vec![case.turn.clone()]).await;
    let events = events(&SECONDARY);
    let pieces: Vec<&str> = events.iter().map(String::as_str).collect();
    let healthy = if case.streamed { stream(&pieces) } else { json(&answer(&SECONDARY)) };
    let secondary = Provider::start(vec![healthy]).await;
    let settings = if case.stalls() { settings(patience) } else { Settings::default() };
    let offers = [openai("a", &primary), openai("b", &secondary)];
    let world = World::over(&offers, settings, upstreams.clone()).await;
    if attempts.is_some() {
        world.put(vec![Resource::Policy(Policy { max_attempts: attempts, ..crate::world::policy() })]);
    }
    let reply: Reply = world.chat(&if case.streamed { ask_stream() } else { ask() }).await;
    let played = (judge(reply.status, &reply.body, case.streamed), primary.count());
    world.end().await;
    [primary, secondary].iter().for_each(Provider::end);
    played
}

/// A whole error answer, and the same cut at some places.
fn statuses() -> Vec<Case> {
    let body = r#"{"error":{"message":"told by a","type":"server_error","code":"c"}}"#;
    let mut cases = Vec::new();
    for status in [300, 307, 401, 402, 403, 408, 409, 425, 429, 451, 500, 501, 502, 503, 504, 520, 529, 599] {
        // The request's own fault is not repeated at another provider of the same model.
        let must_be_answered = !matches!(status, 425 | 451);
        for streamed in [false, true] {
            let Some(Step::Send(bytes)) = whole(status, "", body).pop() else { continue };
            let case = |turn, name: String| Case { turn, streamed, must_be_answered, name };
            cases.push(case(vec![Step::Send(bytes.clone())], format!("{status}, streamed {streamed}")));
            for cut in [0, 9, bytes.len() - body.len(), bytes.len() - 1] {
                for ending in BREAKS {
                    let mut turn = vec![Step::Send(bytes[..cut].to_vec())];
                    turn.extend(end(ending, false));
                    let name = format!("{status} cut at {cut} by {ending:?}, streamed {streamed}");
                    cases.push(Case { must_be_answered: true, ..case(turn, name) });
                }
            }
        }
    }
    cases
}

/// A whole answer, cut at each byte.
fn wholes(step: usize) -> Vec<Case> {
    let Some(Step::Send(bytes)) = json(&answer(&PRIMARY)).pop() else { return vec![] };
    let mut cases = Vec::new();
    for cut in (0..bytes.len()).step_by(step) {
        for ending in BREAKS {
            let mut turn = vec![Step::Send(bytes[..cut].to_vec())];
            turn.extend(end(ending, false));
            let name = format!("answer cut at {cut} by {ending:?}");
            cases.push(Case { turn, streamed: false, must_be_answered: true, name });
        }
    }
    cases
}

/// A stream, cut at each byte of its events.
fn streams(step: usize) -> Vec<Case> {
    let events = events(&PRIMARY);
    let (all, first) = (events.concat(), events[0].len());
    let mut cases = Vec::new();
    for cut in (0..all.len()).step_by(step) {
        for ending in ALL {
            let mut turn = vec![Step::Send(STREAM_HEAD.as_bytes().to_vec())];
            if cut > 0 {
                turn.push(Step::Send(chunk(&all[..cut])));
            }
            turn.extend(end(ending, true));
            // Up to the end of the first event nothing was given away.
            let must_be_answered = cut + 2 < first;
            let name = format!("stream cut at {cut} by {ending:?}");
            cases.push(Case { turn, streamed: true, must_be_answered, name });
        }
    }
    cases
}

async fn run(cases: Vec<Case>, attempts: Option<u8>) -> Vec<(Case, Verdict, usize)> {
    let upstreams = upstreams_to_all();
    let played = |case: Case| {
        let upstreams = upstreams.clone();
        async move {
            let (verdict, asked) = play(&case, attempts, &upstreams).await;
            (case, verdict, asked)
        }
    };
    // Those that wait do nothing else: many at once. The others take what there is of the machine.
    let (waiting, busy): (Vec<_>, Vec<_>) = cases.into_iter().partition(Case::stalls);
    let waiting = futures_util::stream::iter(waiting).map(played).buffer_unordered(24).collect::<Vec<_>>();
    let mut all = waiting.await;
    let busy = futures_util::stream::iter(busy).map(played).buffer_unordered(8).collect::<Vec<_>>();
    all.extend(busy.await);
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_primary_does_the_caller_gets_one_whole_answer_or_is_told() {
    let (wide, narrow) = if full() { (1, 1) } else { (37, 23) };
    let mut cases = statuses();
    if !full() {
        cases = cases.into_iter().enumerate().filter(|(n, _)| n % 3 == 0).map(|(_, case)| case).collect();
    }
    cases.extend(wholes(wide));
    cases.extend(streams(narrow));
    let played = run(cases, None).await;
    let (mut demanded, mut answered, mut told) = (0, 0, 0);
    let mut wrong = Vec::new();
    for (case, verdict, asked) in &played {
        assert!(*asked >= 1, "{}: the primary was never asked", case.name);
        let good = matches!(verdict, Verdict::Primary | Verdict::Secondary);
        demanded += usize::from(case.must_be_answered);
        answered += usize::from(case.must_be_answered && good);
        told += usize::from(*verdict == Verdict::Told);
        if matches!(verdict, Verdict::Lie(_)) || (case.must_be_answered && !good) {
            wrong.push(format!("{}: {verdict:?}", case.name));
        }
    }
    println!(
        "{} cases, {answered} of {demanded} that demand an answer have one, {told} were told of an error",
        played.len()
    );
    assert!(wrong.is_empty(), "{} of {}: {:#?}", wrong.len(), played.len(), &wrong[..wrong.len().min(20)]);
    // That is more than 99.99 %: every one.
    assert_eq!(answered, demanded);
    assert!(demanded > 150 && told > 20, "the matrix is not empty: {demanded} demanded, {told} told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_matrix_sees_calls_that_are_lost_and_answers_that_lie() {
    // Without a second attempt the same cases fail.
    let cases: Vec<Case> = wholes(97).into_iter().chain(streams(211)).collect();
    let played = run(cases, Some(1)).await;
    let lost = played.iter().filter(|(case, verdict, _)| case.must_be_answered && *verdict == Verdict::Told);
    assert!(lost.count() > 5, "{played:?}");
    let all = events(&PRIMARY);
    let done = "data: [DONE]\n\n";
    let truncated = all[..2].concat() + done;
    let twice = all[0].clone() + &all.concat();
    let mixed = all[0].clone() + &events(&SECONDARY).concat();
    let silent = all[..2].concat();
    let doubled_then_told = all[0].clone() + &all[0] + "data: {\"error\":{}}\n\n";
    for lie in [truncated, twice, mixed, silent, doubled_then_told] {
        assert!(matches!(judge(200, &lie, true), Verdict::Lie(_)), "{lie}");
    }
    let whole = answer(&PRIMARY[..2]);
    assert!(matches!(judge(200, &whole, false), Verdict::Lie(_)));
    assert_eq!(judge(200, &all.concat(), true), Verdict::Primary);
    assert_eq!(judge(200, &answer(&SECONDARY), false), Verdict::Secondary);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_providers_fail_none_gets_more_than_a_fifth_on_top() {
    let error = whole(500, "", r#"{"error":{"message":"no","type":"server_error"}}"#);
    let busy = whole(429, "retry-after: 1\r\n", r#"{"error":{"message":"no","type":"requests"}}"#);
    let calls: usize = if full() { 2_000 } else { 400 };
    for turn in [error, busy, vec![Step::Reset], vec![Step::Close]] {
        let (a, b) = (Provider::start(vec![turn.clone()]).await, Provider::start(vec![turn.clone()]).await);
        let world = World::start(&[openai("a", &a), openai("b", &b)]).await;
        let body = ask();
        let asked = futures_util::stream::iter(0..calls).map(|_| world.chat(&body));
        let failed = asked.buffer_unordered(16).filter(|reply| std::future::ready(reply.status >= 400));
        assert_eq!(failed.count().await, calls);
        let (a, b) = (a.count(), b.count());
        let most = calls + calls / 5;
        assert!(a <= most && b <= most, "{a} and {b} for {calls} calls: {turn:?}");
        // It is the budget that held them back, not that nobody tried.
        assert!(a + b > calls, "{a} and {b} for {calls} calls: {turn:?}");
    }
}
