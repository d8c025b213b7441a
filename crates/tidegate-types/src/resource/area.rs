//! Where a model runs: areas by name, sets of them, and the areas in which cloud providers' regions lie.
//!
//! A region that is not of the forms of AWS, Google and Azure, or lies elsewhere, is in no area.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An area with its own law on data. Their numbers are those of the wire's order and stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Area {
    /// The United States.
    Us,
    /// The European Union.
    Eu,
    /// The United Kingdom.
    Uk,
    /// Switzerland.
    Ch,
    /// Canada.
    Ca,
    /// Japan.
    Jp,
    /// Australia.
    Au,
    /// India.
    In,
}

/// Regions of AWS, Google and Azure whose names do not begin as those of their area, or that need to be told
/// from those that do: London and Zurich are no part of the union.
const BY_NAME: [(&str, Area); 41] = [
    ("us", Area::Us),
    ("eu", Area::Eu),
    ("eu-west-2", Area::Uk),
    ("europe-west2", Area::Uk),
    ("uksouth", Area::Uk),
    ("ukwest", Area::Uk),
    ("eu-central-2", Area::Ch),
    ("europe-west6", Area::Ch),
    ("switzerlandnorth", Area::Ch),
    ("switzerlandwest", Area::Ch),
    ("ca-central-1", Area::Ca),
    ("ca-west-1", Area::Ca),
    ("northamerica-northeast1", Area::Ca),
    ("northamerica-northeast2", Area::Ca),
    ("canadacentral", Area::Ca),
    ("canadaeast", Area::Ca),
    ("ap-northeast-1", Area::Jp),
    ("ap-northeast-3", Area::Jp),
    ("asia-northeast1", Area::Jp),
    ("asia-northeast2", Area::Jp),
    ("japaneast", Area::Jp),
    ("japanwest", Area::Jp),
    ("ap-southeast-2", Area::Au),
    ("ap-southeast-4", Area::Au),
    ("australia-southeast1", Area::Au),
    ("australia-southeast2", Area::Au),
    ("ap-south-1", Area::In),
    ("ap-south-2", Area::In),
    ("asia-south1", Area::In),
    ("northeurope", Area::Eu),
    ("westeurope", Area::Eu),
    ("francecentral", Area::Eu),
    ("francesouth", Area::Eu),
    ("germanywestcentral", Area::Eu),
    ("germanynorth", Area::Eu),
    ("swedencentral", Area::Eu),
    ("swedensouth", Area::Eu),
    ("polandcentral", Area::Eu),
    ("italynorth", Area::Eu),
    ("spaincentral", Area::Eu),
    ("austriaeast", Area::Eu),
];
/// Azure's regions in the United States, with a number behind them or none.
const AZURE_US: [&str; 6] =
    ["eastus", "westus", "centralus", "northcentralus", "southcentralus", "westcentralus"];

impl Area {
    /// Every area, in the order of their numbers.
    pub const ALL: [Self; 8] =
        [Self::Us, Self::Eu, Self::Uk, Self::Ch, Self::Ca, Self::Jp, Self::Au, Self::In];

    /// Its name, the same as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Eu => "eu",
            Self::Uk => "uk",
            Self::Ch => "ch",
            Self::Ca => "ca",
            Self::Jp => "jp",
            Self::Au => "au",
            Self::In => "in",
        }
    }

    /// The area with this name.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|area| area.as_str() == word)
    }

    /// The area that a region lies in.
    #[must_use]
    pub fn of_region(region: &str) -> Option<Self> {
        if let Some((_, area)) = BY_NAME.iter().find(|(name, _)| *name == region) {
            return Some(*area);
        }
        let numbered = |tail: &str| tail.is_empty() || tail.parse::<u8>().is_ok();
        let azure_us = AZURE_US.iter().any(|name| region.strip_prefix(name).is_some_and(numbered));
        match region {
            _ if region.starts_with("us-") || azure_us => Some(Self::Us),
            _ if region.starts_with("eu-") || region.starts_with("europe-") => Some(Self::Eu),
            _ => None,
        }
    }
}

/// A set of areas. In JSON the list of their names; as text the names with commas between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Areas(u16);

impl Areas {
    /// No area.
    pub const NONE: Self = Self(0);

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Whether it has this one.
    #[must_use]
    pub const fn contains(self, area: Area) -> bool {
        self.0 & (1 << area as u16) != 0
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether all of them are among `other`.
    #[must_use]
    pub const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Its areas in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Area> {
        Area::ALL.into_iter().filter(move |area| self.contains(*area))
    }
}

impl From<Area> for Areas {
    fn from(area: Area) -> Self {
        Self(1 << area as u16)
    }
}

impl FromIterator<Area> for Areas {
    fn from_iter<T: IntoIterator<Item = Area>>(areas: T) -> Self {
        Self(areas.into_iter().fold(0, |bits, area| bits | Self::from(area).0))
    }
}

impl fmt::Display for Areas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, area) in self.iter().enumerate() {
            f.write_str(if place == 0 { "" } else { "," })?;
            f.write_str(area.as_str())?;
        }
        Ok(())
    }
}

/// Not the name of an area.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be areas of {}", Areas(u16::MAX))]
pub struct UnknownArea;

impl FromStr for Areas {
    type Err = UnknownArea;

    fn from_str(text: &str) -> Result<Self, UnknownArea> {
        let words = text.split(',').filter(|word| !word.is_empty());
        words.map(|word| Area::from_word(word).ok_or(UnknownArea)).collect()
    }
}

impl Serialize for Areas {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Areas {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Area>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_where_their_providers_say() {
        for (region, area) in [
            ("us-east-1", Some(Area::Us)),
            ("us-central1", Some(Area::Us)),
            ("eastus2", Some(Area::Us)),
            ("southcentralus", Some(Area::Us)),
            ("us", Some(Area::Us)),
            ("eu-central-1", Some(Area::Eu)),
            ("europe-west4", Some(Area::Eu)),
            ("swedencentral", Some(Area::Eu)),
            ("eu-west-2", Some(Area::Uk)),
            ("eu-central-2", Some(Area::Ch)),
            ("europe-west2", Some(Area::Uk)),
            ("europe-west6", Some(Area::Ch)),
            ("uksouth", Some(Area::Uk)),
            ("ap-northeast-1", Some(Area::Jp)),
            ("ap-northeast-2", None),
            ("global", None),
            ("eastusx", None),
            ("", None),
        ] {
            assert_eq!(Area::of_region(region), area, "{region}");
        }
    }

    #[test]
    fn sets_are_written_as_they_are_read() {
        let all: Areas = Area::ALL.into_iter().collect();
        for set in [Areas::NONE, Areas::from(Area::Eu), all] {
            assert_eq!(set.to_string().parse(), Ok(set));
            let json = serde_json::to_value(set).unwrap();
            assert_eq!(serde_json::from_value::<Areas>(json).unwrap(), set);
        }
        assert_eq!("eu,mars".parse::<Areas>(), Err(UnknownArea));
        assert_eq!(serde_json::to_string(&all.and(Areas::from(Area::Ch))).unwrap(), r#"["ch"]"#);
        assert!(Areas::from(Area::Eu).is_within(all) && !all.is_within(Areas::from(Area::Eu)));
        assert_eq!(UnknownArea.to_string(), "must be areas of us,eu,uk,ch,ca,jp,au,in");
    }
}
