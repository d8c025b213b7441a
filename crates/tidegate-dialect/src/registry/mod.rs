//! The fields of every dialect as data: which are known, which bill, which let the provider retain,
//! and what becomes of each when the target speaks another dialect. The docs table is made from it.

pub(crate) mod anthropic;
pub mod gateway;
pub(crate) mod gemini;
mod left_out;
pub(crate) mod nested;
pub(crate) mod openai;

use crate::Dialect;

pub use left_out::{LeftOut, left_out};

/// What a field means for money and for what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Neither.
    Plain,
    /// Can bill beyond tokens at their list price.
    Bills,
    /// Lets the provider keep content.
    Retains,
    /// Lets the provider keep content; under zero data retention the gateway takes that back.
    Withdrawn,
    /// Can bill, and lets the provider keep content.
    BillsAndRetains,
    /// Meant for the gateway; never sent upstream.
    Gateway,
}

/// What becomes of a field when it is translated into the canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carriage {
    /// Carried, as described.
    Carried(&'static str),
    /// Left out without harm, for this reason.
    Dropped(&'static str),
    /// Refused with the field's name, for this reason.
    Refused(&'static str),
}

/// One top-level field of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its key.
    pub name: &'static str,
    /// What it means for money and retention.
    pub effect: Effect,
    /// What becomes of it in translation.
    pub carriage: Carriage,
    /// JSON values with which it says nothing: no effect, left out in translation.
    pub harmless: &'static [&'static [u8]],
}

/// Every registered top-level field of a dialect's requests, sorted by name.
#[must_use]
pub fn fields(dialect: Dialect) -> &'static [Field] {
    crate::codec::of(dialect).fields
}

/// The registered field of this name.
#[must_use]
pub fn find(dialect: Dialect, name: &str) -> Option<&'static Field> {
    find_in(fields(dialect), name)
}

/// The field of this name among these, which are sorted.
pub(crate) fn find_in(fields: &'static [Field], name: &str) -> Option<&'static Field> {
    fields.binary_search_by(|field| field.name.cmp(name)).ok().and_then(|at| fields.get(at))
}

/// Every registered nested field that is not carried; all others that a decoder does not know are refused.
#[must_use]
pub fn nested(dialect: Dialect) -> &'static [Field] {
    crate::codec::of(dialect).nested
}

/// A registered field that this name would be taken for by a reader that ignores case.
/// Unicode folds two more characters into ASCII: `ſ` (s) and `K` (k).
#[must_use]
pub fn resembling(dialect: Dialect, name: &str) -> Option<&'static str> {
    resembling_in(fields(dialect), name)
}

/// The same among these fields.
pub(crate) fn resembling_in(fields: &'static [Field], name: &str) -> Option<&'static str> {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    let same = |field: &&Field| name.chars().map(fold).eq(field.name.chars().map(fold));
    fields.iter().find(same).map(|field| field.name)
}

pub(crate) const fn field(name: &'static str, effect: Effect, carriage: Carriage) -> Field {
    Field { name, effect, carriage, harmless: &[] }
}

impl Field {
    pub(crate) const fn harmless(mut self, values: &'static [&'static [u8]]) -> Self {
        self.harmless = values;
        self
    }
}
