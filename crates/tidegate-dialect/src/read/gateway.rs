//! `providerOptions.gateway` and its shorthands: what the client asks of the gateway itself.

/// Options for the gateway. They are taken out of the body before it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GatewayOptions {
    /// Only these providers.
    pub only: Vec<String>,
    /// These providers first, in this order.
    pub order: Vec<String>,
    /// Rank providers by `cost`, `ttft` or `tps`.
    pub sort: Option<String>,
    /// Models to fall back on.
    pub models: Vec<String>,
    /// Zero data retention is demanded (a request can only tighten).
    pub zero_data_retention: bool,
    /// Providers that train on prompts are forbidden.
    pub no_training: bool,
    /// Credentials were sent along.
    pub byok: bool,
    /// Options that are not known here.
    pub unknown: Vec<String>,
}
