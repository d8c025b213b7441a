//! Names of enum values as resources carry them: the same as in their JSON form.

use tidegate_types::resource::{
    AbortBilling, AuthScheme, CacheMode, CacheSharing, DialectName, Enforcement, HoldMode, KeyStatus,
    ModelKind, Operation, ResourceKind, Retention, SecretForm, Training, Unit, ZdrTier,
};
use tidegate_types::window::{Every, WeekStart};

/// A closed set of values with names.
pub(crate) trait Named: Copy + 'static {
    /// Every value.
    const ALL: &'static [Self];
    /// The value's name.
    fn name(self) -> &'static str;

    /// The value with this name.
    fn from_name(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.name() == text)
    }
}

impl Named for ResourceKind {
    const ALL: &'static [Self] = &Self::ALL;
    fn name(self) -> &'static str {
        self.as_str()
    }
}

impl Named for CacheMode {
    const ALL: &'static [Self] = &[Self::On, Self::Off];
    fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

impl Named for CacheSharing {
    const ALL: &'static [Self] = &[Self::Organization, Self::Team, Self::Key];
    fn name(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Team => "team",
            Self::Key => "key",
        }
    }
}

impl Named for WeekStart {
    const ALL: &'static [Self] = &[Self::Monday, Self::Sunday, Self::Saturday];
    fn name(self) -> &'static str {
        match self {
            Self::Monday => "monday",
            Self::Sunday => "sunday",
            Self::Saturday => "saturday",
        }
    }
}

impl Named for KeyStatus {
    const ALL: &'static [Self] = &[Self::Active, Self::Paused, Self::Revoked];
    fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Revoked => "revoked",
        }
    }
}

impl Named for SecretForm {
    const ALL: &'static [Self] = &[Self::ApiKey, Self::Aws, Self::GoogleServiceAccount];
    fn name(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Aws => "aws",
            Self::GoogleServiceAccount => "google_service_account",
        }
    }
}

impl Named for DialectName {
    const ALL: &'static [Self] = &Self::ALL;
    fn name(self) -> &'static str {
        self.as_str()
    }
}

impl Named for AuthScheme {
    const ALL: &'static [Self] = &[
        Self::Bearer,
        Self::XApiKey,
        Self::ApiKey,
        Self::GoogleApiKey,
        Self::GoogleServiceAccount,
        Self::AwsSigV4,
        Self::None,
    ];
    fn name(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::XApiKey => "x_api_key",
            Self::ApiKey => "api_key",
            Self::GoogleApiKey => "google_api_key",
            Self::GoogleServiceAccount => "google_service_account",
            Self::AwsSigV4 => "aws_sig_v4",
            Self::None => "none",
        }
    }
}

impl Named for AbortBilling {
    const ALL: &'static [Self] = &[Self::Stops, Self::Continues];
    fn name(self) -> &'static str {
        match self {
            Self::Stops => "stops",
            Self::Continues => "continues",
        }
    }
}

impl Named for ModelKind {
    const ALL: &'static [Self] = &[
        Self::Language,
        Self::Embedding,
        Self::Image,
        Self::Speech,
        Self::Transcription,
        Self::Reranking,
        Self::Video,
    ];
    fn name(self) -> &'static str {
        self.as_str()
    }
}

impl Named for Operation {
    const ALL: &'static [Self] = &[
        Self::Language,
        Self::CountTokens,
        Self::Embedding,
        Self::Image,
        Self::Speech,
        Self::Transcription,
        Self::Reranking,
        Self::Video,
    ];
    fn name(self) -> &'static str {
        self.as_str()
    }
}

impl Named for Unit {
    const ALL: &'static [Self] = &Self::ALL;
    fn name(self) -> &'static str {
        self.as_str()
    }
}

impl Named for Retention {
    const ALL: &'static [Self] = &[Self::None, Self::SafetyOnly, Self::Retains];
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SafetyOnly => "safety_only",
            Self::Retains => "retains",
        }
    }
}

impl Named for Training {
    const ALL: &'static [Self] = &[Self::Never, Self::May];
    fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::May => "may",
        }
    }
}

impl Named for ZdrTier {
    const ALL: &'static [Self] = &[Self::None, Self::NoTraining, Self::ZdrWithSafetyRetention, Self::Zdr];
    fn name(self) -> &'static str {
        self.as_str()
    }
}

impl Named for Every {
    const ALL: &'static [Self] =
        &[Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month, Self::Quarter, Self::Year];
    fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }
}

impl Named for Enforcement {
    const ALL: &'static [Self] = &[Self::Hard, Self::Soft];
    fn name(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
        }
    }
}

impl Named for HoldMode {
    const ALL: &'static [Self] = &[Self::Strict, Self::Expected];
    fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Expected => "expected",
        }
    }
}
