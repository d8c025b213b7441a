//! Providers, models, offerings and prices.

use tidegate_types::resource::{
    Capabilities, DataHandling, Model, Offering, PartHandling, Price, PriceTier, Provider, Quirks, UnitPrice,
};
use tidegate_types::{PicoUsd, Timestamp};

use crate::config as wire;
use crate::error::ConvertError;
use crate::fields::{Fields, micros};
use crate::names::Named;

impl From<&Provider> for wire::Provider {
    fn from(r: &Provider) -> Self {
        Self {
            organization_id: r.organization_id.to_string(),
            id: r.id.to_string(),
            slug: r.slug.to_string(),
            name: r.name.clone(),
            base_url: r.base_url.clone(),
            dialect: r.dialect.name().to_owned(),
            auth: r.auth.name().to_owned(),
            abort_billing: r.abort_billing.name().to_owned(),
            enabled: r.enabled,
            headquarters: r.headquarters.clone(),
            simulated: r.simulated,
            also: r.also.iter().map(|dialect| dialect.name().to_owned()).collect(),
            quirks: Some((&r.quirks).into()),
        }
    }
}

impl TryFrom<wire::Provider> for Provider {
    type Error = ConvertError;

    fn try_from(m: wire::Provider) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("Provider");
        Ok(Self {
            organization_id: AT.parse("organization_id", &m.organization_id)?,
            id: AT.parse("id", &m.id)?,
            slug: AT.parse("slug", &m.slug)?,
            name: m.name,
            base_url: m.base_url,
            dialect: AT.named("dialect", &m.dialect)?,
            auth: AT.named("auth", &m.auth)?,
            abort_billing: AT.named("abort_billing", &m.abort_billing)?,
            enabled: m.enabled,
            headquarters: m.headquarters,
            simulated: m.simulated,
            also: m.also.iter().map(|name| AT.named("also", name)).collect::<Result<_, _>>()?,
            quirks: m.quirks.map(Into::into).unwrap_or_default(),
        })
    }
}

impl From<&Quirks> for wire::Quirks {
    fn from(r: &Quirks) -> Self {
        Self {
            max_completion_tokens: r.max_completion_tokens,
            no_stream_options: r.no_stream_options,
            paths: r.paths.clone(),
            query: r.query.clone(),
            drops: r.drops.clone(),
            refuses: r.refuses.clone(),
        }
    }
}

impl From<wire::Quirks> for Quirks {
    fn from(m: wire::Quirks) -> Self {
        let wire::Quirks { max_completion_tokens, no_stream_options, paths, query, drops, refuses } = m;
        Self { max_completion_tokens, no_stream_options, paths, query, drops, refuses }
    }
}

impl From<&Model> for wire::Model {
    fn from(r: &Model) -> Self {
        let Capabilities { tools, vision, reasoning, structured_output } = r.capabilities;
        Self {
            organization_id: r.organization_id.to_string(),
            id: r.id.to_string(),
            name: r.name.to_string(),
            display_name: r.display_name.clone(),
            aliases: r.aliases.clone(),
            kind: r.kind.name().to_owned(),
            context_window: r.context_window,
            max_output_tokens: r.max_output_tokens,
            capabilities: Some(wire::Capabilities { tools, vision, reasoning, structured_output }),
            released_at_micros: micros(r.released_at),
        }
    }
}

impl TryFrom<wire::Model> for Model {
    type Error = ConvertError;

    fn try_from(m: wire::Model) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("Model");
        let wire::Capabilities { tools, vision, reasoning, structured_output } =
            AT.required("capabilities", m.capabilities)?;
        Ok(Self {
            organization_id: AT.parse("organization_id", &m.organization_id)?,
            id: AT.parse("id", &m.id)?,
            name: AT.parse("name", &m.name)?,
            display_name: m.display_name,
            aliases: m.aliases,
            kind: AT.named("kind", &m.kind)?,
            context_window: m.context_window,
            max_output_tokens: m.max_output_tokens,
            capabilities: Capabilities { tools, vision, reasoning, structured_output },
            released_at: m.released_at_micros.map(Timestamp::from_micros),
        })
    }
}

impl From<&Offering> for wire::Offering {
    fn from(r: &Offering) -> Self {
        Self {
            organization_id: r.organization_id.to_string(),
            id: r.id.to_string(),
            model: r.model.to_string(),
            provider: r.provider.to_string(),
            upstream_name: r.upstream_name.clone(),
            max_output_tokens: r.max_output_tokens,
            enabled: r.enabled,
            prices: r.prices.iter().map(Into::into).collect(),
            data_handling: r.data_handling.as_ref().map(Into::into),
            locations: r.locations.iter().map(Into::into).collect(),
            output_visible: r.output_visible,
            notes: r.notes.clone(),
        }
    }
}

