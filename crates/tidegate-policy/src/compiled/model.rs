//! Models stay as they are written. A closed model's name is kept as closed by the catalogue.

use tidegate_types::resource::Model;

use super::{Piece, text};
use crate::reason::Reason;

impl Piece for Model {
    type Source = Self;
    const MOST: usize = 20_000;

    fn faults(source: &Self) -> Vec<Reason> {
        let mut faults = Vec::new();
        text::name("display_name", &source.display_name, &mut faults);
        text::at_most("aliases", source.aliases.len(), 64, &mut faults);
        for alias in &source.aliases {
            text::token("aliases", alias, &mut faults);
        }
        if source.context_window == 0 {
            faults.push(Reason::new("context_window", "must be at least 1"));
        }
        faults
    }

    fn weight(source: &Self) -> usize {
        source.display_name.len() + source.aliases.iter().map(String::len).sum::<usize>()
    }

    fn build(source: Self, _n: u64) -> Self {
        source
    }

    fn close(self) -> Self {
        self
    }
}
