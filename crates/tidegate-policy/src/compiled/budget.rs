//! A budget: limit, windows, selector.

use std::sync::Arc;

use tidegate_types::resource::{
    Budget as Source, Enforcement, HoldMode, LimitAt, Past, Raise, Scope, limit_at,
};
use tidegate_types::window::{True, Window, WindowSpec};
use tidegate_types::{BudgetId, NanoUsd, Timestamp};

use super::{Piece, text};
use crate::reason::Reason;

const FOR_EVER: WindowSpec = WindowSpec::Lifetime { lifetime: True };

/// A budget as calls meet it.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Identity.
    pub id: BudgetId,
    /// Name for people.
    pub name: Arc<str>,
    limit: NanoUsd,
    raises: Box<[Raise]>,
    past: Option<Past>,
    n: u64,
    /// Its windows.
    pub window: WindowSpec,
    /// Which calls it covers.
    pub scope: Scope,
    /// Calls that do not fit are refused.
    pub hard: bool,
    /// How much is held.
    pub mode: HoldMode,
    /// Whether calls over the organization's own credentials count.
    pub count_byok: bool,
    pub(crate) closed: bool,
}

impl Budget {
    /// The limit of one of its windows at the time `at`, raises and past spend included.
    #[must_use]
    pub fn limit_at(&self, window: Window, at: Timestamp) -> LimitAt {
        limit_at(self.limit, &self.raises, self.past, window.start, at, self.n)
    }
}

impl Piece for Budget {
    type Source = Source;
    const STAYS: bool = true;
    const MOST: usize = 200_000;

    fn faults(source: &Source) -> Vec<Reason> {
        let mut faults = Vec::new();
        text::name("name", &source.name, &mut faults);
        if source.limit < NanoUsd::ZERO {
            faults.push(Reason::new("limit", "is negative"));
        }
        let raises = &source.raises;
        if raises.len() > Source::MOST_RAISES || raises.iter().any(|raise| raise.amount <= NanoUsd::ZERO) {
            faults.push(Reason::new("raises", "must be at most 15, each more than 0"));
        }
        if source.past.is_some_and(|past| past.amount < NanoUsd::ZERO) {
            faults.push(Reason::new("past", "is negative"));
        }
        if let WindowSpec::Fixed { start, end } = source.window
            && end <= start
        {
            faults.push(Reason::new("window", "ends before it starts"));
        }
        let alerts = &source.alert_at_percent;
        let ascending = alerts.iter().zip(alerts.iter().skip(1)).all(|(one, next)| one < next);
        if !ascending || alerts.first() == Some(&0) {
            faults.push(Reason::new("alert_at_percent", "must ascend from at least 1"));
        }
        faults
    }

    fn weight(source: &Source) -> usize {
        source.name.len() + source.alert_at_percent.len() + source.raises.len() * size_of::<Raise>()
    }

    fn build(source: Source, n: u64) -> Self {
        Self {
            id: source.id,
            name: source.name.into(),
            limit: source.limit,
            // Reasons are for people.
            raises: source.raises.into_iter().map(|raise| Raise { reason: String::new(), ..raise }).collect(),
            past: source.past,
            n,
            window: source.window,
            scope: source.scope,
            hard: source.enforcement == Enforcement::Hard,
            mode: source.mode,
            count_byok: source.count_byok,
            closed: false,
        }
    }

    fn close(self) -> Self {
        // A closed budget refuses at all times and whoever pays.
        Self { closed: true, window: FOR_EVER, count_byok: true, ..self }
    }

    /// A tightening of unknown scope closes the organization.
    fn closed_blindly() -> Option<Self> {
        Some(Self {
            id: BudgetId::from_u128(0),
            name: "unreadable budget".into(),
            limit: NanoUsd::ZERO,
            raises: Box::default(),
            past: None,
            n: 0,
            window: FOR_EVER,
            scope: Scope::default(),
            hard: true,
            mode: HoldMode::Strict,
            count_byok: true,
            closed: true,
        })
    }
}
