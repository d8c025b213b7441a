//! Streams: identical bytes, first event, usage, ends.

use tidegate_types::usage::{CallOutcome, MeterMethod, Outcome};

use crate::plain::ask;
use crate::provider::{Provider, stream};
use crate::world::{MODEL, World, openai};

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

#[tokio::test]
async fn a_stream_of_the_same_dialect_is_identical() {
    let peer = Provider::start(vec![stream(&OPENAI_STREAM)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let reply = world.chat(&ask_stream()).await;
    assert_eq!((reply.status, reply.body), (200, OPENAI_STREAM.concat()));
    assert!(reply.headers["content-type"].starts_with("text/event-stream"));
    let record = world.recorded(1).await;
    assert_eq!((record.outcome, record.usage.output_tokens), (CallOutcome::Answered, 3));
    assert!(record.ttft_ms.is_some());
    let finals = world.finals();
    assert_eq!((finals[0].outcome, finals[0].method), (Outcome::Completed, MeterMethod::Reported));
    let _ = MODEL;
}
