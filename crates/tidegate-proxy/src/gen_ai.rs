//! Histograms with the names of OpenTelemetry's conventions for generative AI (`gen_ai_…`), so that dashboards
//! made for other gateways fit. Bounds: opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics.
//!
//! The request's way only puts a few numbers in line; each second, and when the metrics are read, they are
//! counted. Labels are bounded: models and providers of the shared catalogue by name, tenants' own as `_OTHER`.

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::Histogram;
use tidegate_policy::{Catalogue, Config};
use tidegate_telemetry::Metrics;
use tidegate_types::usage::{Surface, gen_ai_operation, gen_ai_provider};
use tidegate_types::{ModelId, ProviderId};
use tokio_util::sync::CancellationToken;

/// Samples that wait at most; more are counted by whoever brings them.
const MOST_WAITING: usize = 16_384;
/// Sets of operation, provider and model at most; further models are `_OTHER`.
const MOST_SETS: usize = 1_000;
const OTHER: &str = "_OTHER";

const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
const DURATION: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const FIRST_TOKEN: [f64; 19] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0,
    60.0,
];
const PER_TOKEN: [f64; 13] = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];

/// How one attempt at a provider went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) surface: Surface,
    pub(crate) provider: ProviderId,
    pub(crate) model: ModelId,
    /// Why it failed; none where it did not.
    pub(crate) error: Option<Fault>,
    /// From its beginning to its end.
    pub(crate) took: Duration,
    /// Of an attempt whose answer the caller got, of the whole call.
    pub(crate) call_took: Option<Duration>,
    /// Of a stream: from the attempt's beginning to its first event.
    pub(crate) first: Option<Duration>,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Status(u16),
    Named(&'static str),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    gen_ai_operation_name: &'static str,
    gen_ai_provider_name: Arc<str>,
    gen_ai_request_model: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    gen_ai_operation_name: &'static str,
    gen_ai_provider_name: Arc<str>,
    gen_ai_request_model: Arc<str>,
    gen_ai_token_type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    gen_ai_operation_name: &'static str,
    gen_ai_provider_name: Arc<str>,
    gen_ai_request_model: Arc<str>,
    error_type: Option<String>,
}

/// Makes histograms with these bounds.
#[derive(Debug, Clone, Copy)]
struct Bounds(&'static [f64]);

impl MetricConstructor<Histogram> for Bounds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// The counted samples.
struct Counted {
    names: Names,
    tokens: Family<TokenLabels, Histogram, Bounds>,
    operation: Family<DurationLabels, Histogram, Bounds>,
    request: Family<Labels, Histogram, Bounds>,
    first_token: Family<Labels, Histogram, Bounds>,
    per_token: Family<Labels, Histogram, Bounds>,
}

/// The line of samples, and what was counted of them.
pub(crate) struct GenAi {
    waiting: Mutex<Vec<Sample>>,
    counted: Mutex<Counted>,
    config: Arc<Config>,
}

impl GenAi {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        let counted = Counted {
            names: Names::default(),
            tokens: Family::new_with_constructor(Bounds(&TOKENS)),
            operation: Family::new_with_constructor(Bounds(&DURATION)),
            request: Family::new_with_constructor(Bounds(&DURATION)),
            first_token: Family::new_with_constructor(Bounds(&FIRST_TOKEN)),
            per_token: Family::new_with_constructor(Bounds(&PER_TOKEN)),
        };
        Self { waiting: Mutex::default(), counted: Mutex::new(counted), config }
    }

    pub(crate) fn register(self: &Arc<Self>, metrics: &Metrics) {
        let collector = Box::new(Reader(self.clone()));
        metrics.register_conventional(|registry| registry.register_collector(collector));
    }

    /// Puts a sample in line.
    pub(crate) fn note(&self, sample: Sample) {
        let mut waiting = self.waiting.lock();
        waiting.push(sample);
        if waiting.len() >= MOST_WAITING {
            drop(waiting);
            self.count();
        }
    }

    /// Counts what waits, each second.
    pub(crate) async fn run(self: Arc<Self>, stopping: CancellationToken) {
        while tokio::time::timeout(Duration::from_secs(1), stopping.cancelled()).await.is_err() {
            self.count();
        }
    }

    fn count(&self) {
        let mut counted = self.counted.lock();
        let samples = std::mem::take(&mut *self.waiting.lock());
        if !samples.is_empty() {
            counted.names.follow(&self.config.catalogue());
            samples.iter().for_each(|sample| counted.count(sample));
        }
    }
}

impl Counted {
    fn count(&mut self, sample: &Sample) {
        let mut apart;
        let set = match self.names.set(sample) {
            Ok(known) => known,
            Err(labels) => {
                apart = Set::of(labels);
                &mut apart
            }
        };
        let Set { labels, completed, input, output, request } = set;
        let took = sample.took.as_secs_f64();
        match sample.error {
            None => kept(completed, &self.operation, || labels.ended(None)).observe(took),
            Some(fault) => {
                let error = match fault {
                    Fault::Status(status) => status.to_string(),
                    Fault::Named(name) => name.to_owned(),
                };
                self.operation.get_or_create(&labels.ended(Some(error))).observe(took);
            }
        }
        for (kind, tokens, series) in
            [("input", sample.input_tokens, input), ("output", sample.output_tokens, output)]
        {
            if tokens > 0 {
                kept(series, &self.tokens, || labels.tokens(kind)).observe(tokens as f64);
            }
        }
        if let Some(call) = sample.call_took {
            kept(request, &self.request, || labels.clone()).observe(call.as_secs_f64());
        }
        let Some(first) = sample.first.map(|first| first.as_secs_f64()) else { return };
        self.first_token.get_or_create(labels).observe(first);
        if sample.output_tokens > 1 {
            let each = (took - first).max(0.0) / (sample.output_tokens - 1) as f64;
            self.per_token.get_or_create(labels).observe(each);
        }
    }
}

