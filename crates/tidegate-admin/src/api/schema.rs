//! Schemas of the shared types for the OpenAPI document. `tidegate-types` knows nothing of
//! OpenAPI, so their forms are described here; a test keeps both in step.
#![expect(dead_code, reason = "only the derived schemas are used")]

use std::collections::BTreeMap;

use utoipa::ToSchema;

/// What may be reached. An empty list allows everything that the wider scopes allow.
#[derive(ToSchema)]
#[schema(as = AllowList)]
pub(crate) struct AllowListSchema {
    /// Model names `creator/name`, or `creator/*`.
    #[schema(default = json!([]))]
    models: Vec<String>,
    /// Provider slugs.
    #[schema(default = json!([]))]
    providers: Vec<String>,
    /// Names of the organization's routes.
    #[schema(default = json!([]))]
    routes: Vec<String>,
    /// Client networks such as `10.0.0.0/8`.
    #[schema(default = json!([]))]
    ips: Vec<String>,
}

/// Rate limits; absent or null means no limit at this level.
#[derive(ToSchema)]
#[schema(as = Limits)]
pub(crate) struct LimitsSchema {
    /// Calls per minute.
    requests_per_minute: Option<u32>,
    /// Input and output tokens per minute.
    tokens_per_minute: Option<u32>,
    /// Calls in flight.
    concurrency: Option<u32>,
}

/// When a budget starts afresh: `{"every": "month"}`, `{"start": …, "end": …}` or `{"lifetime": true}`.
#[derive(ToSchema)]
#[schema(as = Window)]
pub(crate) struct WindowSchema {
    /// `minute`, `hour`, `day`, `week`, `month`, `quarter` or `year`.
    every: Option<String>,
    /// First instant of a fixed term.
    start: Option<String>,
    /// First instant after a fixed term.
    end: Option<String>,
    /// `true`: for ever.
    lifetime: Option<bool>,
}

/// One target of a route.
#[derive(ToSchema)]
#[schema(as = RouteTarget)]
pub(crate) struct RouteTargetSchema {
    /// The model `creator/name`.
    model: String,
    /// Share of the calls, relative to the other targets; 1 when absent.
    #[schema(default = 1)]
    weight: u32,
    /// Only at these providers; empty: any.
    #[schema(default = json!([]))]
    providers: Vec<String>,
}

/// What a model can do.
#[derive(ToSchema)]
#[schema(as = Capabilities)]
pub(crate) struct CapabilitiesSchema {
    /// Function tools.
    #[schema(default = false)]
    tools: bool,
    /// Images in the input.
    #[schema(default = false)]
    vision: bool,
    /// Hidden or visible reasoning.
    #[schema(default = false)]
    reasoning: bool,
    /// Output that follows a JSON schema.
    #[schema(default = false)]
    structured_output: bool,
}

/// Data-handling facts of an offering, with their evidence.
#[derive(ToSchema)]
#[schema(as = DataHandling)]
pub(crate) struct DataHandlingSchema {
    /// `none`, `safety_only` or `retains`.
    retention: String,
    /// `never` or `may`.
    training: String,
    /// Where this was read.
    source: String,
    /// When it was read.
    #[schema(format = DateTime)]
    read_at: String,
    /// Counts as unknown from this time on.
    #[schema(format = DateTime)]
    expires_at: String,
    /// Facts of single operations, features and regions, which differ from those above: the most specific
    /// one holds.
    #[schema(default = json!([]))]
    also: Vec<PartHandlingSchema>,
}

