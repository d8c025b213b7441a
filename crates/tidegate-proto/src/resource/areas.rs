//! Areas, and facts of where offerings are processed.

use tidegate_types::Timestamp;
use tidegate_types::resource::{Area, Areas, Location};

use crate::config as wire;
use crate::error::{ConvertError, Problem};
use crate::fields::Fields;

/// Their names.
pub(super) fn written(areas: Areas) -> Vec<String> {
    areas.iter().map(|area| area.as_str().to_owned()).collect()
}

/// From their names. One that this version does not know is refused: what it allows or promises is unknown.
pub(super) fn read(at: Fields, field: &'static str, names: &[String]) -> Result<Areas, ConvertError> {
    let area = |name: &String| match Area::from_word(name) {
        Some(area) => Ok(area),
        None => at.wrong(field, Problem::UnknownName),
    };
    names.iter().map(area).collect()
}

impl From<&Location> for wire::Location {
    fn from(r: &Location) -> Self {
        Self {
            operation: r.operation.map(|operation| operation.as_str().to_owned()),
            region: r.region.clone(),
            areas: written(r.areas),
            regional: r.regional,
            source: r.source.clone(),
            read_at_micros: r.read_at.as_micros(),
            expires_at_micros: r.expires_at.as_micros(),
        }
    }
}

impl TryFrom<wire::Location> for Location {
    type Error = ConvertError;

    fn try_from(m: wire::Location) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("Location");
        Ok(Self {
            operation: m.operation.map(|name| AT.named("operation", &name)).transpose()?,
            region: m.region,
            areas: read(AT, "areas", &m.areas)?,
            regional: m.regional,
            source: m.source,
            read_at: Timestamp::from_micros(m.read_at_micros),
            expires_at: Timestamp::from_micros(m.expires_at_micros),
        })
    }
}
