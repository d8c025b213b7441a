//! Budgets.

use tidegate_types::resource::{Budget, Past, Raise, Scope, Selector};
use tidegate_types::window::{Every, True, WindowSpec};
use tidegate_types::{NanoUsd, Timestamp};

use crate::config as wire;
use crate::error::{ConvertError, Problem};
use crate::fields::{Fields, hash};
use crate::names::Named;

impl From<&Budget> for wire::Budget {
    fn from(r: &Budget) -> Self {
        Self {
            organization_id: r.organization_id.to_string(),
            id: r.id.to_string(),
            name: r.name.clone(),
            limit_nano_usd: r.limit.get(),
            window: Some(r.window.into()),
            scope: Some((&r.scope).into()),
            enforcement: r.enforcement.name().to_owned(),
            mode: r.mode.name().to_owned(),
            count_byok: r.count_byok,
            alert_at_percent: r.alert_at_percent.iter().map(|percent| u32::from(*percent)).collect(),
            raises: r.raises.iter().map(Into::into).collect(),
            past: r.past.map(|past| wire::BudgetPast {
                window_start_micros: past.window_start.as_micros(),
                amount_nano_usd: past.amount.get(),
            }),
        }
    }
}

impl TryFrom<wire::Budget> for Budget {
    type Error = ConvertError;

    fn try_from(m: wire::Budget) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("Budget");
        let percent = |percent: &u32| AT.number("alert_at_percent", *percent);
        Ok(Self {
            organization_id: AT.parse("organization_id", &m.organization_id)?,
            id: AT.parse("id", &m.id)?,
            name: m.name,
            limit: NanoUsd::new(m.limit_nano_usd),
            window: AT.required("window", m.window)?.try_into()?,
            scope: AT.required("scope", m.scope)?.try_into()?,
            enforcement: AT.named("enforcement", &m.enforcement)?,
            mode: AT.named("mode", &m.mode)?,
            count_byok: m.count_byok,
            alert_at_percent: m.alert_at_percent.iter().map(percent).collect::<Result<_, _>>()?,
            raises: m.raises.into_iter().map(Into::into).collect(),
            past: m.past.map(|past| Past {
                window_start: Timestamp::from_micros(past.window_start_micros),
                amount: NanoUsd::new(past.amount_nano_usd),
            }),
        })
    }
}

impl From<&Raise> for wire::BudgetRaise {
    fn from(r: &Raise) -> Self {
        Self { amount_nano_usd: r.amount.get(), until_micros: r.until.as_micros(), reason: r.reason.clone() }
    }
}

impl From<wire::BudgetRaise> for Raise {
    fn from(m: wire::BudgetRaise) -> Self {
        Self {
            amount: NanoUsd::new(m.amount_nano_usd),
            until: Timestamp::from_micros(m.until_micros),
            reason: m.reason,
        }
    }
}

impl From<WindowSpec> for wire::WindowSpec {
    fn from(r: WindowSpec) -> Self {
        let named = |every: &str| Self { every: every.to_owned(), start_micros: None, end_micros: None };
        match r {
            WindowSpec::Recurring { every } => named(every.name()),
            WindowSpec::Lifetime { .. } => named("lifetime"),
            WindowSpec::Fixed { start, end } => Self {
                start_micros: Some(start.as_micros()),
                end_micros: Some(end.as_micros()),
                ..named("fixed")
            },
        }
    }
}

impl TryFrom<wire::WindowSpec> for WindowSpec {
    type Error = ConvertError;

    fn try_from(m: wire::WindowSpec) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("WindowSpec");
        match (m.every.as_str(), m.start_micros, m.end_micros) {
            ("fixed", Some(start), Some(end)) => {
                Ok(Self::Fixed { start: Timestamp::from_micros(start), end: Timestamp::from_micros(end) })
            }
            ("fixed", None, _) => AT.wrong("start_micros", Problem::Missing),
            ("fixed", _, None) => AT.wrong("end_micros", Problem::Missing),
            (_, Some(_), _) => AT.wrong("start_micros", Problem::Contradiction),
            (_, _, Some(_)) => AT.wrong("end_micros", Problem::Contradiction),
            ("lifetime", None, None) => Ok(Self::Lifetime { lifetime: True }),
            (every, None, None) => Ok(Self::Recurring { every: AT.named::<Every>("every", every)? }),
        }
    }
}

impl From<&Scope> for wire::Scope {
    fn from(r: &Scope) -> Self {
        let selector = |selector: &Selector| hash(&selector.hash);
        Self {
            team: r.team.map(|id| id.to_string()),
            key: r.key.map(|id| id.to_string()),
            end_user: r.end_user.as_ref().map(selector),
            tag: r.tag.as_ref().map(selector),
            model: r.model.as_ref().map(ToString::to_string),
            provider: r.provider.as_ref().map(ToString::to_string),
        }
    }
}

impl TryFrom<wire::Scope> for Scope {
    type Error = ConvertError;

    fn try_from(m: wire::Scope) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("Scope");
        let selector = |hash| Selector { hash };
        Ok(Self {
            team: AT.parse_opt("team", m.team.as_deref())?,
            key: AT.parse_opt("key", m.key.as_deref())?,
            end_user: AT.label_opt("end_user", m.end_user.as_deref())?.map(selector),
            tag: AT.label_opt("tag", m.tag.as_deref())?.map(selector),
            model: AT.parse_opt("model", m.model.as_deref())?,
            provider: AT.parse_opt("provider", m.provider.as_deref())?,
        })
    }
}
