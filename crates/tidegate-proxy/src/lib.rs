//! The request's path: authenticate, read the call, plan, admit, call with failover, relay.
//!
//! Read `serve.rs` first: it is the whole way in one screen. This crate knows no disk, no
//! control plane and no SQL; what it needs of the node is in `edges.rs`.

mod account;
mod admit;
mod answer;
mod ask;
mod attempt;
mod authenticate;
mod body;
mod byok;
mod cache;
mod caller_token;
mod client_address;
mod connection;
mod decompress;
mod edges;
mod endpoint;
mod face;
mod failed;
mod failover;
mod gateway;
mod gen_ai;
mod grant;
mod half_open;
mod headers;
mod health;
mod in_time;
mod intent;
mod job;
mod known_limits;
mod large_head;
mod listing;
mod meter;
mod metrics;
mod news;
mod offer;
mod own_key;
mod probe;
mod quota_headers;
mod quotas;
mod read_call;
mod read_on;
mod refusal;
mod relay;
mod routing;
mod serve;
mod settle;
mod steps;
mod target;
mod ticket;
mod trial;
mod typical;
mod unserved;
mod vitals;
mod waiting;

pub use connection::serve_connection;
pub use edges::{
    AttemptStep, Authority, Generation, JournalFull, NoAnswer, PlannedStep, Questions, Record, Records,
    RemovedStep, ReportQuery, ReportRow, Staged, Unavailable, Vault,
};
pub use gateway::{Gateway, Parts, Settings};
pub use tidegate_upstream::SignIn;
pub use trial::Trial;
