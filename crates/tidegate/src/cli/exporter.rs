//! `tidegate exporter …`: where an organization wants the traces of its calls.
//!
//! Values of headers are secrets: they are read from files or standard input, never from the command line.

use clap::{Args, Subcommand};

use super::body::{Body, JsonArg, pair, read_text};
use super::request::{Columns, PageArgs, Request};

const COLUMNS: Columns = &[
    ("id", "/id"),
    ("name", "/name"),
    ("url", "/url"),
    ("enabled", "/enabled"),
    ("headers", "/header_names"),
    ("sent", "/sent"),
    ("dropped", "/dropped"),
    ("last sent", "/last_sent_at"),
    ("error", "/last_error"),
    ("status", "/last_status"),
];

/// What may be said about an exporter.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// A header with the file that holds its value (- for standard input). May be repeated; those given
    /// take the place of all before.
    #[arg(long = "header-file", value_name = "NAME=FILE")]
    headers: Vec<String>,
    /// Whether traces go there.
    #[arg(long)]
    enabled: Option<bool>,
    #[command(flatten)]
    json: JsonArg,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists exporters, with what came of them.
    List(PageArgs),
    /// Adds one: traces of calls go there from now on.
    Create {
        /// Unique in the organization.
        name: String,
        /// Where traces are posted (OTLP/HTTP), with its path.
        #[arg(long)]
        to: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// Shows one, without the values of its headers.
    Get {
        /// Its id.
        id: String,
    },
    /// Changes one.
    Update {
        /// Its id.
        id: String,
        /// New name.
        #[arg(long)]
        name: Option<String>,
        /// New target.
        #[arg(long)]
        to: Option<String>,
        #[command(flatten)]
        flags: Flags,
    },
    /// Removes one; what was on its way there is dropped.
    Delete {
        /// Its id.
        id: String,
    },
}

impl Flags {
    fn body(self) -> anyhow::Result<Body> {
        let mut body = Body::from(&self.json)?;
        body.set("enabled", self.enabled);
        if !self.headers.is_empty() {
            let mut headers = Body::default();
            for header in &self.headers {
                let (name, file) = pair(header)?;
                headers.set(&name, Some(read_text(&file)?.trim_end_matches(['\r', '\n']).to_owned()));
            }
            body.set("headers", Some(headers.value()));
        }
        Ok(body)
    }
}

impl Verb {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        let one = |id: &str| format!("/exporters/{id}");
        Ok(match self {
            Self::List(page) => Request::list("/exporters", page, COLUMNS),
            Self::Create { name, to, flags } => {
                let mut body = flags.body()?;
                body.set("name", Some(name)).set("url", Some(to));
                Request::post("/exporters", body.value(), COLUMNS)
            }
            Self::Get { id } => Request::get(one(&id), COLUMNS),
            Self::Update { id, name, to, flags } => {
                Request::patch(one(&id), flags.body()?.set("name", name).set("url", to).change()?, COLUMNS)
            }
            Self::Delete { id } => Request::delete(one(&id)),
        })
    }
}
