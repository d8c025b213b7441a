//! Where a model runs, as far as a credential's region tells: names of regions as AWS, Google and Azure write
//! them. A region that is not of these forms, or lies elsewhere, is in no area.

/// Where a request wants its model to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// The United States.
    Us,
    /// The European Union.
    Eu,
}

/// Regions of AWS and Google that begin with `eu` but lie outside of the union: London, Zurich.
const NOT_EU: [&str; 4] = ["eu-west-2", "eu-central-2", "europe-west2", "europe-west6"];
/// Azure's regions of the union, in its one-word form.
const AZURE_EU: [&str; 12] = [
    "northeurope",
    "westeurope",
    "francecentral",
    "francesouth",
    "germanywestcentral",
    "germanynorth",
    "swedencentral",
    "swedensouth",
    "polandcentral",
    "italynorth",
    "spaincentral",
    "austriaeast",
];

impl Area {
    /// From a request's word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "us" => Some(Self::Us),
            "eu" => Some(Self::Eu),
            _ => None,
        }
    }

    /// As requests write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Eu => "eu",
        }
    }

    /// The area that a region lies in.
    #[must_use]
    pub fn of_region(region: &str) -> Option<Self> {
        let azure_us = || {
            let rest = ["eastus", "westus", "centralus", "northcentralus", "southcentralus", "westcentralus"];
            rest.iter().any(|name| {
                region.strip_prefix(name).is_some_and(|tail| tail.parse::<u8>().is_ok() || tail.is_empty())
            })
        };
        if NOT_EU.contains(&region) {
            return None;
        }
        match region {
            "us" => Some(Self::Us),
            "eu" => Some(Self::Eu),
            _ if region.starts_with("us-") || azure_us() => Some(Self::Us),
            _ if region.starts_with("eu-") || region.starts_with("europe-") || AZURE_EU.contains(&region) => {
                Some(Self::Eu)
            }
            _ => None,
        }
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
            ("eu-west-2", None),
            ("eu-central-2", None),
            ("europe-west2", None),
            ("europe-west6", None),
            ("uksouth", None),
            ("global", None),
            ("eastusx", None),
            ("ap-northeast-1", None),
            ("", None),
        ] {
            assert_eq!(Area::of_region(region), area, "{region}");
        }
    }
}
