//! The names nearest to one that nobody has, among those that a key may see.

use crate::view::View;

/// Most names that are compared, so that wrong names stay cheap to refuse.
const MOST_COMPARED: usize = 5_000;
const MOST_NAMED: usize = 3;

/// Up to three names, the nearest first, none farther than a third of the length.
pub(crate) fn nearest(view: &View, asked: &str) -> Vec<String> {
    let wanted = asked.to_ascii_lowercase();
    let most = (wanted.len() / 3).clamp(2, 6);
    let mut found: Vec<(usize, &str)> = visible(view)
        .take(MOST_COMPARED)
        .filter_map(|name| {
            let bare = name.split_once('/').map_or(name, |(_, bare)| bare);
            let near =
                distance(&wanted, name, most).into_iter().chain(distance(&wanted, bare, most)).min()?;
            Some((near, name))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(MOST_NAMED).map(|(_, name)| name.to_owned()).collect()
}

/// Routes and models that the key may ask for.
fn visible(view: &View) -> impl Iterator<Item = &str> {
    let routes = view.organization.routes.keys().map(|name| &**name);
    let routes = routes.filter(|name| view.allow().is_none_or(|allow| allow.asks_route(name)));
    let asks_models = view.allow().is_none_or(|allow| allow.asks_models());
    let models = view.organization.own.models.values().chain(view.catalogue.models.values());
    let models = models.filter(move |model| asks_models && view.allows_model(&model.name));
    routes.chain(models.map(|model| model.name.as_str()))
}

/// Edits (insert, delete, replace a byte) from `one` to `other` without regard to case;
/// `None` when there are more than `most`.
fn distance(one: &str, other: &str, most: usize) -> Option<usize> {
    if one.len().abs_diff(other.len()) > most {
        return None;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, a) in one.bytes().enumerate() {
        let mut diagonal = place;
        let mut left = place + 1;
        let mut best = left;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, b) in row.iter_mut().skip(1).zip(other.bytes()) {
            let replaced = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
            best = best.min(left);
        }
        if best > most {
            return None;
        }
    }
    row.last().copied().filter(|edits| *edits <= most)
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn edits_are_counted_up_to_the_most() {
        assert_eq!(distance("gpt-4o", "gpt-4o", 3), Some(0));
        assert_eq!(distance("gpt4o", "gpt-4o", 3), Some(1));
        assert_eq!(distance("GPT-5", "gpt-4", 3), Some(1));
        assert_eq!(distance("kitten", "sitting", 3), Some(3));
        assert_eq!(distance("kitten", "sitting", 2), None);
        assert_eq!(distance("", "ab", 2), Some(2));
        assert_eq!(distance("ab", "", 2), Some(2));
    }
}