/// What is told apart, and the series that its answers are counted in: looked up once, not for each.
struct Set {
    labels: Labels,
    completed: Option<Histogram>,
    input: Option<Histogram>,
    output: Option<Histogram>,
    request: Option<Histogram>,
}

impl Set {
    fn of(labels: Labels) -> Self {
        Self { labels, completed: None, input: None, output: None, request: None }
    }
}

/// The series, looked up in its family the first time.
fn kept<'s, L: Clone + std::hash::Hash + Eq>(
    series: &'s mut Option<Histogram>,
    family: &Family<L, Histogram, Bounds>,
    labels: impl FnOnce() -> L,
) -> &'s Histogram {
    series.get_or_insert_with(|| family.get_or_create(&labels()).clone())
}

impl Labels {
    fn tokens(&self, gen_ai_token_type: &'static str) -> TokenLabels {
        let Self { gen_ai_operation_name, gen_ai_provider_name, gen_ai_request_model } = self.clone();
        TokenLabels { gen_ai_operation_name, gen_ai_provider_name, gen_ai_request_model, gen_ai_token_type }
    }

    fn ended(&self, error_type: Option<String>) -> DurationLabels {
        let Self { gen_ai_operation_name, gen_ai_provider_name, gen_ai_request_model } = self.clone();
        DurationLabels { gen_ai_operation_name, gen_ai_provider_name, gen_ai_request_model, error_type }
    }
}

/// Names of the shared catalogue, as of the last look.
struct Names {
    catalogue: Option<Arc<Catalogue>>,
    models: AHashMap<ModelId, Arc<str>>,
    other: Arc<str>,
    /// What has been told apart so far.
    sets: AHashMap<(&'static str, ProviderId, ModelId), Set>,
}

impl Default for Names {
    fn default() -> Self {
        Self { catalogue: None, models: AHashMap::new(), other: OTHER.into(), sets: AHashMap::new() }
    }
}

impl Names {
    fn follow(&mut self, present: &Arc<Catalogue>) {
        if self.catalogue.as_ref().is_some_and(|known| Arc::ptr_eq(known, present)) {
            return;
        }
        self.models = present.models().map(|model| (model.id, model.name.shared())).collect();
        self.catalogue = Some(present.clone());
        // A model may have come to the catalogue, or gone; series that were begun stay.
        self.sets.retain(|_, set| *set.labels.gen_ai_request_model != *OTHER);
    }

    /// The set that a sample belongs to; its labels alone where there are too many sets.
    fn set(&mut self, sample: &Sample) -> Result<&mut Set, Labels> {
        let operation = gen_ai_operation(sample.surface);
        let full = self.sets.len() >= MOST_SETS;
        let place = match self.sets.entry((operation, sample.provider, sample.model)) {
            Entry::Occupied(known) => return Ok(known.into_mut()),
            Entry::Vacant(place) => place,
        };
        let known = self.catalogue.as_ref().and_then(|catalogue| catalogue.provider_by_id(sample.provider));
        let provider = known.map_or(self.other.clone(), |known| gen_ai_provider(known.slug.as_str()).into());
        let model = self.models.get(&sample.model).filter(|_| !full).unwrap_or(&self.other).clone();
        let labels = Labels {
            gen_ai_operation_name: operation,
            gen_ai_provider_name: provider,
            gen_ai_request_model: model,
        };
        if full { Err(labels) } else { Ok(place.insert(Set::of(labels))) }
    }
}

/// Counts what waits and tells all.
struct Reader(Arc<GenAi>);

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

impl Collector for Reader {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.count();
        let counted = self.0.counted.lock();
        let mut put = |name, help, metric: &dyn Histograms| metric.put(&mut encoder, name, help);
        put("gen_ai_client_token_usage", "Tokens of one operation", &counted.tokens)?;
        put(
            "gen_ai_client_operation_duration_seconds",
            "Time of one attempt at a provider",
            &counted.operation,
        )?;
        put(
            "gen_ai_server_request_duration_seconds",
            "Time from a call's head to its end",
            &counted.request,
        )?;
        put(
            "gen_ai_server_time_to_first_token_seconds",
            "Time from an attempt's beginning to the first event of its stream",
            &counted.first_token,
        )?;
        put(
            "gen_ai_server_time_per_output_token_seconds",
            "Time of each output token of a stream after the first",
            &counted.per_token,
        )
    }
}

/// A family of any labels.
trait Histograms {
    fn put(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str)
    -> Result<(), std::fmt::Error>;
}

impl<S: Clone + std::hash::Hash + Eq + EncodeLabelSet> Histograms for Family<S, Histogram, Bounds> {
    fn put(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
    ) -> Result<(), std::fmt::Error> {
        let entry = encoder.encode_descriptor(name, help, None, self.metric_type())?;
        self.encode(entry)
    }
}
