//! Streams: identical bytes under any split, usage, ends, translation.

use std::time::Duration;

use tidegate_types::usage::{CallOutcome, MeterMethod, Outcome};

use crate::plain::{ask, ask_anthropic};
use crate::provider::{Provider, STREAM_HEAD, Step, chunk, stream};
use crate::world::{World, anthropic, openai};

pub(crate) fn ask_stream() -> String {
    ask().replace(r#""messages""#, r#""stream":true,"stream_options":{"include_usage":true},"messages""#)
}

pub(crate) const OPENAI_STREAM: [&str; 5] = [
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hel\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":3,\"total_tokens\":15}}\n\n",
    "data: [DONE]\n\n",
];

pub(crate) const ANTHROPIC_STREAM: [&str; 6] = [
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":12,\"output_tokens\":1}}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":3}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
];

#[tokio::test]
async fn a_stream_of_the_same_dialect_is_identical() {
    let peer = Provider::start(vec![stream(&OPENAI_STREAM)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let reply = world.chat(&ask_stream()).await;
    assert_eq!((reply.status, &*reply.passed()), (200, &*OPENAI_STREAM.concat()));
    assert!(reply.header("content-type").starts_with("text/event-stream"));
    let record = world.recorded(1).await;
    assert_eq!((record.outcome, record.usage.output_tokens), (CallOutcome::Answered, 3));
    assert!(record.ttft_ms.is_some());
    let finals = world.finals();
    assert_eq!((finals[0].outcome, finals[0].method), (Outcome::Completed, MeterMethod::Reported));
    let peer = Provider::start(vec![stream(&ANTHROPIC_STREAM)]).await;
    let world = World::start(&[anthropic("a", &peer)]).await;
    let ask = ask_anthropic().replace(r#""messages""#, r#""stream":true,"messages""#);
    assert_eq!(world.messages(&ask).await.passed(), ANTHROPIC_STREAM.concat());
    assert_eq!(world.recorded(1).await.usage.output_tokens, 3);
}

#[tokio::test]
async fn a_stream_is_identical_wherever_it_is_split() {
    let whole = OPENAI_STREAM.concat();
    let peer = Provider::start(vec![vec![]]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    for at in (1..whole.len()).step_by(7) {
        let head = Step::Send(STREAM_HEAD.as_bytes().to_vec());
        let pause = Step::Pause(Duration::from_millis(1));
        let (first, second) = (Step::Send(chunk(&whole[..at])), Step::Send(chunk(&whole[at..])));
        peer.script(vec![vec![head, first, pause, second, Step::Send(b"0\r\n\r\n".to_vec())]]);
        assert_eq!(world.chat(&ask_stream()).await.passed(), whole, "split at {at}");
    }
    world.assert_settled(None).await;
}

#[tokio::test]
async fn who_did_not_ask_for_usage_gets_no_chunk_without_choices() {
    let peer = Provider::start(vec![stream(&OPENAI_STREAM)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let reply = world.chat(&ask().replace(r#""messages""#, r#""stream":true,"messages""#)).await;
    assert!(!reply.body.contains(r#""choices":[]"#), "{}", reply.body);
    assert!(reply.body.ends_with("data: [DONE]\n\n"));
    assert_eq!(peer.last().json()["stream_options"]["include_usage"], true);
    assert_eq!(world.recorded(1).await.usage.output_tokens, 3);
}

#[tokio::test]
async fn streams_are_translated_both_ways() {
    let peer = Provider::start(vec![stream(&ANTHROPIC_STREAM)]).await;
    let world = World::start(&[anthropic("a", &peer)]).await;
    let reply = world.chat(&ask_stream()).await;
    assert!(reply.body.contains(r#""content":"Hello""#), "{}", reply.body);
    assert!(reply.body.ends_with("data: [DONE]\n\n"), "{}", reply.body);
    assert_eq!(world.recorded(1).await.usage.input_tokens, 12);
    let peer = Provider::start(vec![stream(&OPENAI_STREAM)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let reply =
        world.messages(&ask_anthropic().replace(r#""messages""#, r#""stream":true,"messages""#)).await;
    assert!(reply.body.starts_with("event: message_start\n"), "{}", reply.body);
    assert!(
        reply.body.contains(r#""text":"Hel""#) && reply.body.contains("event: message_stop\n"),
        "{}",
        reply.body
    );
    assert_eq!(world.recorded(1).await.usage.output_tokens, 3);
}

#[tokio::test]
async fn missing_usage_is_waited_for_a_moment_and_then_counted() {
    let mut turn = vec![Step::Send(STREAM_HEAD.as_bytes().to_vec())];
    turn.extend(OPENAI_STREAM[..3].iter().map(|piece| Step::Send(chunk(piece))));
    turn.extend([
        Step::Pause(Duration::from_secs(1)),
        Step::Send(chunk(OPENAI_STREAM[4])),
        Step::Send(b"0\r\n\r\n".to_vec()),
    ]);
    let peer = Provider::start(vec![turn]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let reply = world.chat(&ask().replace(r#""messages""#, r#""stream":true,"messages""#)).await;
    assert!(reply.body.contains(r#""finish_reason":"stop""#) && reply.body.ends_with("data: [DONE]\n\n"));
    world.recorded(1).await;
    let last = world.finals().pop().unwrap();
    assert_eq!(
        (last.outcome, last.method, last.usage.output_tokens),
        (Outcome::Completed, MeterMethod::Counted, 5)
    );
}

#[tokio::test]
async fn a_provider_that_does_not_close_after_its_end_delays_nobody() {
    let mut turn = vec![Step::Send(STREAM_HEAD.as_bytes().to_vec())];
    turn.extend(OPENAI_STREAM.iter().map(|piece| Step::Send(chunk(piece))));
    turn.push(Step::UntilHangUp);
    let peer = Provider::start(vec![turn]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    assert_eq!(world.chat(&ask_stream()).await.passed(), OPENAI_STREAM.concat());
    assert_eq!(world.recorded(1).await.outcome, CallOutcome::Answered);
}
