//! `tidegate credential …`: provider secrets. They are read from a file or standard input,
//! never from the command line, which other users of the machine can see.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::body::{Body, read_text};
use super::request::{Columns, PageArgs, Request};

const COLUMNS: Columns = &[
    ("id", "/id"),
    ("name", "/name"),
    ("provider", "/provider"),
    ("scope", "/scope"),
    ("enabled", "/enabled"),
    ("position", "/position"),
    ("version", "/secret_version"),
];

/// Whose it is.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Scope {
    /// The operator's.
    System,
    /// The organization's.
    Organization,
    /// One team's.
    Team,
}

/// Where the secret is read.
#[derive(Debug, Args)]
pub(crate) struct SecretFlags {
    /// File that holds the API key, or a JSON object with the form's fields; - for standard input.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<String>,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists credentials, without their secrets.
    List {
        /// Those of the system.
        #[arg(long)]
        system: bool,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Stores a credential.
    Create {
        /// Unique in its scope.
        name: String,
        /// The provider it signs in at.
        #[arg(long)]
        provider: String,
        /// Whose it is.
        #[arg(long, value_enum)]
        scope: Option<Scope>,
        /// The team, with --scope team.
        #[arg(long)]
        team: Option<String>,
        /// What the secret holds: api_key, aws or google_service_account.
        #[arg(long)]
        form: Option<String>,
        /// Lower is tried first.
        #[arg(long)]
        position: Option<i32>,
        #[command(flatten)]
        secret: SecretFlags,
    },
    /// Shows one, without its secret.
    Get {
        /// Its id.
        id: String,
    },
    /// Changes one; with --secret-file, gives it a new secret.
    Update {
        /// Its id.
        id: String,
        /// New name.
        #[arg(long)]
        name: Option<String>,
        /// Whether it is used.
        #[arg(long)]
        enabled: Option<bool>,
        /// Lower is tried first.
        #[arg(long)]
        position: Option<i32>,
        #[command(flatten)]
        secret: SecretFlags,
    },
    /// Removes one.
    Delete {
        /// Its id.
        id: String,
    },
}

impl SecretFlags {
    fn read(self) -> anyhow::Result<Option<Value>> {
        let Some(file) = self.secret_file else { return Ok(None) };
        let text = read_text(&file)?;
        Ok(Some(match serde_json::from_str::<Value>(&text) {
            Ok(fields @ Value::Object(_)) => fields,
            _ => json!({"api_key": text.trim()}),
        }))
    }
}

impl Verb {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        let one = |id: &str| format!("/credentials/{id}");
        Ok(match self {
            Self::List { system, page } => {
                let mut request = Request::list("/credentials", page, COLUMNS);
                request.push("scope", system.then_some("system"));
                request
            }
            Self::Create { name, provider, scope, team, form, position, secret } => {
                let scope = scope
                    .and_then(|scope| scope.to_possible_value().map(|value| value.get_name().to_owned()));
                let secret = match secret.read()? {
                    Some(secret) => secret,
                    None => SecretFlags { secret_file: Some("-".to_owned()) }.read()?.unwrap_or(Value::Null),
                };
                let mut body = Body::default();
                body.set("name", Some(name)).set("provider", Some(provider)).set("scope", scope);
                body.set("team_id", team)
                    .set("form", form)
                    .set("position", position)
                    .set("secret", Some(secret));
                Request::post("/credentials", body.value(), COLUMNS)
            }
            Self::Get { id } => Request::get(one(&id), COLUMNS),
            Self::Update { id, name, enabled, position, secret } => {
                let mut body = Body::default();
                body.set("name", name)
                    .set("enabled", enabled)
                    .set("position", position)
                    .set("secret", secret.read()?);
                Request::patch(one(&id), body.change()?, COLUMNS)
            }
            Self::Delete { id } => Request::delete(one(&id)),
        })
    }
}
