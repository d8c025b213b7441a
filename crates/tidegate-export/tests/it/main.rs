//! Traces of calls as a collector hears them: what is in them, what is not, and what failures do.

#![expect(clippy::unwrap_used, reason = "tests")]

mod world;

use opentelemetry_proto::tonic::trace::v1::Span;
use tidegate_types::resource::ZdrTier;
use tidegate_types::usage::{CallOutcome, RefusalCause, Usage};
use tidegate_types::{LabelHash, NanoUsd, TraceParent};

use world::{World, attribute, number};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn of_call(spans: &[Span]) -> &Span {
    spans.iter().find(|span| attribute(span, "tidegate.call_id").is_some()).unwrap()
}

#[tokio::test]
async fn a_stored_call_comes_to_the_collector_with_tokens_cost_and_its_attempts_below_it() {
    let world = World::start(&["200 OK"]).await;
    let id = world.exporter("langfuse", &world.collector.url("/api/public/otel/v1/traces")).await;
    let mut call = world.call();
    call.usage = Usage { input_tokens: 120, cached_input_tokens: 100, output_tokens: 30, ..Usage::default() };
    call.cost = NanoUsd::new(1_234_567);
    call.ttft_ms = Some(250);
    world.ingest(vec![call.clone()]).await;
    assert_eq!(world.look().await, 1);
    let [heard] = world.collector.heard().try_into().unwrap_or_else(|_| panic!("one post"));
    assert!(heard.target.starts_with("POST /api/public/otel/v1/traces "), "{}", heard.target);
    assert_eq!(heard.header("content-type"), "application/x-protobuf");
    assert_eq!(heard.header("authorization"), world::SECRET);
    let spans = world::spans(&heard);
    let own = of_call(&spans);
    assert_eq!(own.trace_id, call.call_id.to_u128().to_be_bytes());
    assert!(own.parent_span_id.is_empty() && own.status.is_none() && own.name == "chat");
    assert_eq!(own.end_time_unix_nano - own.start_time_unix_nano, 10_000_000);
    for (name, tokens) in [
        ("gen_ai.usage.input_tokens", 120),
        ("gen_ai.usage.output_tokens", 30),
        ("gen_ai.usage.cache_read.input_tokens", 100),
    ] {
        assert_eq!(number(own, name), Some(tokens), "{name}");
    }
    assert_eq!(attribute(own, "tidegate.cost_usd").as_deref(), Some("0.001234567"));
    assert_eq!(attribute(own, "mlflow.llm.cost").as_deref(), Some(r#"{"total_cost":0.001234567}"#));
    assert_eq!(attribute(own, "user.id").unwrap(), "01".repeat(16));
    let below: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id == own.span_id).collect();
    assert_eq!((spans.len(), below.len(), below[0].trace_id == own.trace_id), (2, 1, true));
    let stored = world.stored(id).await;
    assert_eq!((stored.progress.sent, stored.progress.dropped), (1, 0));
    assert_eq!(world.look().await, 0, "once");
}

#[tokio::test]
async fn a_call_is_below_its_callers_span_and_one_that_is_not_sampled_stays_away() {
    let world = World::start(&["200 OK"]).await;
    world.exporter("otel", &world.collector.url("/v1/traces")).await;
    let (mut sampled, mut unsampled) = (world.call(), world.call());
    sampled.trace = TraceParent::parse(PARENT);
    unsampled.trace = TraceParent::parse(&PARENT.replace("-01", "-00"));
    world.ingest(vec![sampled.clone(), unsampled]).await;
    assert_eq!(world.look().await, 1);
    let spans = world::spans(&world.collector.heard()[0]);
    let (own, parent) = (of_call(&spans), sampled.trace.unwrap());
    assert_eq!(
        (own.trace_id.as_slice(), own.parent_span_id.as_slice()),
        (&parent.trace_id[..], &parent.span_id[..])
    );
    assert_eq!(attribute(own, "tidegate.call_id").unwrap(), sampled.call_id.to_string());
}

#[tokio::test]
async fn labels_of_calls_under_zero_retention_are_left_out() {
    let world = World::start(&["200 OK"]).await;
    world.exporter("otel", &world.collector.url("/v1/traces")).await;
    let (mut plain, mut zero) = (world.call(), world.call());
    plain.session = Some(LabelHash::from_bytes([9; 16]));
    (zero.zdr, zero.session) = (ZdrTier::Zdr, plain.session);
    world.ingest(vec![plain.clone(), zero.clone()]).await;
    world.look().await;
    let spans = world::spans(&world.collector.heard()[0]);
    let with = |call: &tidegate_types::usage::CallRecord| {
        let id = call.call_id.to_string();
        let span =
            spans.iter().find(|span| attribute(span, "tidegate.call_id").as_ref() == Some(&id)).unwrap();
        ["user.id", "session.id"].map(|name| attribute(span, name).is_some())
    };
    assert_eq!((with(&plain), with(&zero)), ([true, true], [false, false]));
}

#[tokio::test]
async fn a_refused_call_is_an_error_that_says_why() {
    let world = World::start(&["200 OK"]).await;
    world.exporter("otel", &world.collector.url("/v1/traces")).await;
    let mut refused = world.call();
    refused.outcome = CallOutcome::Refused { cause: RefusalCause::Budget, budget_id: None };
    (refused.status, refused.attempts) = (402, vec![]);
    world.ingest(vec![refused]).await;
    world.look().await;
    let spans = world::spans(&world.collector.heard()[0]);
    assert_eq!((spans.len(), attribute(&spans[0], "error.type").as_deref()), (1, Some("budget")));
    assert_eq!(spans[0].status.as_ref().unwrap().code, 2);
}

#[tokio::test]
async fn a_collector_that_fails_is_tried_again_after_a_pause_and_told_of_in_the_exporter() {
    let world = World::start(&["503 Busy\r\nretry-after: 60", "401 Unauthorized", "200 OK"]).await;
    let id = world.exporter("otel", &world.collector.url("/v1/traces")).await;
    world.ingest(vec![world.call()]).await;
    assert_eq!(world.look().await, 1);
    let progress = world.stored(id).await.progress;
    assert_eq!((progress.last_error.as_deref(), progress.last_status), (Some("status"), Some(503)));
    world.clock.forward(59);
    world.ingest(vec![world.call()]).await;
    assert_eq!(world.look().await, 0, "newer calls wait as well");
    world.clock.forward(10);
    assert_eq!(world.look().await, 2);
    assert_eq!(world.stored(id).await.progress.last_status, Some(401));
    world.clock.forward(60);
    assert_eq!(world.look().await, 2);
    let progress = world.stored(id).await.progress;
    assert_eq!((progress.sent, progress.dropped, progress.last_error), (2, 0, None));
}

#[tokio::test]
async fn what_a_collector_refuses_for_good_and_what_grows_old_is_dropped_and_counted() {
    let world = World::start(&["400 Bad", "500 Oops"]).await;
    let id = world.exporter("otel", &world.collector.url("/v1/traces")).await;
    world.ingest(vec![world.call(), world.call()]).await;
    assert_eq!((world.look().await, world.stored(id).await.progress.dropped), (2, 2));
    world.ingest(vec![world.call()]).await;
    assert_eq!((world.look().await, world.stored(id).await.progress.dropped), (1, 2));
    world.clock.forward(2 * 86_400);
    assert_eq!((world.look().await, world.stored(id).await.progress.dropped), (1, 3));
    world.clock.forward(86_400);
    assert_eq!((world.look().await, world.metrics.dropped.get()), (0, 3));
}

#[tokio::test]
async fn private_and_metadata_targets_are_never_called_unless_the_process_lists_them() {
    let world = World::start(&["200 OK"]).await;
    let port = world.collector.port();
    let urls = [
        world.collector.url("/v1/traces"),
        format!("http://localhost:{port}/v1/traces"),
        format!("http://0x7f.1:{port}/v1/traces"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        format!("http://[::ffff:127.0.0.1]:{port}/v1/traces"),
    ];
    let mut ids = Vec::new();
    for (n, url) in urls.iter().enumerate() {
        ids.push(world.exporter(&format!("exporter {n}"), url).await);
    }
    world.ingest(vec![world.call()]).await;
    assert_eq!(world.closed().look().await.unwrap(), 5);
    assert!(world.collector.heard().is_empty());
    for id in ids {
        let error = world.stored(id).await.progress.last_error.unwrap();
        assert!(matches!(error.as_str(), "forbidden_address" | "url" | "dns"), "{error}");
    }
    // The positive control: listed, the first of them is called.
    world.clock.forward(600);
    world.look().await;
    assert!(!world.collector.heard().is_empty());
}

#[tokio::test]
async fn two_control_planes_bring_each_call_once_and_no_other_organization_hears_of_it() {
    let world = World::start(&["200 OK"]).await;
    world.exporter("otel", &world.collector.url("/v1/traces")).await;
    let calls: Vec<_> = (0..40).map(|_| world.call()).collect();
    world.ingest(calls).await;
    let (one, other) = (world.exporting(), world.exporting());
    let (a, b) = tokio::join!(one.look(), other.look());
    assert_eq!(a.unwrap() + b.unwrap(), 40);
    let spans: Vec<Span> = world.collector.heard().iter().flat_map(world::spans).collect();
    let mut ids: Vec<_> = spans.iter().map(|span| span.span_id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), spans.len()), (80, 80));
}

#[tokio::test]
async fn a_collector_that_is_away_fills_its_queue_and_no_more() {
    let world = World::start(&["503 Away"]).await;
    let id = world.exporter("otel", &world.collector.url("/v1/traces")).await;
    for _ in 0..3 {
        let calls = (0..3_400).map(|_| world.call()).collect();
        world.ingest(calls).await;
    }
    assert_eq!(tidegate_store::exporters::depth(&world.store).await.unwrap(), 10_000);
    assert_eq!(world.stored(id).await.progress.dropped, 200);
    // Nobody exports: nothing waits.
    world.switch_off(id).await;
    world.ingest(vec![world.call()]).await;
    assert_eq!(tidegate_store::exporters::depth(&world.store).await.unwrap(), 10_000);
    assert_eq!(world.stored(id).await.progress.dropped, 200);
}
