//! Where settings come from, the file and the environment, and what is wrong with them, told without a value:
//! any of them may be a secret.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use figment::error::{Actual, Kind};
use figment::providers::{Env, Format as _, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider, util};

use super::Config;

/// Names and texts of the environment that are keys of the configuration: `redis.url` for `TIDEGATE_REDIS__URL`.
pub(super) fn environment() -> Vec<(String, String)> {
    // Only names with a double underscore are keys: TIDEGATE_TOKEN and the like belong to the CLI.
    let names = Env::prefixed("TIDEGATE_").filter(|name| name.as_str().contains("__")).split("__");
    names.iter().map(|(key, text)| (key.to_string(), text)).collect()
}

/// Settings of the file, overridden by those of the environment.
pub(super) fn read(file: Option<&Path>, environment: Vec<(String, String)>) -> Result<Config> {
    let mut figment = defaults();
    if let Some(file) = file {
        figment = figment.merge(toml(file)?);
    }
    for (key, text) in environment {
        figment = figment.merge(Given::one(&key, variable(&key, text.trim())));
    }
    figment.extract().map_err(|error| anyhow!("configuration: {}", told(&error)))
}

fn defaults() -> Figment {
    Figment::from(Serialized::defaults(Config::default()))
}

/// Settings, and who gave them.
struct Given {
    by: String,
    settings: Dict,
}

impl Given {
    /// A single variable of the environment.
    fn one(key: &str, value: Value) -> Self {
        let by = format!("environment variable TIDEGATE_{}", key.replace('.', "__").to_ascii_uppercase());
        Self { by, settings: util::nest(key, value).into_dict().unwrap_or_default() }
    }
}

impl Provider for Given {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.by.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Profile::Default.collect(self.settings.clone()))
    }
}

/// The file's settings. The parser's own text of an error repeats the line, so only its place and message are told.
fn toml(file: &Path) -> Result<Given> {
    if !file.is_file() {
        bail!("configuration file {} does not exist", file.display());
    }
    let by = format!("TOML file {}", file.display());
    let text = std::fs::read_to_string(file).with_context(|| format!("read {by}"))?;
    let settings = Toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&letter| letter != '\n').count() + 1;
        let message = error.message().trim().replace('\n', ", ");
        anyhow!("configuration: {by}, line {line}, column {column}: {message}")
    })?;
    Ok(Given { by, settings })
}

/// What a variable means: its text as it stands where the setting takes text, so that a password of digits, or in
/// quotes or brackets, stays what it is; a number, boolean, list or table where the setting takes no text.
fn variable(key: &str, text: &str) -> Value {
    let verbatim = Value::from(text);
    match defaults().merge(Given::one(key, verbatim.clone())).extract::<Config>().map_err(|error| error.kind)
    {
        Err(Kind::InvalidType(Actual::Str(_), _)) => text.parse().unwrap_or(verbatim),
        _ => verbatim,
    }
}

/// What is wrong, at which key, and who gave it; never what was given.
fn told(error: &Error) -> String {
    let wrong = match &error.kind {
        // Of the types that settings have; none of them repeats what it was given.
        Kind::Message(message) => message.clone(),
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            format!("found {}, expected {expected}", kind(found))
        }
        Kind::InvalidLength(_, expected) => format!("wrong length, expected {expected}"),
        Kind::UnknownVariant(_, known) => format!("expected one of {}", known.join(", ")),
        Kind::UnknownField(key, known) => {
            format!("unknown key `{key}`, expected one of {}", known.join(", "))
        }
        Kind::MissingField(key) => format!("`{key}` is missing"),
        Kind::DuplicateField(key) => format!("`{key}` is there twice"),
        Kind::ISizeOutOfRange(_) | Kind::USizeOutOfRange(_) => "the number is out of range".to_owned(),
        Kind::Unsupported(found) => format!("found {}, which no setting takes", kind(found)),
        Kind::UnsupportedKey(_, expected) => format!("a key that is not {expected}"),
    };
    // Tables are put together from several sources: for what is wrong with a whole table none of them is named.
    let whole = matches!(error.kind, Kind::UnknownField(..) | Kind::MissingField(_));
    let by = error.metadata.as_ref().filter(|_| !whole).map(|by| format!(" ({})", by.name));
    let key = if error.path.is_empty() { "the file".to_owned() } else { error.path.join(".") };
    format!("{key}{}: {wrong}", by.unwrap_or_default())
}

