//! `tidegate cache …`, and the flags of the cache's rules, which policies and routes share.

use clap::{Args, Subcommand};

use super::body::Body;
use super::request::{Columns, Request};

const COLUMNS: Columns = &[("route", "/route"), ("purges", "/purges")];

/// Rules of caches.
#[derive(Debug, Args)]
pub(crate) struct CacheFlags {
    /// Answers from the response cache: on, or off whatever requests say; without it they are given where a request asks.
    #[arg(long, value_name = "on|off")]
    cache: Option<String>,
    /// Seconds that an answer may be given again.
    #[arg(long, value_name = "SECONDS")]
    cache_ttl: Option<u32>,
    /// Who shares answers: organization, team or key.
    #[arg(long, value_name = "WHO")]
    cache_sharing: Option<String>,
    /// What an answer from the cache costs, in percent of what it cost to make.
    #[arg(long, value_name = "PERCENT")]
    cache_charge_percent: Option<u8>,
    /// Largest answer in bytes that is kept.
    #[arg(long, value_name = "BYTES")]
    cache_max_entry_bytes: Option<u32>,
    /// Whether providers' cache markers are put in where a request does not say.
    #[arg(long)]
    prompt_cache_markers: Option<bool>,
}

impl CacheFlags {
    /// Lays the flags that were given into a body.
    pub(super) fn lay_into(self, body: &mut Body) {
        let mut rules = Body::default();
        rules
            .set("mode", self.cache)
            .set("ttl_seconds", self.cache_ttl)
            .set("sharing", self.cache_sharing)
            .set("charge_percent", self.cache_charge_percent)
            .set("max_entry_bytes", self.cache_max_entry_bytes);
        body.set_object("cache", rules).set("prompt_cache_markers", self.prompt_cache_markers);
    }
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lets go of kept answers, on every node.
    Purge {
        /// Only those of this route (its id).
        #[arg(long)]
        route: Option<String>,
    },
}

impl Verb {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        let Self::Purge { route } = self;
        Ok(Request::post("/cache/purge", Body::default().set("route", route).value(), COLUMNS))
    }
}
