//! Places in a body, and objects whose members are each taken once.

use std::borrow::Cow;
use std::fmt;

use crate::RequestError;
use crate::json::{Kind, Member, Value};

/// A JSON path, kept as a chain on the stack and written out only for an error.
#[derive(Clone, Copy)]
pub(crate) enum Path<'a> {
    /// The whole body.
    Root,
    /// A member of the object at the path.
    Key(&'a Path<'a>, &'a str),
    /// An element of the array at the path.
    Index(&'a Path<'a>, usize),
}

/// Longest key that is repeated in a message.
const KEY_SHOWN: usize = 64;

impl Path<'_> {
    /// The path of a member.
    pub(crate) fn key<'b>(&'b self, key: &'b str) -> Path<'b> {
        Path::Key(self, key)
    }

    /// The path of an element.
    pub(crate) fn index(&self, index: usize) -> Path<'_> {
        Path::Index(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => f.write_str("body"),
            Path::Key(parent, key) => {
                if !matches!(parent, Path::Root) {
                    write!(f, "{parent}.")?;
                }
                f.write_str(key.get(..key.floor_char_boundary(KEY_SHOWN)).unwrap_or_default())
            }
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// The members of one object, proven to be without duplicates.
pub(crate) struct Fields<'a> {
    members: Vec<Member<'a>>,
}

impl<'a> Fields<'a> {
    /// The members of the object at `path`.
    ///
    /// # Errors
    /// [`RequestError::Wrong`] when it is no object, [`RequestError::Duplicate`] when a key is there twice.
    pub(crate) fn read(value: &Value<'a>, path: Path<'_>) -> Result<Self, RequestError> {
        if value.kind() != Kind::Object {
            return Err(RequestError::Wrong { path: path.to_string(), expected: "an object" });
        }
        let mut members = Vec::with_capacity(8);
        members.extend(value.members());
        match duplicate(&members) {
            Some(key) => Err(RequestError::Duplicate { path: path.key(key).to_string() }),
            None => Ok(Self { members }),
        }
    }

    /// All members that have not been taken, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Member<'a>> {
        self.members.iter()
    }

    /// The value of this key, unless it is absent or null.
    pub(crate) fn get(&self, key: &str) -> Option<Value<'a>> {
        self.members
            .iter()
            .find(|member| member.key == key)
            .map(|member| member.value)
            .filter(|v| !v.is_null())
    }

    /// Takes the value of this key out; `None` when it is absent or null.
    pub(crate) fn take(&mut self, key: &str) -> Option<Value<'a>> {
        let at = self.members.iter().position(|member| member.key == key)?;
        Some(self.members.remove(at).value).filter(|value| !value.is_null())
    }
}

/// A key that is there twice, in n log n at most.
fn duplicate<'m>(members: &'m [Member<'_>]) -> Option<&'m str> {
    if members.len() <= 16 {
        let twice = |(at, member): (usize, &'m Member<'_>)| {
            members.iter().take(at).any(|earlier| earlier.key == member.key).then_some(&*member.key)
        };
        return members.iter().enumerate().find_map(twice);
    }
    let mut keys: Vec<&str> = members.iter().map(|member| &*member.key).collect();
    keys.sort_unstable();
    keys.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some(*a),
        _ => None,
    })
}

/// An error that a value at `path` must be something else.
pub(crate) fn wrong(path: Path<'_>, expected: &'static str) -> RequestError {
    RequestError::Wrong { path: path.to_string(), expected }
}

/// A string.
pub(crate) fn text<'a>(value: &Value<'a>, path: Path<'_>) -> Result<Cow<'a, str>, RequestError> {
    let expected = if value.kind() == Kind::Text { "a string without lone surrogates" } else { "a string" };
    value.text().ok_or_else(|| wrong(path, expected))
}

/// A whole number that is not negative.
pub(crate) fn whole(value: &Value<'_>, path: Path<'_>) -> Result<u64, RequestError> {
    value.whole().ok_or_else(|| wrong(path, "a whole number, not negative"))
}

/// A boolean.
pub(crate) fn boolean(value: &Value<'_>, path: Path<'_>) -> Result<bool, RequestError> {
    value.bool().ok_or_else(|| wrong(path, "true or false"))
}

/// An array, its elements with their paths handed to `each`.
pub(crate) fn array<'a>(
    value: &Value<'a>,
    path: Path<'_>,
    mut each: impl FnMut(Value<'a>, Path<'_>) -> Result<(), RequestError>,
) -> Result<(), RequestError> {
    if value.kind() != Kind::Array {
        return Err(wrong(path, "an array"));
    }
    value.elements().enumerate().try_for_each(|(at, element)| each(element, path.index(at)))
}

/// An array of strings.
pub(crate) fn texts(value: &Value<'_>, path: Path<'_>) -> Result<Vec<String>, RequestError> {
    let mut out = Vec::new();
    array(value, path, |element, path| {
        out.push(text(&element, path)?.into_owned());
        Ok(())
    })?;
    Ok(out)
}
