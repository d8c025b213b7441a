//! The values and keys of a validated text, noted while it is validated: who walks the text need not read it
//! again.

use super::scan::{JsonError, validate};
use super::value::Value;

/// No container is open.
const NONE: u32 = u32::MAX;
/// Of a string: it has escapes.
const ESCAPED: u32 = u32::MAX;
/// Of a text with fewer bytes than this for each value and key (numbers in a row) only the containers are noted,
/// or its index would be many times as large as itself.
const DENSE: usize = 6;
/// Room for so many from the beginning, at most.
const ROOM: usize = 64;

/// A value or a key.
#[derive(Clone, Copy)]
struct Node {
    start: u32,
    end: u32,
    /// How many values and keys lie in it; of a string [`ESCAPED`] or 0. While a container is open: the place of
    /// the one around it.
    inside: u32,
}

/// Values and keys of a text in their order; what lies in a value stands right behind it.
pub(super) struct Index<'t> {
    text: &'t str,
    nodes: Vec<Node>,
    most: usize,
    /// The innermost open container.
    open: u32,
    /// Values are missing that are no containers.
    full: bool,
}

/// A value's place in an index.
#[derive(Clone, Copy)]
pub(super) struct Noted<'a> {
    index: &'a Index<'a>,
    place: u32,
}

impl<'t> Index<'t> {
    fn of(bytes: &[u8]) -> Option<Self> {
        let most = bytes.len() / DENSE + 16;
        let room = (bytes.len() / 16 + 8).min(ROOM);
        // Texts whose places do not fit have none.
        (bytes.len() < NONE as usize).then(|| Self {
            text: "",
            nodes: Vec::with_capacity(room),
            most,
            open: NONE,
            full: false,
        })
    }

    /// What is noted from now on lies in this text.
    pub(super) fn begin(&mut self, text: &'t str) {
        self.text = text;
    }

    fn note(&mut self, start: usize, end: usize, inside: u32) {
        if self.nodes.len() < self.most {
            self.nodes.push(Node { start: start as u32, end: end as u32, inside });
        } else {
            self.full = true;
        }
    }

    pub(super) fn open(&mut self, start: usize) {
        let place = self.nodes.len() as u32;
        self.nodes.push(Node { start: start as u32, end: start as u32, inside: self.open });
        self.open = place;
    }

    pub(super) fn close(&mut self, end: usize) {
        let behind = self.nodes.len() as u32;
        if let Some(node) = self.nodes.get_mut(self.open as usize) {
            let around = std::mem::replace(&mut node.inside, behind.saturating_sub(self.open + 1));
            node.end = end as u32;
            self.open = around;
        }
    }

    /// A number, a word or an empty container.
    pub(super) fn plain(&mut self, start: usize, end: usize) {
        self.note(start, end, 0);
    }

    /// A string or a key.
    pub(super) fn string(&mut self, start: usize, end: usize, escaped: bool) {
        self.note(start, end, if escaped { ESCAPED } else { 0 });
    }
}

impl<'a> Noted<'a> {
    /// Whether everything is noted. Else a text is read for its items, and only the ends of containers are here.
    pub(super) fn is_whole(self) -> bool {
        !self.index.full
    }

    /// The end of the container with items that starts here.
    pub(super) fn end_of(self, start: usize) -> Option<usize> {
        let nodes = &self.index.nodes;
        let place = nodes.binary_search_by_key(&start, |node| node.start as usize).ok()?;
        nodes.get(place).map(|node| node.end as usize)
    }

    /// Whether a string is known to have no escapes.
    pub(super) fn is_literal(self) -> bool {
        let node = self.index.nodes.get(self.place as usize);
        self.is_whole() && node.is_some_and(|node| node.inside == 0)
    }

    /// This part of the whole text.
    pub(super) fn text(self, start: usize, end: usize) -> Option<&'a str> {
        self.index.text.get(start..end)
    }

    /// The first and the last place of what lies in a container, half open.
    pub(super) fn inside(self) -> (u32, u32) {
        let first = self.place + 1;
        let inside = self.index.nodes.get(self.place as usize).map_or(0, |node| node.inside);
        (first, first.saturating_add(inside))
    }

    /// Of the same index at this place: where it starts and ends, itself, and what place comes behind it.
    pub(super) fn at(self, place: u32) -> Option<(usize, usize, Self, u32)> {
        let node = self.index.nodes.get(place as usize)?;
        let inside = if node.inside == ESCAPED { 0 } else { node.inside };
        Some((node.start as usize, node.end as usize, Self { place, ..self }, place + 1 + inside))
    }
}

/// A validated text for those who walk it more than once.
pub struct Document<'a> {
    bytes: &'a [u8],
    start: usize,
    end: usize,
    /// `None` for texts whose places do not fit into it.
    index: Option<Index<'a>>,
}

impl<'a> Document<'a> {
    /// Validates `bytes`.
    ///
    /// # Errors
    /// [`JsonError`] when they are not JSON; linear in their length.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, JsonError> {
        let mut index = Index::of(bytes);
        let (start, end) = validate(bytes, index.as_mut())?;
        Ok(Self { bytes, start, end, index })
    }

    /// Its one value.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        let noted = self.index.as_ref().map(|index| Noted { index, place: 0 });
        Value::noted(self.bytes, self.start, self.end, noted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Kind;

    /// Every value of a text, with its bytes.
    fn walk(value: &Value<'_>, seen: &mut Vec<String>) {
        seen.push(String::from_utf8_lossy(value.raw()).into_owned());
        match value.kind() {
            Kind::Array => value.elements().for_each(|one| walk(&one, seen)),
            Kind::Object => value.members().for_each(|member| walk(&member.value, seen)),
            _ => {}
        }
    }

    #[test]
    fn a_walk_with_the_index_sees_what_a_walk_without_sees() {
        let long = "a \\\" b \\\\ ".repeat(9);
        let texts = [
            format!("[{}[[2],{{\"a\":[]}}]]", "1,".repeat(1_000)),
            "{}".to_owned(),
            " [ [ ] , { } , [ [ 1 , 2 ] , { \"a\" : [ ] } ] , \"x\" ] ".to_owned(),
            format!(r#"{{"{long}":"{long}","b":{{"c":["{long}",{{"d":"{long}"}},1.5e3]}},"e":null}}"#),
            format!("{}{}", "[".repeat(100), "]".repeat(100)),
            format!("[{}]", vec![format!("\"{long}\""); 40].join(", ")),
        ];
        for text in texts {
            let (mut with, mut without) = (Vec::new(), Vec::new());
            walk(&Document::parse(text.as_bytes()).unwrap().root(), &mut with);
            walk(&Value::parse(text.as_bytes()).unwrap(), &mut without);
            assert_eq!(with, without, "{text}");
            assert!(!with.is_empty());
        }
    }

    #[test]
    fn of_numbers_in_a_row_only_the_containers_are_noted() {
        let call = r#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#.to_owned();
        let numbers = format!("[{}[0]]", "1,".repeat(10_000));
        let deep = format!("{}0{}", "[".repeat(100), "]".repeat(100));
        let most = numbers.len() / DENSE + 16;
        for (text, nodes, full) in [(call, 10, false), (numbers, most + 1, true), (deep, 100, true)] {
            let index = Document::parse(text.as_bytes()).unwrap().index.unwrap();
            assert_eq!((index.nodes.len(), index.full), (nodes, full), "{text}");
        }
    }
}
