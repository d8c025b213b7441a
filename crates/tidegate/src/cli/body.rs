//! Building bodies from flags: absent flags stay absent, `--json` gives the whole body.

use std::io::Read as _;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Map, Value};

/// A whole body as JSON, for what has no flag.
#[derive(Debug, Args)]
pub(crate) struct JsonArg {
    /// The body (or a part of it) as JSON: a file, or - for standard input. Flags win over it.
    #[arg(long = "json", value_name = "FILE")]
    file: Option<String>,
}

/// A JSON object under construction.
#[derive(Debug, Default)]
pub(crate) struct Body(Map<String, Value>);

impl Body {
    /// Starts from `--json`, or from nothing.
    pub(crate) fn from(json: &JsonArg) -> anyhow::Result<Self> {
        let Some(file) = &json.file else { return Ok(Self::default()) };
        match serde_json::from_str(&read_text(file)?).with_context(|| format!("{file} is not JSON"))? {
            Value::Object(map) => Ok(Self(map)),
            _ => bail!("{file} does not hold a JSON object"),
        }
    }

    /// These fields.
    pub(crate) fn of(fields: Map<String, Value>) -> Self {
        Self(fields)
    }

    /// Sets a field when there is a value.
    pub(crate) fn set<T: Into<Value>>(&mut self, name: &str, value: Option<T>) -> &mut Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Sets a list when it has entries.
    pub(crate) fn set_list<T: Into<Value>>(&mut self, name: &str, values: Vec<T>) -> &mut Self {
        let values: Vec<Value> = values.into_iter().map(Into::into).collect();
        self.set(name, (!values.is_empty()).then_some(values))
    }

    /// Sets an object when it has fields.
    pub(crate) fn set_object(&mut self, name: &str, inner: Self) -> &mut Self {
        if inner.0.is_empty() {
            return self;
        }
        match self.0.get_mut(name) {
            Some(Value::Object(fields)) => fields.extend(inner.0),
            _ => {
                self.0.insert(name.to_owned(), Value::Object(inner.0));
            }
        }
        self
    }

    /// Whether a field is set.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The finished body.
    pub(crate) fn value(&mut self) -> Value {
        Value::Object(std::mem::take(&mut self.0))
    }

    /// The finished body of a change, which must change something.
    pub(crate) fn change(&mut self) -> anyhow::Result<Value> {
        if self.0.is_empty() {
            bail!("nothing to change: give at least one flag, or --json");
        }
        Ok(self.value())
    }
}

/// Reads a file, or standard input for `-`.
pub(crate) fn read_text(file: &str) -> anyhow::Result<String> {
    if file == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("read {file}"))
}

/// Splits `name=value`.
pub(crate) fn pair(text: &str) -> anyhow::Result<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => bail!("{text:?} is not of the form name=value"),
    }
}
