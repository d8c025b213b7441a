//! A gateway in front of the simulated services beyond language models: what is offered there, what it
//! costs, and what we charge against what they bill.

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate_pricing::cost;
use tidegate_simulator::{Bill, ModelPrice, Settings as Simulated, Simulator, UnitPrices};
use tidegate_types::resource::*;
use tidegate_types::usage::Outcome;
use tidegate_types::{
    CredentialId, ModelId, NanoUsd, OfferingId, OrganizationId, PicoUsd, PriceId, ProviderId, Timestamp,
};

use crate::provider::Provider as Peer;
use crate::world::{ORG, World, budget, openai};

/// A model at a simulated service: its name upstream, what it is for, and what is charged.
struct Offered {
    name: &'static str,
    provider: &'static str,
    upstream: &'static str,
    kind: ModelKind,
    prices: Vec<(Unit, i64)>,
}

/// What the simulator asks for tokens; the rest is the same for all models there.
const TOKENS: ModelPrice = ModelPrice { input: 500_000, output: 2_000_000, cached_input: 250_000 };

/// Models that make videos.
fn films() -> impl Iterator<Item = Offered> {
    let at = [
        ("openai/film", "sim-openai", "sora"),
        ("xai/film", "xai", "grok-imagine"),
        ("google/film", "sim-gemini", "veo"),
        ("vertex/film", "vertex", "veo"),
    ];
    at.into_iter().map(|(name, provider, upstream)| Offered {
        name,
        provider,
        upstream,
        kind: ModelKind::Video,
        prices: vec![(Unit::VideoSecond, UnitPrices::VIDEO_SECOND)],
    })
}

fn offered() -> Vec<Offered> {
    models().into_iter().chain(films()).collect()
}

fn models() -> Vec<Offered> {
    let tokens = || vec![(Unit::InputToken, TOKENS.input), (Unit::OutputToken, TOKENS.output)];
    let one = |unit, price| vec![(unit, price)];
    let offered = |name, provider, upstream, kind, prices| Offered { name, provider, upstream, kind, prices };
    vec![
        offered("openai/emb", "sim-openai", "emb", ModelKind::Embedding, tokens()),
        offered("cohere/emb", "sim-cohere", "embed-v4", ModelKind::Embedding, tokens()),
        offered("amazon/emb", "sim-bedrock", "amazon.titan-embed-text-v2:0", ModelKind::Embedding, tokens()),
        offered("bedrock/emb", "sim-bedrock", "cohere.embed-v4:0", ModelKind::Embedding, tokens()),
        offered("google/emb", "sim-gemini", "gemini-embedding", ModelKind::Embedding, tokens()),
        offered(
            "cohere/rank",
            "sim-cohere",
            "rerank-v4",
            ModelKind::Reranking,
            one(Unit::Search, UnitPrices::SEARCH),
        ),
        offered("jina/rank", "sim-openai", "jina-rerank", ModelKind::Reranking, tokens()),
        offered("openai/draw", "sim-openai", "dall-e", ModelKind::Image, one(Unit::Image, UnitPrices::IMAGE)),
        offered(
            "google/draw",
            "sim-gemini",
            "imagen-4",
            ModelKind::Image,
            one(Unit::Image, UnitPrices::IMAGE),
        ),
        offered("google/paint", "sim-gemini", "gemini-2.5-flash-image", ModelKind::Image, tokens()),
        offered("vertex/emb", "vertex", "text-embedding-005", ModelKind::Embedding, tokens()),
        offered("openai/paint", "sim-openai", "gpt-image-1", ModelKind::Image, tokens()),
        offered(
            "openai/tts",
            "sim-openai",
            "tts-1",
            ModelKind::Speech,
            one(Unit::Character, UnitPrices::CHARACTER),
        ),
        offered("openai/say", "sim-openai", "gpt-4o-mini-tts", ModelKind::Speech, tokens()),
        offered(
            "openai/whisper",
            "sim-openai",
            "whisper-1",
            ModelKind::Transcription,
            one(Unit::AudioSecond, UnitPrices::AUDIO_SECOND),
        ),
        offered("openai/hear", "sim-openai", "gpt-4o-transcribe", ModelKind::Transcription, tokens()),
        searching("openai/seek", "sim-openai", "gpt-seek"),
        searching("openai/seek-chat", "sim-chat", "gpt-seek"),
        searching("openai/seek-responses", "sim-responses", "gpt-seek"),
        searching("anthropic/seek", "sim-anthropic", "claude-seek"),
        searching("google/seek", "sim-gemini", "gemini-3-seek"),
        searching("google/seek-2", "sim-gemini", "gemini-2.5-seek"),
        searching("amazon/seek", "sim-bedrock", "amazon.nova-seek-v1:0"),
        offered("openai/talk", "sim-openai", "gpt", ModelKind::Language, tokens()),
        offered("google/talk", "sim-gemini", "gemini", ModelKind::Language, tokens()),
        // Named by a unit that such models are not billed by.
        offered("openai/free", "sim-openai", "dall-e", ModelKind::Image, one(Unit::Search, 1)),
    ]
}

