//! The short form of a plan, to and from the wire.

use tidegate_types::usage::{
    CallShare, FilterName, PlanRecord, PlannedCandidate, PlannedRole, RemovedCandidate, Standing,
};

use crate::error::{ConvertError, Problem};
use crate::fields::{Fields, raw};
use crate::usage as wire;
use crate::usage_choices::{choice, credential_type, read_credential_type};

/// Number of a role, its weight or place, and the weights of all.
pub(crate) const fn role(role: PlannedRole) -> (u32, u32, u64) {
    match role {
        PlannedRole::Named => (0, 0, 0),
        PlannedRole::Drawn { weight, of } => (1, weight, of),
        PlannedRole::Undrawn => (2, 0, 0),
        PlannedRole::Fallback { number } => (3, number, 0),
        PlannedRole::Wished { number } => (4, number, 0),
    }
}

pub(crate) const fn standing(standing: Standing) -> u32 {
    match standing {
        Standing::Fine => 0,
        Standing::Degraded => 1,
        Standing::Down => 2,
        Standing::Cooling => 3,
    }
}

impl From<&PlanRecord> for wire::PlanRecord {
    fn from(r: &PlanRecord) -> Self {
        Self {
            candidates: r.candidates.iter().map(Into::into).collect(),
            removed: r.removed.iter().map(Into::into).collect(),
            more_candidates: r.more_candidates,
            more_removed: r.more_removed,
        }
    }
}

impl TryFrom<&wire::PlanRecord> for PlanRecord {
    type Error = ConvertError;

    fn try_from(m: &wire::PlanRecord) -> Result<Self, ConvertError> {
        Ok(Self {
            candidates: m.candidates.iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            removed: m.removed.iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            more_candidates: m.more_candidates,
            more_removed: m.more_removed,
        })
    }
}

impl From<&PlannedCandidate> for wire::PlannedCandidate {
    fn from(r: &PlannedCandidate) -> Self {
        let (role, role_number, role_of) = role(r.role);
        Self {
            offering_id: raw(r.offering_id),
            credential_id: r.credential_id.map(raw),
            credential_type: credential_type(r.credential_type).into(),
            role,
            role_number,
            role_of,
            place: r.place.map(u32::from),
            standing: standing(r.standing),
            ejected: r.ejected,
            share_weight: r.share.map(|share| share.weight),
            share_of: r.share.map_or(0, |share| share.of),
            quota_tenths: r.quota_tenths.map(u32::from),
        }
    }
}

impl TryFrom<&wire::PlannedCandidate> for PlannedCandidate {
    type Error = ConvertError;

    fn try_from(m: &wire::PlannedCandidate) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("PlannedCandidate");
        Ok(Self {
            offering_id: AT.raw_id("offering_id", &m.offering_id)?,
            credential_id: AT.raw_id_opt("credential_id", m.credential_id.as_deref())?,
            credential_type: choice(AT, "credential_type", m.credential_type, read_credential_type)?,
            role: match m.role {
                0 => PlannedRole::Named,
                1 => PlannedRole::Drawn { weight: m.role_number, of: m.role_of },
                2 => PlannedRole::Undrawn,
                3 => PlannedRole::Fallback { number: m.role_number },
                4 => PlannedRole::Wished { number: m.role_number },
                _ => return AT.wrong("role", Problem::UnknownName),
            },
            place: m.place.map(|place| AT.number("place", place)).transpose()?,
            standing: match m.standing {
                0 => Standing::Fine,
                1 => Standing::Degraded,
                2 => Standing::Down,
                3 => Standing::Cooling,
                _ => return AT.wrong("standing", Problem::UnknownName),
            },
            ejected: m.ejected,
            share: m.share_weight.map(|weight| CallShare { weight, of: m.share_of }),
            quota_tenths: m.quota_tenths.map(|tenths| AT.number("quota_tenths", tenths)).transpose()?,
        })
    }
}

impl From<&RemovedCandidate> for wire::RemovedCandidate {
    fn from(r: &RemovedCandidate) -> Self {
        Self {
            offering_id: r.offering_id.map(raw),
            model_id: r.model_id.map(raw),
            credential_id: r.credential_id.map(raw),
            filter: r.filter as u32,
        }
    }
}

impl TryFrom<&wire::RemovedCandidate> for RemovedCandidate {
    type Error = ConvertError;

    fn try_from(m: &wire::RemovedCandidate) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("RemovedCandidate");
        Ok(Self {
            offering_id: AT.raw_id_opt("offering_id", m.offering_id.as_deref())?,
            model_id: AT.raw_id_opt("model_id", m.model_id.as_deref())?,
            credential_id: AT.raw_id_opt("credential_id", m.credential_id.as_deref())?,
            filter: FilterName::from_number(m.filter),
        })
    }
}
