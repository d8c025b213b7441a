//! Merkle trees of a batch's links: one root to sign, and for each link the way to it.
//!
//! A level with an odd end hands its last hash up unchanged.

use super::{Hash, pair};

/// On which side of the way a neighbour stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Before it.
    Left,
    /// Behind it.
    Right,
}

/// The neighbours of a link on the way to the root, from below.
pub type Path = Vec<(Side, Hash)>;

/// The root; zeros for no links.
#[must_use]
pub fn root(links: &[Hash]) -> Hash {
    let mut level = links.to_vec();
    while level.len() > 1 {
        level = above(&level);
    }
    level.first().copied().unwrap_or_default()
}

/// The way of the link at `place` to the root.
#[must_use]
pub fn path(links: &[Hash], mut place: usize) -> Path {
    let (mut level, mut path) = (links.to_vec(), Path::new());
    while level.len() > 1 {
        let (side, neighbour) =
            if place.is_multiple_of(2) { (Side::Right, place + 1) } else { (Side::Left, place - 1) };
        if let Some(hash) = level.get(neighbour) {
            path.push((side, *hash));
        }
        level = above(&level);
        place /= 2;
    }
    path
}

/// The root that a link and its way lead to.
pub(super) fn climb(link: Hash, path: &Path) -> Hash {
    path.iter().fold(link, |below, (side, neighbour)| match side {
        Side::Left => pair(neighbour, &below),
        Side::Right => pair(&below, neighbour),
    })
}

fn above(level: &[Hash]) -> Vec<Hash> {
    let join = |two: &[Hash]| match two {
        [left, right] => pair(left, right),
        [last] => *last,
        _ => Hash::default(),
    };
    level.chunks(2).map(join).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_leads_to_the_root_and_no_other_does() {
        for count in 1..40_u8 {
            let links: Vec<Hash> = (0..count).map(|place| [place; 32]).collect();
            for place in 0..usize::from(count) {
                let way = path(&links, place);
                assert_eq!(climb(links[place], &way), root(&links), "{place} of {count}");
                assert_ne!(climb([200; 32], &way), root(&links));
            }
        }
    }
}
