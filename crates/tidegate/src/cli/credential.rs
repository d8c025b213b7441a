//! `tidegate credential …`: provider secrets. They are read from a file or standard input,
//! never from the command line, which other users of the machine can see.

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::body::{Body, read_text};
use super::request::{Columns, PageArgs, Request};

const COLUMNS: Columns = &[
    ("id", "/id"),
    ("name", "/name"),
    ("provider", "/provider"),
    ("scope", "/scope"),
    ("enabled", "/enabled"),
    ("position", "/position"),
    ("weight", "/weight"),
    ("version", "/secret_version"),
];

const TRIAL: Columns = &[
    ("ok", "/ok"),
    ("code", "/code"),
    ("status", "/status"),
    ("error", "/error_type"),
    ("ms", "/latency_ms"),
    ("model", "/model"),
    ("node", "/node_id"),
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

/// Where the secret is read, and what of it is no secret.
#[derive(Debug, Args)]
pub(crate) struct SecretFlags {
    /// File that holds the API key, a JSON object with the form's fields, or a Google service
    /// account's key file; - for standard input.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<String>,
    /// The resource at Azure.
    #[arg(long)]
    resource: Option<String>,
    /// The region at AWS.
    #[arg(long)]
    region: Option<String>,
    /// The project at Google Cloud; a key file has it already.
    #[arg(long)]
    project: Option<String>,
    /// The location at Google Cloud.
    #[arg(long)]
    location: Option<String>,
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
        /// What the secret holds: api_key, aws or google_service_account. Seen from the file when absent.
        #[arg(long)]
        form: Option<String>,
        /// Lower is tried first.
        #[arg(long)]
        position: Option<i32>,
        /// Its share of the calls among credentials of the same position.
        #[arg(long)]
        weight: Option<u32>,
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
        /// Its share of the calls among credentials of the same position.
        #[arg(long)]
        weight: Option<u32>,
        /// Takes its weight away.
        #[arg(long, conflicts_with = "weight")]
        no_weight: bool,
        #[command(flatten)]
        secret: SecretFlags,
    },
    /// States that the contract under which an own credential is used meets a tier of data handling, or where
    /// calls over it are processed. It takes the place of what was stated before.
    Attest {
        /// Its id.
        id: String,
        /// no_training, zdr_with_safety_retention or zdr.
        #[arg(long, required_unless_present_any = ["withdraw", "areas"])]
        tier: Option<String>,
        /// An area in which calls over it are processed: us, eu, uk, ch, ca, jp, au or in. May be repeated.
        #[arg(long = "area", value_name = "AREA", id = "areas")]
        areas: Vec<String>,
        /// The contract: its number, or where it lies.
        #[arg(long, required_unless_present = "withdraw")]
        statement: Option<String>,
        /// Until when, at most 400 days ahead.
        #[arg(long, required_unless_present = "withdraw")]
        expires_at: Option<String>,
        /// Takes it back.
        #[arg(long, conflicts_with_all = ["tier", "areas", "statement", "expires_at"])]
        withdraw: bool,
    },
    /// Has a node try one at its provider.
    Test {
        /// Its id.
        id: String,
    },
    /// Removes one.
    Delete {
        /// Its id.
        id: String,
    },
}

/// A secret's fields and, where they show it, their form.
struct SecretParts {
    form: Option<&'static str>,
    fields: Value,
}

impl SecretFlags {
    /// The secret in the file; on standard input when `wanted` and there is no file.
    fn read(self, wanted: bool) -> anyhow::Result<Option<SecretParts>> {
        let places = [
            ("resource", self.resource),
            ("region", self.region),
            ("project", self.project),
            ("location", self.location),
        ];
        let Some(file) = self.secret_file.or_else(|| wanted.then(|| "-".to_owned())) else {
            if let Some((name, _)) = places.iter().find(|(_, value)| value.is_some()) {
                bail!("--{name} is a part of the secret: give --secret-file as well");
            }
            return Ok(None);
        };
        let text = read_text(&file)?;
        let (form, mut fields) = match serde_json::from_str::<Value>(&text) {
            Ok(Value::Object(fields)) => known_file(fields),
            _ => (None, Map::from_iter([("api_key".to_owned(), json!(text.trim()))])),
        };
        for (name, value) in places {
            if let Some(value) = value {
                fields.insert(name.to_owned(), json!(value));
            }
        }
        Ok(Some(SecretParts { form, fields: Value::Object(fields) }))
    }
}

