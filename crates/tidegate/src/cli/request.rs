//! One request to the management API, as data: what nouns plan and the client sends.

use clap::Args;
use serde_json::Value;

/// Method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Patch,
    Delete,
}

/// A request, and the columns of its answer as a table (header, JSON pointer).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Below `/api/v1`, for example `/teams`.
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Option<Value>,
    pub(crate) columns: Vec<(&'static str, &'static str)>,
    /// Follow `next_cursor` to the end.
    pub(crate) all: bool,
}

/// Columns of a noun's table.
pub(crate) type Columns = &'static [(&'static str, &'static str)];

/// Which part of a list.
#[derive(Debug, Args)]
pub(crate) struct PageArgs {
    /// Rows at once, 1 to 1000.
    #[arg(long)]
    limit: Option<u32>,
    /// Go on after a page: its next_cursor.
    #[arg(long)]
    cursor: Option<String>,
    /// All pages.
    #[arg(long, conflicts_with = "cursor")]
    all: bool,
}

impl Request {
    fn new(method: Method, path: impl Into<String>, body: Option<Value>, columns: Columns) -> Self {
        Self { method, path: path.into(), query: Vec::new(), body, columns: columns.to_vec(), all: false }
    }

    /// Reads one object.
    pub(crate) fn get(path: impl Into<String>, columns: Columns) -> Self {
        Self::new(Method::Get, path, None, columns)
    }

    /// Reads a list.
    pub(crate) fn list(path: impl Into<String>, page: PageArgs, columns: Columns) -> Self {
        let mut request = Self::get(path, columns);
        request.all = page.all;
        request.push("limit", page.limit.or(page.all.then_some(1000)));
        request.push("cursor", page.cursor);
        request
    }

    /// Makes an object or does something with one.
    pub(crate) fn post(path: impl Into<String>, body: Value, columns: Columns) -> Self {
        Self::new(Method::Post, path, Some(body), columns)
    }

    /// Changes an object.
    pub(crate) fn patch(path: impl Into<String>, body: Value, columns: Columns) -> Self {
        Self::new(Method::Patch, path, Some(body), columns)
    }

    /// Removes an object.
    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::Delete, path, None, &[])
    }

    /// Adds a query parameter when there is a value.
    pub(crate) fn push<T: ToString>(&mut self, name: &'static str, value: Option<T>) {
        if let Some(value) = value {
            self.query.push((name, value.to_string()));
        }
    }
}
