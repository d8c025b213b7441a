//! Names of providers and models.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SlugError(&'static str);

/// A provider's name: `^[a-z0-9][a-z0-9-]{0,62}$`, for example `openai`, `bedrock`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderSlug(Arc<str>);

/// A model's name `creator/name`, for example `openai/gpt-5`.
/// Creator: as a provider slug. Name: 1 to 128 of `[A-Za-z0-9._:@-]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelName(Arc<str>);

fn is_slug(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes[0] != b'-'
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

impl ProviderSlug {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ModelName {
    /// The whole text, `creator/name`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The whole text, shared and not copied.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The part before the slash.
    #[must_use]
    pub fn creator(&self) -> &str {
        self.0.split_once('/').map_or("", |(creator, _)| creator)
    }

    /// The part after the slash.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(_, name)| name)
    }
}

impl FromStr for ProviderSlug {
    type Err = SlugError;
    fn from_str(text: &str) -> Result<Self, SlugError> {
        if is_slug(text) {
            Ok(Self(text.into()))
        } else {
            Err(SlugError("not a provider slug: 1 to 63 of a-z, 0-9 and -"))
        }
    }
}

impl FromStr for ModelName {
    type Err = SlugError;
    fn from_str(text: &str) -> Result<Self, SlugError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:@-".contains(&b);
        match text.split_once('/') {
            Some((creator, name))
                if is_slug(creator) && (1..=128).contains(&name.len()) && name.bytes().all(allowed) =>
            {
                Ok(Self(text.into()))
            }
            _ => Err(SlugError("not a model name of the form creator/name")),
        }
    }
}

impl fmt::Display for ProviderSlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for ProviderSlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ProviderSlug {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
impl<'de> Deserialize<'de> for ProviderSlug {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
impl Serialize for ModelName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
impl<'de> Deserialize<'de> for ModelName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
