//! Which of several facts about an offering holds for a call: the one that names most of what the call does.

use tidegate_types::resource::Operation;

/// Of what facts are asked.
#[derive(Debug, Clone, Copy)]
pub struct Use<'a> {
    /// What is done; `None`: unknown.
    pub operation: Option<Operation>,
    /// Where; `None`: unknown.
    pub region: Option<&'a str>,
    /// A feature of the provider; `None`: the call itself.
    pub feature: Option<&'a str>,
}

/// Of what a fact speaks.
#[derive(Debug, Clone)]
pub(super) struct Extent {
    pub(super) operation: Option<Operation>,
    pub(super) region: Option<String>,
}

/// Whether a fact speaks of a use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    No,
    Perhaps,
    Yes,
}

/// A fact about a part of an offering, or all of it.
pub(super) trait Partial {
    fn extent(&self) -> &Extent;
    fn speaks_of(&self, of: Use<'_>) -> Match {
        self.extent().speaks_of(of)
    }
}

impl Extent {
    fn precision(&self) -> usize {
        usize::from(self.operation.is_some()) + usize::from(self.region.is_some())
    }

    pub(super) fn speaks_of(&self, of: Use<'_>) -> Match {
        let operation = one(self.operation, of.operation);
        let region = one(self.region.as_deref(), of.region);
        match (operation, region) {
            (Match::No, _) | (_, Match::No) => Match::No,
            (Match::Yes, Match::Yes) => Match::Yes,
            _ => Match::Perhaps,
        }
    }
}

/// The facts that hold: the most precise of those that surely speak of a use, and all that perhaps do. `None`:
/// none surely does.
pub(super) fn holding<'f, F: Partial>(
    facts: &'f [F],
    of: Use<'f>,
) -> Option<impl Iterator<Item = &'f F> + 'f> {
    let matching = move |wanted| facts.iter().filter(move |fact| fact.speaks_of(of) == wanted);
    let most = matching(Match::Yes).map(|fact| fact.extent().precision()).max()?;
    let sure = matching(Match::Yes).filter(move |fact| fact.extent().precision() == most);
    Some(sure.chain(matching(Match::Perhaps)))
}

fn one<T: PartialEq>(named: Option<T>, asked: Option<T>) -> Match {
    match (named, asked) {
        (None, _) => Match::Yes,
        (Some(_), None) => Match::Perhaps,
        (Some(named), Some(asked)) if named == asked => Match::Yes,
        _ => Match::No,
    }
}