/// Which kind of value it is, without the value.
const fn kind(found: &Actual) -> &'static str {
    match found {
        Actual::Bool(_) => "a boolean",
        Actual::Unsigned(_) | Actual::Signed(_) => "an integer",
        Actual::Float(_) => "a float",
        Actual::Char(_) | Actual::Str(_) => "a string",
        Actual::Bytes(_) => "bytes",
        Actual::Unit | Actual::Option => "nothing",
        Actual::Seq => "a list",
        Actual::Map => "a table",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(variables: &[(&str, &str)]) -> Result<Config> {
        let owned = |&(key, text): &(&str, &str)| (key.to_owned(), text.to_owned());
        read(None, variables.iter().map(owned).collect())
    }

    #[test]
    fn text_of_the_environment_arrives_as_it_stands() {
        for text in
            ["123456", "007", "1.50", "true", "[a, b]", "{a=b}", "\"quoted\"", "'q'", "a,b]c", "-1", ""]
        {
            let config = given(&[
                ("redis.sentinel.password", text),
                ("encryption.kms.access_key_id", text),
                ("encryption.key", text),
                ("database.url", text),
                ("node.pool", text),
                ("node.join_token_file", text),
            ])
            .unwrap();
            let kms = config.encryption.kms.unwrap();
            assert_eq!(config.redis.sentinel.unwrap().password.as_deref(), Some(text));
            assert_eq!(kms.access_key_id.as_deref(), Some(text));
            assert_eq!(config.encryption.key.as_deref(), Some(text));
            assert_eq!(config.database.url.as_deref(), Some(text));
            assert_eq!(config.node.pool, text);
            assert_eq!(config.node.join_token_file.unwrap().as_os_str(), text);
        }
        let config = given(&[("redis.url", " redis://a\n")]).unwrap();
        assert_eq!(config.redis.url.as_deref(), Some("redis://a"), "a secret's last line end is none of it");
    }

    #[test]
    fn what_is_no_text_is_read_from_it() {
        let config = given(&[
            ("node.workers", "4"),
            ("node.listen", "127.0.0.1:7"),
            ("log.format", "text"),
            ("control_plane.grant_percent", "0"),
            ("redis.sentinel.tls", "true"),
            ("redis.sentinel.addresses", "[a:1, \"b:2\"]"),
            ("upstream.private", "[{cidr=\"10.0.0.0/8\", ports=[80], http=true}]"),
            ("encryption.vault", "{address=\"https://v\", key=k}"),
            ("encryption.vault.mount", "1"),
        ])
        .unwrap();
        assert_eq!(config.node.workers, Some(4));
        assert_eq!(config.node.listen.port(), 7);
        assert_eq!(config.log.format, super::super::LogFormat::Text);
        assert_eq!(config.control_plane.grant_percent, 0);
        let sentinel = config.redis.sentinel.unwrap();
        assert!(sentinel.tls);
        assert_eq!(sentinel.addresses, ["a:1", "b:2"]);
        assert_eq!(config.upstream.private[0].ports, [80]);
        let vault = config.encryption.vault.unwrap();
        assert_eq!((vault.key.as_str(), vault.mount.as_deref()), ("k", Some("1")));
    }

    #[test]
    fn what_a_variable_cannot_hold_is_told_by_its_name_and_without_its_value() {
        for (key, text, said) in [
            (
                "node.workers",
                "canary",
                "node.workers (environment variable TIDEGATE_NODE__WORKERS): found a string",
            ),
            (
                "control_plane.grant_percent",
                "271828",
                "TIDEGATE_CONTROL_PLANE__GRANT_PERCENT): found an integer",
            ),
            ("node.listen", "canary", "TIDEGATE_NODE__LISTEN): invalid socket address"),
            (
                "log.format",
                "canary",
                "log.format (environment variable TIDEGATE_LOG__FORMAT): expected one of json, text",
            ),
            (
                "redis.sentinel",
                "canary",
                "redis.sentinel (environment variable TIDEGATE_REDIS__SENTINEL): found a string",
            ),
            ("redis.sentinel.passwort", "canary", "unknown key `passwort`"),
            ("node.tls.key_file", "canary", "`certificate_file` is missing"),
        ] {
            let error = format!("{:#}", given(&[(key, text)]).unwrap_err());
            assert!(error.contains(said), "{said:?}: {error}");
            assert!(!error.contains("canary") && !error.contains("271828"), "{error}");
        }
    }
}
