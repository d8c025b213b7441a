//! Pages: `?limit=&cursor=` in, `{data, has_more, next_cursor}` out.
//!
//! A cursor is opaque to clients: the last row's position, base64url.

use std::fmt::Display;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tidegate_store::{Page as StoredPage, Stored};
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;

/// Rows on a page when the client does not say.
const DEFAULT_LIMIT: u32 = 50;
/// Most rows on a page.
const MAX_LIMIT: u32 = 1000;

/// Where a page starts and how long it is.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Rows on the page, 1 to 1000; 50 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl PageQuery {
    /// For lists with parameters of their own.
    pub(crate) const fn new(limit: Option<u32>, cursor: Option<String>) -> Self {
        Self { limit, cursor }
    }

    /// Rows asked for.
    pub(crate) fn limit(&self) -> Result<u32, Problem> {
        match self.limit {
            None => Ok(DEFAULT_LIMIT),
            Some(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
            Some(_) => Err(Problem::field("limit", format!("must be 1 to {MAX_LIMIT}"))),
        }
    }

    /// Position after which the page starts, as the row's own text.
    pub(crate) fn after<T: std::str::FromStr>(&self) -> Result<Option<T>, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let text = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let position = text.and_then(|text| text.parse().ok());
        position.map(Some).ok_or_else(|| Problem::field("cursor", "is not a cursor of this list"))
    }
}

/// One page of a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Whether there are more after these.
    pub has_more: bool,
    /// Send it as `cursor` to get them.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The page of stored rows. `position` is what [`PageQuery::after`] reads back.
    pub(crate) fn of<'a, R, P: Display>(rows: &'a StoredPage<Stored<R>>, position: impl Fn(&R) -> P) -> Self
    where
        T: From<&'a R>,
    {
        Self::from_rows(&rows.data, rows.has_more, |row| position(&row.value), |row| T::from(&row.value))
    }

    /// A page of any rows.
    pub(crate) fn from_rows<'a, R, P: Display>(
        rows: &'a [R],
        has_more: bool,
        position: impl Fn(&R) -> P,
        view: impl FnMut(&'a R) -> T,
    ) -> Self {
        let last = rows.last().filter(|_| has_more);
        let next_cursor = last.map(|row| URL_SAFE_NO_PAD.encode(position(row).to_string()));
        Self { data: rows.iter().map(view).collect(), has_more, next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_to_the_row_after_the_last() {
        let page = Page::from_rows(&[1, 2], true, |row| *row, |row| *row);
        let query = PageQuery { limit: None, cursor: page.next_cursor };
        assert_eq!(query.after::<i32>().unwrap(), Some(2));
        assert!(Page::from_rows(&[1, 2], false, |row| *row, |row| *row).next_cursor.is_none());
    }

    #[test]
    fn a_foreign_cursor_is_refused() {
        let query = PageQuery { limit: Some(0), cursor: Some("%%".to_owned()) };
        assert!(query.after::<i32>().is_err());
        assert!(query.limit().is_err());
    }
}
