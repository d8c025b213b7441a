//! Teams stay as they are written. A closed team is left out, which refuses its keys.

use tidegate_types::resource::Team;

use super::{Piece, text};
use crate::reason::Reason;

impl Piece for Team {
    type Source = Self;
    const MOST: usize = 20_000;

    fn faults(source: &Self) -> Vec<Reason> {
        let mut faults = Vec::new();
        text::name("name", &source.name, &mut faults);
        faults
    }

    fn weight(source: &Self) -> usize {
        source.name.len()
    }

    fn build(source: Self, _n: u64) -> Self {
        source
    }

    fn close(self) -> Self {
        Self { paused: true, ..self }
    }
}
