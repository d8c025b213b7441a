//! Base URLs with places: `{resource}`, `{region}`, `{location}`, `{project}`, filled from fields
//! of the credential that signs in there.
//!
//! A place in the host stays inside its label and never makes up the last one, so no field can
//! lead to another domain. `{project}` stands in the path only: old project ids have a domain
//! and a colon (`example.com:name`). Source: <https://cloud.google.com/resource-manager/docs/creating-managing-projects>.

use std::borrow::Cow;

/// What can be filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `{resource}`: a resource at Azure.
    Resource,
    /// `{region}`: a region of AWS.
    Region,
    /// `{location}`: a location of Google Cloud; `{location}-` at the start of a host is left out
    /// for `global`, as Vertex AI's addresses want.
    Location,
    /// `{project}`: a project of Google Cloud.
    Project,
}

/// Why a base URL cannot be filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// Braces that name no place.
    #[error("knows the places {{resource}}, {{region}}, {{location}} and {{project}} only")]
    Unknown,
    /// A place where it could lead elsewhere.
    #[error(
        "has a place where none may be: places stand inside the path, or inside the host before its last label; {{project}} in the path only"
    )]
    Misplaced,
    /// The credential lacks the field.
    #[error("needs the field {} of the credential", .0.name())]
    Missing(Place),
    /// The credential's field has characters that may not stand there.
    #[error("needs another value in the field {} of the credential", .0.name())]
    Malformed(Place),
}

impl Place {
    /// Every place.
    pub const ALL: [Self; 4] = [Self::Resource, Self::Region, Self::Location, Self::Project];

    /// Its name, that of the credential's field.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Region => "region",
            Self::Location => "location",
            Self::Project => "project",
        }
    }

    /// Finds a place by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.name() == name)
    }

    /// Whether a text may be filled in: `^[a-z0-9-]{1,63}$`; a project may have dots and a colon
    /// between letters and digits, in 1 to 127 characters.
    #[must_use]
    pub fn accepts(self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        if self != Self::Project {
            return (1..=63).contains(&bytes.len()) && bytes.iter().all(plain);
        }
        let ends = [bytes.first(), bytes.last()].iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric));
        ends && bytes.len() <= 127 && bytes.iter().all(|b| plain(b) || matches!(b, b'.' | b':'))
    }
}

/// The base URL with its places filled by `field`.
///
/// # Errors
/// [`PlaceError`] when a place is none, is misplaced, or its field is missing or malformed.
pub fn fill_base_url<'t, 'f>(
    template: &'t str,
    field: impl Fn(Place) -> Option<&'f str>,
) -> Result<Cow<'t, str>, PlaceError> {
    if !template.contains(['{', '}']) {
        return Ok(Cow::Borrowed(template));
    }
    let host = template.find("://").map(|at| at + 3).ok_or(PlaceError::Misplaced)?;
    let path =
        template.get(host..).and_then(|rest| rest.find('/')).map_or(template.len(), |length| host + length);
    let last_label = template.get(host..path).and_then(|text| text.rfind('.')).map(|at| host + at);
    let mut filled = String::with_capacity(template.len() + 32);
    let mut at = 0;
    while let Some(rest) = template.get(at..).filter(|rest| !rest.is_empty()) {
        let Some(open) = rest.find(['{', '}']) else {
            filled.push_str(rest);
            break;
        };
        let (before, rest) = rest.split_at_checked(open).ok_or(PlaceError::Unknown)?;
        let (name, after) =
            rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).ok_or(PlaceError::Unknown)?;
        let place = Place::named(name).ok_or(PlaceError::Unknown)?;
        let position = at + open;
        let in_host = last_label.is_some_and(|last| (host..last).contains(&position));
        if position < path && (!in_host || place == Place::Project) {
            return Err(PlaceError::Misplaced);
        }
        let text = field(place).ok_or(PlaceError::Missing(place))?;
        if !place.accepts(text) {
            return Err(PlaceError::Malformed(place));
        }
        filled.push_str(before);
        at = template.len() - after.len();
        if place == Place::Location && position == host && text == "global" && after.starts_with('-') {
            at += 1;
        } else {
            filled.push_str(text);
        }
    }
    Ok(Cow::Owned(filled))
}

