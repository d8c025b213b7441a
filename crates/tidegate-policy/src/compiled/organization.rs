//! An organization: its calendar, its label key, whether it is paused.

use std::sync::Arc;

use tidegate_types::resource::Organization as Source;
use tidegate_types::window::Calendar;
use tidegate_types::{OrganizationId, Timestamp};

use super::{Piece, text};
use crate::calendar::OrgCalendar;
use crate::reason::Reason;

/// Longest time to serve without the control plane where an organization asks for none: 72 h.
const MAX_STALENESS_SECONDS: u32 = 72 * 3600;

/// An organization as calls meet it.
#[derive(Debug, Clone)]
pub struct Organization {
    /// Identity.
    pub id: OrganizationId,
    /// Unique name in the installation.
    pub slug: Arc<str>,
    /// Name for people.
    pub name: Arc<str>,
    /// Every key of it is refused.
    pub paused: bool,
    /// Longest time in seconds to serve without the control plane; `None`: 72 h.
    pub max_staleness_seconds: Option<u32>,
    /// Key of the keyed hashes of its labels.
    pub label_key: [u8; 32],
    pub(crate) calendar: Arc<OrgCalendar>,
    pub(crate) closed: bool,
}

impl Organization {
    /// Whether a configuration that was right at `confirmed` is too old at `now`.
    pub(crate) fn is_stale(&self, confirmed: Timestamp, now: Timestamp) -> bool {
        let most = i64::from(self.max_staleness_seconds.unwrap_or(MAX_STALENESS_SECONDS)) * 1_000_000;
        now.as_micros().saturating_sub(confirmed.as_micros()) > most
    }
}

impl Piece for Organization {
    type Source = Source;
    const MOST: usize = 1;

    fn faults(source: &Source) -> Vec<Reason> {
        let mut faults = Vec::new();
        text::name("name", &source.name, &mut faults);
        text::token("slug", &source.slug, &mut faults);
        if let Err(error) = Calendar::new(&source.time_zone, source.week_start) {
            faults.push(Reason::new("time_zone", error.to_string()));
        }
        if source.max_staleness_seconds == Some(0) {
            faults.push(Reason::new("max_staleness_seconds", "must be at least 1"));
        }
        faults
    }

    fn weight(source: &Source) -> usize {
        source.slug.len() + source.name.len() + source.time_zone.len()
    }

    fn build(source: Source, _n: u64) -> Self {
        let calendar =
            Calendar::new(&source.time_zone, source.week_start).unwrap_or_else(|_| Calendar::utc());
        Self {
            id: source.id,
            slug: source.slug.into(),
            name: source.name.into(),
            paused: source.paused,
            max_staleness_seconds: source.max_staleness_seconds,
            label_key: source.label_key,
            calendar: Arc::new(OrgCalendar::new(calendar)),
            closed: false,
        }
    }

    fn close(self) -> Self {
        Self { closed: true, ..self }
    }
}