/// A language model whose provider sells searches of the web by the piece.
fn searching(name: &'static str, provider: &'static str, upstream: &'static str) -> Offered {
    let prices = vec![
        (Unit::InputToken, TOKENS.input),
        (Unit::CachedInputToken, TOKENS.cached_input),
        (Unit::OutputToken, TOKENS.output),
        (Unit::Search, UnitPrices::SEARCH),
    ];
    Offered { name, provider, upstream, kind: ModelKind::Language, prices }
}

pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) simulator: Simulator,
    pub(crate) client: reqwest::Client,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let simulator = Simulator::start("127.0.0.1:0".parse().unwrap(), Simulated::default()).await.unwrap();
        let mut peer = Peer::start(Vec::new()).await;
        peer.address = simulator.address();
        let world = World::start(&[openai("chat", &peer)]).await;
        world.put(catalogue(&simulator.url()));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { world, simulator, client }
    }

    pub(crate) fn post(&self, path: &str) -> reqwest::RequestBuilder {
        let url = format!("http://{}{path}", self.world.address);
        self.client.post(url).bearer_auth(&self.world.key)
    }

    pub(crate) async fn ask(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.post(path).json(body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap())
    }

    pub(crate) async fn ask_sdk(&self, kind: &str, spec: u8, model: &str, body: &Value) -> (u16, Value) {
        let base = [("v1", 2), ("v3", 3), ("v4", 4)].iter().find(|(_, of)| *of == spec).unwrap().0;
        let answer = self
            .post(&format!("/{base}/ai/{kind}-model"))
            .header(format!("ai-{kind}-model-specification-version"), spec.to_string())
            .header("ai-model-id", model)
            .json(body)
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap())
    }

    /// What we charged is what was billed, to the nano-dollar, and the control plane would say the same.
    pub(crate) async fn assert_books_match(&self, calls: usize) {
        self.world.recorded(calls).await;
        let bill: Bill = self
            .client
            .get(format!("{}/bill", self.simulator.url()))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let finals = self.world.finals();
        let billed: BTreeMap<String, i64> =
            bill.calls.iter().map(|line| (line.call_id.clone(), line.nano_usd)).collect();
        let charged: BTreeMap<String, i64> =
            finals.iter().map(|event| (event.call_id.to_string(), event.cost.get())).collect();
        assert_eq!(charged, billed, "{finals:#?} {bill:#?}");
        for event in &finals {
            assert_eq!(event.outcome, Outcome::Completed);
            assert!(event.cost > NanoUsd::ZERO, "{event:?}");
            let price = prices().remove(&event.price_id.unwrap()).unwrap();
            assert_eq!(cost(&price, &event.usage), event.cost, "the control plane's own figure");
        }
        assert!(self.world.metrics.render().contains("tidegate_bound_violations_total 0"), "held too little");
        self.world.assert_settled(None).await;
    }
}

fn prices() -> BTreeMap<PriceId, Price> {
    let prices = offered().into_iter().enumerate().map(|(place, offered)| {
        let id = PriceId::from_u128(100 + place as u128);
        let prices =
            offered.prices.iter().map(|(unit, pico)| UnitPrice { unit: *unit, price: PicoUsd::new(*pico) });
        let price = Price {
            id,
            tiers: vec![PriceTier { from_input_tokens: 0, prices: prices.collect() }],
            valid_from: Timestamp::from_micros(0),
            recorded_at: Timestamp::from_micros(0),
            source: "test".into(),
        };
        (id, price)
    });
    prices.collect()
}

