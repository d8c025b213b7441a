//! Where the larger values of a validated text end, noted while it is validated: who walks the text
//! again need not read over them.

use smallvec::SmallVec;

use super::scan::{JsonError, validate};
use super::value::Value;

/// Strings from this length on are noted; shorter ones are read over as fast as they are looked up.
pub(super) const LONG: usize = 32;

/// No container is open.
const NONE: u32 = u32::MAX;

/// Starts and ends of containers and long strings, by their starts.
#[derive(Default)]
pub(super) struct Index {
    ends: SmallVec<[(u32, u32); 24]>,
    /// The innermost open container; its end is that of the one around it until it closes.
    open: Option<u32>,
}

impl Index {
    pub(super) fn open(&mut self, start: usize) {
        let place = self.ends.len() as u32;
        self.ends.push((start as u32, self.open.unwrap_or(NONE)));
        self.open = Some(place);
    }

    pub(super) fn close(&mut self, end: usize) {
        let open = self.open.and_then(|place| self.ends.get_mut(place as usize));
        if let Some((_, around)) = open {
            self.open = Some(*around).filter(|place| *place != NONE);
            *around = end as u32;
        }
    }

    pub(super) fn long_string(&mut self, start: usize, end: usize) {
        self.ends.push((start as u32, end as u32));
    }

    /// The end of the container or long string that starts here.
    pub(super) fn end_of(&self, start: usize) -> Option<usize> {
        let place = self.ends.binary_search_by_key(&start, |(start, _)| *start as usize).ok()?;
        self.ends.get(place).map(|(_, end)| *end as usize)
    }
}

/// A validated text for those who walk it more than once.
pub struct Document<'a> {
    bytes: &'a [u8],
    start: usize,
    end: usize,
    /// `None` for texts whose places do not fit into it.
    index: Option<Index>,
}

impl<'a> Document<'a> {
    /// Validates `bytes`.
    ///
    /// # Errors
    /// [`JsonError`] when they are not JSON; linear in their length.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, JsonError> {
        let mut index = (bytes.len() < NONE as usize).then(Index::default);
        let (start, end) = validate(bytes, index.as_mut())?;
        Ok(Self { bytes, start, end, index })
    }

    /// Its one value.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        Value::indexed(self.bytes, self.start, self.end, self.index.as_ref())
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
}
