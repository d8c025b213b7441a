//! The admin commands: `tidegate <noun> <verb>` over the management API.
//!
//! Every noun's file turns its verbs into a [`request::Request`] and says how the answer looks
//! as a table; sending and printing happen here, once. Knows the API only as HTTP.

mod audit;
mod bills;
mod body;
mod budget;
mod cache;
mod calls;
mod catalogue;
mod client;
mod credential;
mod credit;
mod download;
mod exit;
mod explain;
mod exporter;
mod fleet;
mod import;
pub(crate) mod join;
mod key;
mod keys;
mod ledger;
mod member;
mod org;
mod output;
mod policy;
mod pool;
mod price;
mod reconcile;
mod request;
mod route;
mod session;
mod team;
mod token;
mod trust_rule;
mod usage;
mod webhook;

#[cfg(test)]
mod tests;
mod zdr;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use self::client::Client;
use self::output::Format;
use self::request::Request;

/// Heading of the flags that every admin command has.
const EVERYWHERE: &str = "With every command";

/// How to reach the control plane and how to print.
#[derive(Debug, Clone, Args)]
pub(crate) struct Connection {
    /// The control plane, for example http://127.0.0.1:8081.
    #[arg(long, env = "TIDEGATE_CONTROL_URL", default_value = "http://127.0.0.1:8081", global = true, help_heading = EVERYWHERE)]
    url: String,
    /// A session or service token.
    #[arg(long, env = "TIDEGATE_TOKEN", hide_env_values = true, default_value = "", hide_default_value = true, global = true, help_heading = EVERYWHERE)]
    token: String,
    /// The organization to work in; needed by platform tokens only.
    #[arg(long, env = "TIDEGATE_ORGANIZATION", global = true, help_heading = EVERYWHERE)]
    organization: Option<String>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Format::Table, global = true, help_heading = EVERYWHERE)]
    output: Format,
    /// Return only when every live node has applied the change.
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    wait: bool,
    /// Repeat the command safely: the same key and body get the same answer for 24 hours.
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    idempotency_key: Option<String>,
    /// Change only the version with this ETag.
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    if_match: Option<String>,
}

/// A noun: its verbs, and how to reach the control plane.
#[derive(Debug, Args)]
pub(crate) struct Noun<V: Subcommand> {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: V,
}

/// The admin commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// Sign in and out, and who you are.
    Session(Noun<session::Verb>),
    /// Organizations (platform administrators).
    Org(Noun<org::Verb>),
    /// Teams.
    Team(Noun<team::Verb>),
    /// People with a role.
    Member(Noun<member::Verb>),
    /// Service tokens of the management API.
    Token(Noun<token::Verb>),
    /// Virtual keys: what applications call with.
    Key(Noun<key::Verb>),
    /// Provider secrets, write-only.
    Credential(Noun<credential::Verb>),
    /// Who is called.
    Provider(Noun<catalogue::ProviderVerb>),
    /// What is asked for.
    Model(Noun<catalogue::ModelVerb>),
    /// Models at providers.
    Offering(Noun<catalogue::OfferingVerb>),
    /// Prices of offerings; appended, never changed.
    Price(Noun<price::Verb>),
    /// Providers, models and prices as they come with Tidegate or with price files.
    Catalogue(Noun<import::Verb>),
    /// An organization's own model names.
    Route(Noun<route::Verb>),
    /// Whose signed tokens (OIDC, Kubernetes service accounts) may call as a key.
    TrustRule(Noun<trust_rule::Verb>),
    /// Allow lists, data-retention tier, defaults.
    Policy(Noun<policy::Verb>),
    /// The response cache: purge it. Its rules are those of policies and routes.
    Cache(Noun<cache::Verb>),
    /// Limits on money.
    Budget(Noun<budget::Verb>),
    /// A provider's bill against the books: resolves what nobody knew, tells what differs.
    Reconcile(reconcile::Reconcile),
    /// The sums of the accounts.
    Ledger(Noun<ledger::Verb>),
    /// Booked charges, computed again: tells, or adjusts, what comes out otherwise.
    Rerate(ledger::Rerate),
    /// What was used and what it cost.
    Usage(Noun<usage::Verb>),
    /// One record for each call.
    Calls(Noun<calls::Verb>),
    /// What would happen to a call, and why; nobody is called.
    Explain(explain::Explain),
    /// Nodes: revisions, lag, rejections; join tokens.
    Fleet(Noun<fleet::Verb>),
    /// Pools of nodes (platform administrators).
    Pool(Noun<pool::Verb>),
    /// Who changed what.
    Audit(Noun<audit::Verb>),
    /// What keeps secrets: rotation of the key-encryption key, data keys, pool keys, peppers.
    Keys(Noun<keys::Verb>),
    /// What was decided about data handling, call by call, signed by the nodes.
    Zdr(Noun<zdr::Verb>),
    /// What is paid in advance, or given each period.
    Credit(Noun<credit::Verb>),
    /// Where you are told of budgets, credentials and bills.
    Webhook(Noun<webhook::Verb>),
    /// Where an organization wants the traces of its calls.
    Exporter(Noun<exporter::Verb>),
}