impl TryFrom<wire::Offering> for Offering {
    type Error = ConvertError;

    fn try_from(m: wire::Offering) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("Offering");
        Ok(Self {
            organization_id: AT.parse("organization_id", &m.organization_id)?,
            id: AT.parse("id", &m.id)?,
            model: AT.parse("model", &m.model)?,
            provider: AT.parse("provider", &m.provider)?,
            upstream_name: m.upstream_name,
            max_output_tokens: m.max_output_tokens,
            enabled: m.enabled,
            prices: m.prices.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            data_handling: m.data_handling.map(TryInto::try_into).transpose()?,
            locations: m.locations.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            output_visible: m.output_visible,
            notes: m.notes,
        })
    }
}

impl From<&Price> for wire::Price {
    fn from(r: &Price) -> Self {
        Self {
            id: r.id.to_string(),
            tiers: r.tiers.iter().map(Into::into).collect(),
            valid_from_micros: r.valid_from.as_micros(),
            recorded_at_micros: r.recorded_at.as_micros(),
            source: r.source.clone(),
        }
    }
}

impl TryFrom<wire::Price> for Price {
    type Error = ConvertError;

    fn try_from(m: wire::Price) -> Result<Self, ConvertError> {
        Ok(Self {
            id: Fields("Price").parse("id", &m.id)?,
            tiers: m.tiers.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            valid_from: Timestamp::from_micros(m.valid_from_micros),
            recorded_at: Timestamp::from_micros(m.recorded_at_micros),
            source: m.source,
        })
    }
}

impl From<&PriceTier> for wire::PriceTier {
    fn from(r: &PriceTier) -> Self {
        let price =
            |p: &UnitPrice| wire::UnitPrice { unit: p.unit.name().to_owned(), pico_usd: p.price.get() };
        Self { from_input_tokens: r.from_input_tokens, prices: r.prices.iter().map(price).collect() }
    }
}

impl TryFrom<wire::PriceTier> for PriceTier {
    type Error = ConvertError;

    fn try_from(m: wire::PriceTier) -> Result<Self, ConvertError> {
        let price = |p: &wire::UnitPrice| {
            let unit = Fields("UnitPrice").named("unit", &p.unit)?;
            Ok(UnitPrice { unit, price: PicoUsd::new(p.pico_usd) })
        };
        let prices = m.prices.iter().map(price).collect::<Result<_, ConvertError>>()?;
        Ok(Self { from_input_tokens: m.from_input_tokens, prices })
    }
}

impl From<&DataHandling> for wire::DataHandling {
    fn from(r: &DataHandling) -> Self {
        Self {
            retention: r.retention.name().to_owned(),
            training: r.training.name().to_owned(),
            source: r.source.clone(),
            read_at_micros: r.read_at.as_micros(),
            expires_at_micros: r.expires_at.as_micros(),
            also: r.also.iter().map(Into::into).collect(),
        }
    }
}

impl From<&PartHandling> for wire::PartHandling {
    fn from(r: &PartHandling) -> Self {
        Self {
            operation: r.operation.map(|operation| operation.as_str().to_owned()),
            feature: r.feature.clone(),
            region: r.region.clone(),
            retention: r.retention.name().to_owned(),
            training: r.training.name().to_owned(),
            source: r.source.clone(),
            read_at_micros: r.read_at.as_micros(),
            expires_at_micros: r.expires_at.as_micros(),
        }
    }
}

impl TryFrom<wire::PartHandling> for PartHandling {
    type Error = ConvertError;

    fn try_from(m: wire::PartHandling) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("PartHandling");
        Ok(Self {
            operation: m.operation.map(|name| AT.named("operation", &name)).transpose()?,
            feature: m.feature,
            region: m.region,
            retention: AT.named("retention", &m.retention)?,
            training: AT.named("training", &m.training)?,
            source: m.source,
            read_at: Timestamp::from_micros(m.read_at_micros),
            expires_at: Timestamp::from_micros(m.expires_at_micros),
        })
    }
}

impl TryFrom<wire::DataHandling> for DataHandling {
    type Error = ConvertError;

    fn try_from(m: wire::DataHandling) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("DataHandling");
        Ok(Self {
            retention: AT.named("retention", &m.retention)?,
            training: AT.named("training", &m.training)?,
            source: m.source,
            read_at: Timestamp::from_micros(m.read_at_micros),
            expires_at: Timestamp::from_micros(m.expires_at_micros),
            also: m.also.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}