/// Where an offering, or a part of it, is processed. The fact that names most of operation and region holds.
#[derive(ToSchema)]
#[schema(as = Location)]
pub(crate) struct LocationSchema {
    /// Only this operation: `language`, `count_tokens`, `embedding`, `image`, `speech`, `transcription`,
    /// `reranking` or `video`.
    operation: Option<String>,
    /// Only over credentials of this region.
    region: Option<String>,
    /// All areas in which it may be processed: `us`, `eu`, `uk`, `ch`, `ca`, `jp`, `au`, `in`. Over an
    /// organization's own credentials they count only as its own attestation says.
    #[schema(default = json!([]), example = json!(["eu"]))]
    areas: Vec<String>,
    /// In place of `areas`: in the area that the credential's region lies in, for the provider's base URL has
    /// its place (`{region}`, `{location}`).
    #[schema(default = false)]
    regional: bool,
    /// Where this was read.
    source: String,
    /// When it was read.
    #[schema(format = DateTime)]
    read_at: String,
    /// Counts as unknown from this time on.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// Data-handling facts of a part of an offering; names at least one of operation, feature and region.
#[derive(ToSchema)]
#[schema(as = PartHandling)]
pub(crate) struct PartHandlingSchema {
    /// `language`, `count_tokens`, `embedding`, `image`, `speech`, `transcription`, `reranking` or `video`.
    operation: Option<String>,
    /// A tool that the provider runs, by its name in requests.
    #[schema(example = "web_search_20250305")]
    feature: Option<String>,
    /// Over credentials of this region.
    region: Option<String>,
    /// `none`, `safety_only` or `retains`.
    retention: String,
    /// `never` or `may`.
    training: String,
    /// Where this was read.
    source: String,
    /// When it was read.
    #[schema(format = DateTime)]
    read_at: String,
    /// Counts as unknown from this time on.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// Price of one unit.
#[derive(ToSchema)]
#[schema(as = UnitPrice)]
pub(crate) struct UnitPriceSchema {
    /// `input_token`, `output_token`, `cached_input_token`, `cache_write_token`, `cache_write_1h_token`,
    /// `reasoning_token`, `audio_input_token`, `audio_output_token`, `image_input_token`,
    /// `image_output_token`, `request`, `image`, `audio_second`, `character`, `search` or `video_second`.
    unit: String,
    /// USD per unit, a decimal string with at most 12 places.
    #[schema(example = "0.0000025")]
    price: String,
}

/// Prices that hold for calls with at least so many input tokens.
#[derive(ToSchema)]
#[schema(as = PriceTier)]
pub(crate) struct PriceTierSchema {
    /// From this many input tokens on; the first tier has 0.
    from_input_tokens: u32,
    /// Prices.
    prices: Vec<UnitPriceSchema>,
}

/// Demands on data handling.
#[derive(ToSchema)]
#[schema(as = Privacy)]
pub(crate) struct PrivacySchema {
    /// `none`, `no_training`, `zdr_with_safety_retention` or `zdr`.
    #[schema(default = "none")]
    zdr: String,
    /// Areas in which calls may be processed: `us`, `eu`, `uk`, `ch`, `ca`, `jp`, `au` or `in`; empty: all. What
    /// every policy and the request allow holds, and what is not known to be processed there is not used.
    #[schema(default = json!([]), example = json!(["eu"]))]
    inference_regions: Vec<String>,
    /// Home countries of providers, two letters each: all plain, or all excluded by a leading `!`; empty: all.
    #[schema(default = json!([]), example = json!(["!CN"]))]
    headquarters: Vec<String>,
}

/// Rules of the response cache. All that match a call hold together: `off` wins, then the strictest of each.
#[derive(ToSchema)]
#[schema(as = CacheRules)]
pub(crate) struct CacheRulesSchema {
    /// `on`: every call that does not say otherwise; `off`: none; absent: where the request asks for it.
    mode: Option<String>,
    /// Seconds that an answer may be given again, 1 to 86400; absent: 300.
    ttl_seconds: Option<u32>,
    /// Who shares answers: `organization` (when absent), `team` or `key`.
    sharing: Option<String>,
    /// What an answer from the cache costs, in percent of what it cost to make, 0 to 100; absent: nothing.
    charge_percent: Option<u8>,
    /// Largest answer in bytes that is kept; absent: what the node allows.
    max_entry_bytes: Option<u32>,
}

/// Tags by name.
pub(crate) type Tags = BTreeMap<String, String>;