impl Admin {
    fn plan(self) -> anyhow::Result<(Connection, Request)> {
        Ok(match self {
            Self::Catalogue(_) | Self::Reconcile(_) | Self::Rerate(_) => {
                anyhow::bail!("takes more than one request")
            }
            Self::Session(noun) => (noun.connection, noun.verb.request()?),
            Self::Org(noun) => (noun.connection, noun.verb.request()?),
            Self::Team(noun) => (noun.connection, noun.verb.request()?),
            Self::Member(noun) => (noun.connection, noun.verb.request()?),
            Self::Token(noun) => (noun.connection, noun.verb.request()?),
            Self::Key(noun) => (noun.connection, noun.verb.request()?),
            Self::Credential(noun) => (noun.connection, noun.verb.request()?),
            Self::Provider(noun) => (noun.connection, noun.verb.request()?),
            Self::Model(noun) => (noun.connection, noun.verb.request()?),
            Self::Offering(noun) => (noun.connection, noun.verb.request()?),
            Self::Price(noun) => (noun.connection, noun.verb.request()?),
            Self::Route(noun) => (noun.connection, noun.verb.request()?),
            Self::TrustRule(noun) => (noun.connection, noun.verb.request()?),
            Self::Policy(noun) => (noun.connection, noun.verb.request()?),
            Self::Budget(noun) => (noun.connection, noun.verb.request()?),
            Self::Ledger(noun) => (noun.connection, noun.verb.request()?),
            Self::Usage(noun) => (noun.connection, noun.verb.request()?),
            Self::Calls(noun) => (noun.connection, noun.verb.request()?),
            Self::Explain(asked) => (asked.connection.clone(), asked.request()?),
            Self::Fleet(noun) => (noun.connection, noun.verb.request()?),
            Self::Cache(noun) => (noun.connection, noun.verb.request()?),
            Self::Pool(noun) => (noun.connection, noun.verb.request()?),
            Self::Audit(noun) => (noun.connection, noun.verb.request()?),
            Self::Keys(noun) => (noun.connection, noun.verb.request()?),
            Self::Zdr(noun) => (noun.connection, noun.verb.request()?),
            Self::Credit(noun) => (noun.connection, noun.verb.request()?),
            Self::Webhook(noun) => (noun.connection, noun.verb.request()?),
            Self::Exporter(noun) => (noun.connection, noun.verb.request()?),
        })
    }
}

/// Carries out an admin command; prints the answer to standard output, refusals to standard error.
pub(crate) async fn run(command: Admin) -> ExitCode {
    let command = match command {
        Admin::Catalogue(noun) => return import::run(&noun.connection, noun.verb).await,
        Admin::Reconcile(command) => return reconcile::run(command).await,
        Admin::Rerate(command) => return ledger::rerate(command).await,
        Admin::Usage(Noun { connection, verb: usage::Verb::Export(export) }) => {
            return export.run(&connection).await;
        }
        Admin::Audit(Noun { connection, verb: audit::Verb::Export(export) }) => {
            return export.run(&connection).await;
        }
        Admin::Audit(Noun { verb: audit::Verb::Verify { files }, .. }) if !files.is_empty() => {
            return audit::verify(&files);
        }
        Admin::Zdr(Noun { verb: zdr::Verb::Verify(file), .. }) => return zdr::verify(&file),
        other => other,
    };
    let (connection, request) = match command.plan() {
        Ok(planned) => planned,
        Err(error) => {
            eprintln!("error: {error:#}");
            return exit::INVALID;
        }
    };
    let format = connection.output;
    let outcome = match Client::new(&connection) {
        Ok(client) => client.send(&request).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(answer) => {
            print!("{}", output::render(&answer, &request.columns, format));
            eprint!("{}", output::render_fleet(&answer));
            exit::of_answer(&answer)
        }
        Err(failure) => {
            eprint!("{}", output::render_failure(&failure, format));
            failure.code()
        }
    }
}
