//! Rules of the response cache, as policies and routes carry them.

use tidegate_types::resource::CacheRules;

use crate::config as wire;
use crate::error::ConvertError;
use crate::fields::Fields;
use crate::names::Named;

/// Absent where nothing is said.
pub(super) fn written(rules: &CacheRules) -> Option<wire::CacheRules> {
    (!rules.is_empty()).then(|| wire::CacheRules {
        mode: rules.mode.map(|mode| mode.name().to_owned()),
        ttl_seconds: rules.ttl_seconds,
        sharing: rules.sharing.map(|sharing| sharing.name().to_owned()),
        charge_percent: rules.charge_percent.map(u32::from),
        max_entry_bytes: rules.max_entry_bytes,
    })
}

pub(super) fn read(message: Option<wire::CacheRules>) -> Result<CacheRules, ConvertError> {
    const AT: Fields = Fields("CacheRules");
    let Some(m) = message else { return Ok(CacheRules::default()) };
    Ok(CacheRules {
        mode: m.mode.map(|mode| AT.named("mode", &mode)).transpose()?,
        ttl_seconds: m.ttl_seconds,
        sharing: m.sharing.map(|sharing| AT.named("sharing", &sharing)).transpose()?,
        charge_percent: m.charge_percent.map(|n| AT.number("charge_percent", n)).transpose()?,
        max_entry_bytes: m.max_entry_bytes,
    })
}