/// The base URL with a plain letter in each place, for checks of the rest.
///
/// # Errors
/// [`PlaceError`] when it has what is no place, or one where none may be.
pub fn sample_base_url(template: &str) -> Result<Cow<'_, str>, PlaceError> {
    fill_base_url(template, |_| Some("x"))
}

/// The places that a base URL needs filled.
pub fn places_of(template: &str) -> impl Iterator<Item = Place> + '_ {
    Place::ALL.into_iter().filter(|place| {
        template.match_indices(place.name()).any(|(at, name)| {
            template.get(..at).is_some_and(|before| before.ends_with('{'))
                && template.get(at + name.len()..).is_some_and(|after| after.starts_with('}'))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(template: &str, value: &'static str) -> Result<String, PlaceError> {
        fill_base_url(template, |_| Some(value)).map(Cow::into_owned)
    }

    #[test]
    fn places_are_filled_and_plain_urls_stay() {
        let plain = "https://api.openai.com/v1";
        assert!(matches!(fill_base_url(plain, |_| None), Ok(Cow::Borrowed(text)) if text == plain));
        for (template, value, filled) in [
            (
                "https://{resource}.openai.azure.com/openai/v1",
                "acme-eu",
                "https://acme-eu.openai.azure.com/openai/v1",
            ),
            (
                "https://bedrock-runtime.{region}.amazonaws.com",
                "eu-west-1",
                "https://bedrock-runtime.eu-west-1.amazonaws.com",
            ),
            (
                "https://{location}-aiplatform.googleapis.com/v1/{location}",
                "us-east5",
                "https://us-east5-aiplatform.googleapis.com/v1/us-east5",
            ),
            (
                "https://{location}-aiplatform.googleapis.com/v1/{location}",
                "global",
                "https://aiplatform.googleapis.com/v1/global",
            ),
            (
                "https://a.b/projects/{project}/x",
                "example.com:my-project",
                "https://a.b/projects/example.com:my-project/x",
            ),
            ("http://127.0.0.1:80/{project}", "p", "http://127.0.0.1:80/p"),
        ] {
            assert_eq!(fill(template, value).as_deref(), Ok(filled), "{template}");
        }
    }

    #[test]
    fn no_value_leads_elsewhere() {
        for value in ["", "a.b", "a/b", "A", "a@b", "a:1", "a%2e", "a b", "..", "é", &"a".repeat(64)] {
            for place in [Place::Resource, Place::Region, Place::Location] {
                assert!(!place.accepts(value), "{value}");
            }
        }
        for value in ["", ".", "..", "-a", ":a", "a:", "a/b", "a?b", "a#b", "A", "a%2f"] {
            assert!(!Place::Project.accepts(value), "{value}");
        }
        assert_eq!(fill("https://{resource}.a.b", "a.b"), Err(PlaceError::Malformed(Place::Resource)));
        assert_eq!(fill_base_url("https://a.b/{region}", |_| None), Err(PlaceError::Missing(Place::Region)));
    }

    #[test]
    fn places_stand_where_they_are_safe() {
        for template in [
            "https://{resource}",
            "https://{resource}/x",
            "https://a.{resource}/x",
            "https://a.b-{region}/",
            "https://{project}.a.b/",
            "https://a.b:{region}/",
            "{resource}://a.b/",
            "https://{region}:80/",
            "{region}",
        ] {
            assert_eq!(sample_base_url(template), Err(PlaceError::Misplaced), "{template}");
        }
        for template in [
            "https://a.b/{model}",
            "https://a.b/{",
            "https://a.b/}",
            "https://a.b/{}",
            "https://a.b/{{region}}",
            "https://a.b/{ region}",
        ] {
            assert_eq!(sample_base_url(template), Err(PlaceError::Unknown), "{template}");
        }
        let all: Vec<_> = places_of("https://{location}-x.a.b/{project}/region/resource").collect();
        assert_eq!(all, [Place::Location, Place::Project]);
    }
}
