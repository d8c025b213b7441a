//! Hostile nodes: garbage on every call gets a status, and everybody else goes on.

use bytes::{Buf as _, BufMut as _};
use http::uri::PathAndQuery;
use tidegate_proto::config::config_service_client::ConfigServiceClient;
use tidegate_proto::config::{self as wire, node_message::Message as Said};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::fake_node::{FakeNode, dial, message};
use crate::plane::{DEADLINE, Plane};

/// Sends bytes as they are.
#[derive(Default, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        *self
    }
    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;
    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;
    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length).to_vec()))
    }
}

const UNARY: [&str; 7] = [
    "/tidegate.enroll.v1.EnrollService/Enroll",
    "/tidegate.enroll.v1.EnrollService/Renew",
    "/tidegate.budget.v1.BudgetService/OpenEpoch",
    "/tidegate.budget.v1.BudgetService/ConfirmEpoch",
    "/tidegate.budget.v1.BudgetService/AllowGrants",
    "/tidegate.budget.v1.BudgetService/ReturnGrants",
    "/tidegate.budget.v1.BudgetService/ReturnGrantsOf",
];
const STREAMS: [&str; 2] =
    ["/tidegate.config.v1.ConfigService/Stream", "/tidegate.usage.v1.UsageService/Report"];

async fn unary(channel: &Channel, path: &'static str, body: Vec<u8>) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    grpc.unary(Request::new(body), PathAndQuery::from_static(path), Raw).await.map(|_| ())
}

async fn stream(channel: &Channel, path: &'static str, body: Vec<u8>) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let bodies = Request::new(tokio_stream::iter([body]));
    let answer = grpc.streaming(bodies, PathAndQuery::from_static(path), Raw).await?;
    let mut answers = answer.into_inner();
    let hear = async {
        while answers.message().await?.is_some() {}
        Ok(())
    };
    tokio::time::timeout(DEADLINE, hear).await.expect("the stream never ended")
}

/// Deterministic noise: random bytes, and protobuf-like ones.
fn garbage(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let length = (next() % 300) as usize;
    let mut bytes: Vec<u8> = (0..length).map(|_| (next() & 0xff) as u8).collect();
    if seed.is_multiple_of(2) {
        // Field 1 to 7, length-delimited, with a length that may be a lie.
        bytes.insert(0, ((next() % 7 + 1) as u8) << 3 | 2);
        bytes.insert(1, (next() % 128) as u8);
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_every_call_gets_a_status_and_the_server_goes_on() {
    let plane = Plane::start().await;
    plane.organization("acme").await;
    let (hostile, honest) = (FakeNode::enrol(&plane).await, FakeNode::enrol(&plane).await);
    let mut listening = honest.synchronised().await;
    let stranger = dial(plane.address, &plane.material.roots_pem(), None).await.unwrap();
    for seed in 0..60 {
        for path in UNARY {
            for channel in [&hostile.channel, &stranger] {
                let refused = unary(channel, path, garbage(seed)).await.unwrap_err();
                assert_ne!(refused.code(), Code::Unknown, "{path}: {refused}");
            }
        }
        for path in STREAMS {
            // Empty bodies and streams that say nothing wrong may end well.
            if let Err(refused) = stream(&hostile.channel, path, garbage(seed)).await {
                assert_ne!(refused.code(), Code::Unknown, "{path}: {refused}");
            }
            assert!(stream(&stranger, path, garbage(seed)).await.is_err());
        }
    }
    // Over a megabyte on the config stream, over four on the other one.
    for path in STREAMS {
        assert!(stream(&hostile.channel, path, vec![0; 5 * 1024 * 1024]).await.is_err());
    }
    plane.organization("globex").await;
    listening.until("a later change", |stream| stream.held.resources.len() == 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn well_formed_lies_end_only_the_liars_stream() {
    let plane = Plane::start().await;
    plane.organization("acme").await;
    let node = FakeNode::enrol(&plane).await;
    let position = |shard, n| wire::ShardPosition { shard, n };
    let ack = |shard, digest: usize| wire::Ack { shard, n: 1, digest: vec![0; digest], rejected: vec![] };
    let nameless = wire::Rejection { key: None, n: 1, reason: String::new() };
    let beat = |positions| wire::Heartbeat { applied: positions, ..wire::Heartbeat::default() };
    for (lie, code) in [
        (Said::Ack(ack(65, 16)), Code::InvalidArgument),
        (Said::Ack(ack(u32::MAX, 16)), Code::InvalidArgument),
        (Said::Ack(ack(1, 15)), Code::InvalidArgument),
        (Said::Ack(wire::Ack { rejected: vec![nameless], ..ack(1, 16) }), Code::InvalidArgument),
        (Said::Heartbeat(beat(vec![position(70, 1)])), Code::InvalidArgument),
        (Said::Heartbeat(beat(vec![position(1, 1), position(1, 2)])), Code::InvalidArgument),
        (Said::Hello(wire::Hello::default()), Code::InvalidArgument),
    ] {
        let mut stream = node.synchronised().await;
        stream.say.send(message(lie)).await.unwrap();
        assert_eq!(stream.end().await.map(|status| status.code()), Some(code));
    }
    // Numbers beyond what the store can hold are held at its ends, and results that nobody asked
    // for are dropped.
    let mut stream = node.synchronised().await;
    let huge = wire::Heartbeat {
        journal_pending_bytes: u64::MAX,
        in_flight_calls: u32::MAX,
        limiter_mode: "x".repeat(100_000),
        shipped: vec![position(1, u64::MAX)],
        ..wire::Heartbeat::default()
    };
    stream.say.send(message(Said::Heartbeat(huge))).await.unwrap();
    let result = wire::CommandResult {
        id: 77,
        ok: true,
        status: 1_000_000,
        code: "x".repeat(10_000),
        ..wire::CommandResult::default()
    };
    stream.say.send(message(Said::CommandResult(result))).await.unwrap();
    plane.organization("globex").await;
    stream.until("a later change", |stream| stream.held.resources.len() == 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_with_a_hello_of_this_protocol() {
    let plane = Plane::start().await;
    let node = FakeNode::enrol(&plane).await;
    let hello = |protocol_version| wire::Hello { protocol_version, ..wire::Hello::default() };
    for (first, code) in [
        (Said::Hello(hello(0)), Code::FailedPrecondition),
        (Said::Hello(hello(2)), Code::FailedPrecondition),
        (Said::Heartbeat(wire::Heartbeat::default()), Code::InvalidArgument),
    ] {
        let mut client = ConfigServiceClient::new(node.channel.clone());
        let said =
            tokio_stream::StreamExt::chain(tokio_stream::iter([message(first)]), tokio_stream::pending());
        let mut answers = client.stream(said).await.unwrap().into_inner();
        assert_eq!(answers.message().await.unwrap_err().code(), code);
    }
}
