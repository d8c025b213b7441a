//! The fields of every dialect as data: which are known, which bill, which let the provider retain,
//! and what becomes of each when the target speaks another dialect. The docs table is made from it.

mod anthropic;
mod openai;

use crate::Dialect;

/// What a field means for money and for what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Neither.
    Plain,
    /// Can bill beyond tokens at their list price.
    Bills,
    /// Lets the provider keep content.
    Retains,
    /// Both.
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
}

/// Every registered top-level field of a dialect's requests, sorted by name.
#[must_use]
pub fn fields(dialect: Dialect) -> &'static [Field] {
    match dialect {
        Dialect::OpenaiChat => openai::FIELDS,
        Dialect::AnthropicMessages => anthropic::FIELDS,
    }
}

/// The registered field of this name.
#[must_use]
pub fn find(dialect: Dialect, name: &str) -> Option<&'static Field> {
    let fields = fields(dialect);
    fields.binary_search_by(|field| field.name.cmp(name)).ok().and_then(|at| fields.get(at))
}

const fn field(name: &'static str, effect: Effect, carriage: Carriage) -> Field {
    Field { name, effect, carriage }
}