/// The fields of an object, and what form they are of if that can be seen. Of a service account's
/// key file as Google gives it, those that are needed.
fn known_file(mut fields: Map<String, Value>) -> (Option<&'static str>, Map<String, Value>) {
    if fields.get("type").and_then(Value::as_str) == Some("service_account") {
        let names = [
            ("client_email", "client_email"),
            ("private_key", "private_key"),
            ("private_key_id", "private_key_id"),
            ("project_id", "project"),
        ];
        let kept = names
            .into_iter()
            .filter_map(|(theirs, ours)| Some((ours.to_owned(), fields.remove(theirs)?)))
            .collect();
        return (Some("google_service_account"), kept);
    }
    let form = match () {
        () if fields.contains_key("access_key_id") => Some("aws"),
        () if fields.contains_key("client_email") => Some("google_service_account"),
        () => None,
    };
    (form, fields)
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
            Self::Create { name, provider, scope, team, form, position, weight, secret } => {
                let scope = scope
                    .and_then(|scope| scope.to_possible_value().map(|value| value.get_name().to_owned()));
                let (seen, secret) = match secret.read(true)? {
                    Some(SecretParts { form, fields }) => (form, fields),
                    None => (None, Value::Null),
                };
                let form = form.or_else(|| seen.map(str::to_owned));
                let mut body = Body::default();
                body.set("name", Some(name)).set("provider", Some(provider)).set("scope", scope);
                body.set("team_id", team)
                    .set("form", form)
                    .set("position", position)
                    .set("weight", weight)
                    .set("secret", Some(secret));
                Request::post("/credentials", body.value(), COLUMNS)
            }
            Self::Get { id } => Request::get(one(&id), COLUMNS),
            Self::Update { id, name, enabled, position, weight, no_weight, secret } => {
                let mut body = Body::default();
                body.set("name", name)
                    .set("enabled", enabled)
                    .set("position", position)
                    .set("weight", weight.map(Value::from).or(no_weight.then_some(Value::Null)))
                    .set("secret", secret.read(false)?.map(|secret| secret.fields));
                Request::patch(one(&id), body.change()?, COLUMNS)
            }
            Self::Attest { id, tier, areas, statement, expires_at, withdraw } => {
                let said =
                    json!({"tier": tier, "areas": areas, "statement": statement, "expires_at": expires_at});
                let said = if withdraw { Value::Null } else { said };
                Request::patch(one(&id), json!({ "attestation": said }), COLUMNS)
            }
            Self::Test { id } => Request::post(format!("{}/test", one(&id)), Value::Null, TRIAL),
            Self::Delete { id } => Request::delete(one(&id)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> (Option<&'static str>, Value) {
        let Ok(Value::Object(fields)) = serde_json::from_str(text) else { panic!("{text}") };
        let (form, fields) = known_file(fields);
        (form, Value::Object(fields))
    }

    #[test]
    fn a_key_file_from_google_is_taken_as_it_is() {
        let file = json!({"type": "service_account", "project_id": "p", "private_key_id": "k", "private_key": "pem",
            "client_email": "a@b", "client_id": "1", "token_uri": "https://oauth2.googleapis.com/token"});
        let taken =
            json!({"client_email": "a@b", "private_key": "pem", "private_key_id": "k", "project": "p"});
        assert_eq!(fields(&file.to_string()), (Some("google_service_account"), taken));
        assert_eq!(fields(r#"{"access_key_id": "a"}"#), (Some("aws"), json!({"access_key_id": "a"})));
        assert_eq!(fields(r#"{"api_key": "a"}"#), (None, json!({"api_key": "a"})));
    }
}