fn catalogue(url: &str) -> Vec<Resource> {
    let mut all = providers(url);
    all.extend(offerings());
    all
}

fn providers(url: &str) -> Vec<Resource> {
    let system = OrganizationId::SYSTEM;
    let houses = [
        ("sim-openai", DialectName::OpenaiChat, AuthScheme::Bearer, "openai/v1"),
        ("sim-cohere", DialectName::CohereChat, AuthScheme::Bearer, "cohere"),
        ("sim-gemini", DialectName::Gemini, AuthScheme::GoogleApiKey, "gemini/v1beta"),
        // They speak one of OpenAI's dialects only.
        ("sim-chat", DialectName::OpenaiChat, AuthScheme::Bearer, "openai/v1"),
        ("sim-responses", DialectName::OpenaiResponses, AuthScheme::Bearer, "openai/v1"),
        ("sim-anthropic", DialectName::AnthropicMessages, AuthScheme::XApiKey, "anthropic/v1"),
        ("sim-bedrock", DialectName::BedrockConverse, AuthScheme::Bearer, "bedrock"),
        ("xai", DialectName::OpenaiChat, AuthScheme::Bearer, "openai/v1"),
        (
            "vertex",
            DialectName::Gemini,
            AuthScheme::GoogleServiceAccount,
            "gemini/v1/projects/p/locations/l/publishers/google",
        ),
    ];
    let mut all = Vec::new();
    for (place, (slug, dialect, auth, folder)) in houses.into_iter().enumerate() {
        let place = 100 + place as u128;
        all.push(Resource::Provider(Provider {
            organization_id: system,
            id: ProviderId::from_u128(place),
            slug: slug.parse().unwrap(),
            name: slug.into(),
            base_url: format!("{url}/{folder}"),
            dialect,
            auth,
            abort_billing: AbortBilling::Continues,
            enabled: true,
            headquarters: None,
            simulated: true,
            also: if slug == "sim-openai" { vec![DialectName::OpenaiResponses] } else { Vec::new() },
            quirks: Quirks {
                paths: (slug == "xai")
                    .then(|| ("video".to_owned(), "/videos/generations".to_owned()))
                    .into_iter()
                    .collect(),
                ..Quirks::default()
            },
        }));
        all.push(Resource::Credential(credential(system, place, CredentialScope::System, slug)));
    }
    all
}

fn offerings() -> Vec<Resource> {
    let system = OrganizationId::SYSTEM;
    let mut all = Vec::new();
    for ((place, offered), price) in offered().into_iter().enumerate().zip(prices().into_values()) {
        let place = 100 + place as u128;
        all.push(Resource::Model(Model {
            organization_id: system,
            id: ModelId::from_u128(place),
            name: offered.name.parse().unwrap(),
            display_name: offered.name.into(),
            aliases: Vec::new(),
            kind: offered.kind,
            context_window: 8_192,
            max_output_tokens: 10_000,
            capabilities: Capabilities {
                tools: offered.kind == ModelKind::Language,
                ..Capabilities::default()
            },
            released_at: None,
        }));
        all.push(Resource::Offering(Offering {
            organization_id: system,
            id: OfferingId::from_u128(place),
            model: offered.name.parse().unwrap(),
            provider: offered.provider.parse().unwrap(),
            upstream_name: offered.upstream.into(),
            max_output_tokens: None,
            enabled: true,
            prices: vec![price],
            data_handling: None,
            locations: Vec::new(),
            output_visible: false,
            notes: BTreeMap::new(),
        }));
    }
    all
}

pub(crate) fn strict(stage: &Stage, limit: &str) {
    stage.world.put(vec![Resource::Budget(budget(1, limit))]);
}

/// What the organization has stored for provider `a`.
pub(crate) fn own_credential() -> Credential {
    Credential { name: "stored".into(), ..credential(ORG, 77, CredentialScope::Organization, "a") }
}

/// A key for a provider, in force.
pub(crate) fn credential(owner: OrganizationId, id: u128, scope: CredentialScope, slug: &str) -> Credential {
    Credential {
        organization_id: owner,
        id: CredentialId::from_u128(id),
        name: slug.into(),
        scope,
        provider: slug.parse().unwrap(),
        form: SecretForm::ApiKey,
        enabled: true,
        position: 0,
        weight: None,
        sealed: Vec::new(),
        region: None,
        attestation: None,
    }
}
