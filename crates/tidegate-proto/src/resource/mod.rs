//! Resources of any kind, to and from the wire; each kind is converted in a file of its own.
//!
//! From the wire everything is checked; to the wire nothing can fail.

mod areas;
mod budget;
mod cache;
mod catalogue;
mod credential;
mod key;
mod organization;
mod policy;
mod route;
mod trust;

use tidegate_types::resource::{Resource, ResourceKey, unknown_features};

use crate::config::{self as wire, resource::Resource as Kind};
use crate::error::{ConvertError, Problem};
use crate::fields::Fields;

const AT: Fields = Fields("Resource");

impl From<&Resource> for wire::Resource {
    fn from(resource: &Resource) -> Self {
        let kind = match resource {
            Resource::Organization(r) => Kind::Organization(r.into()),
            Resource::Team(r) => Kind::Team(r.into()),
            Resource::Key(r) => Kind::Key(r.into()),
            Resource::Credential(r) => Kind::Credential(r.into()),
            Resource::Provider(r) => Kind::Provider(r.into()),
            Resource::Model(r) => Kind::Model(r.into()),
            Resource::Offering(r) => Kind::Offering(r.into()),
            Resource::Route(r) => Kind::Route(r.into()),
            Resource::Policy(r) => Kind::Policy(r.into()),
            Resource::Budget(r) => Kind::Budget(r.into()),
            Resource::BudgetEpoch(r) => Kind::BudgetEpoch(r.into()),
            Resource::Pool(r) => Kind::Pool(r.into()),
            Resource::TrustRule(r) => Kind::TrustRule(r.into()),
        };
        let requires = resource.requires().iter().map(|feature| (*feature).to_owned()).collect();
        Self { requires, resource: Some(kind) }
    }
}

impl TryFrom<wire::Resource> for Resource {
    type Error = ConvertError;

    fn try_from(message: wire::Resource) -> Result<Self, ConvertError> {
        if unknown_features(&message.requires).next().is_some() {
            return AT.wrong("requires", Problem::UnsupportedFeature);
        }
        // A kind that this version does not know arrives as an absent one.
        Ok(match AT.required("resource", message.resource)? {
            Kind::Organization(m) => Self::Organization(m.try_into()?),
            Kind::Team(m) => Self::Team(m.try_into()?),
            Kind::Key(m) => Self::Key(m.try_into()?),
            Kind::Credential(m) => Self::Credential(m.try_into()?),
            Kind::Provider(m) => Self::Provider(m.try_into()?),
            Kind::Model(m) => Self::Model(m.try_into()?),
            Kind::Offering(m) => Self::Offering(m.try_into()?),
            Kind::Route(m) => Self::Route(m.try_into()?),
            Kind::Policy(m) => Self::Policy(m.try_into()?),
            Kind::Budget(m) => Self::Budget(m.try_into()?),
            Kind::BudgetEpoch(m) => Self::BudgetEpoch(m.try_into()?),
            Kind::Pool(m) => Self::Pool(m.try_into()?),
            Kind::TrustRule(m) => Self::TrustRule(m.try_into()?),
        })
    }
}

impl From<&ResourceKey> for wire::ResourceKey {
    fn from(key: &ResourceKey) -> Self {
        Self {
            organization_id: key.organization_id.to_string(),
            kind: key.kind.as_str().to_owned(),
            id: key.id.clone(),
        }
    }
}

impl TryFrom<wire::ResourceKey> for ResourceKey {
    type Error = ConvertError;

    fn try_from(message: wire::ResourceKey) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("ResourceKey");
        Ok(Self {
            organization_id: AT.parse("organization_id", &message.organization_id)?,
            kind: AT.named("kind", &message.kind)?,
            id: message.id,
        })
    }
}
