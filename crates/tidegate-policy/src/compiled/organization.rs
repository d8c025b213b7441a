//! An organization: its calendar, its label key, whether it is paused.

use std::collections::HashSet;
use std::sync::Arc;

use tidegate_types::resource::{BoundIssuer, KeyLimits, ModelLimits, Organization as Source};
use tidegate_types::window::Calendar;
use tidegate_types::{OrganizationId, Timestamp};

use super::{Piece, text, trust};
use crate::calendar::OrgCalendar;
use crate::reason::Reason;

/// Longest time to serve without the control plane where an organization asks for none: 72 h.
const MAX_STALENESS_SECONDS: u32 = 72 * 3600;

/// Most models with limits of their own.
const MOST_MODEL_LIMITS: usize = 256;

/// Most issuers that are bound to it, and most audiences of one.
const MOST_ISSUERS: usize = 64;

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
    /// How often its response cache was purged.
    pub cache_purges: u64,
    /// Rate limits shared by all of its keys.
    pub limits: KeyLimits,
    /// Rate limits of single models.
    pub model_limits: Box<[ModelLimits]>,
    /// Issuers whose tokens are its callers where they name no organization.
    pub(crate) bound_issuers: Box<[BoundIssuer]>,
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
        text::at_most("model_limits", source.model_limits.len(), MOST_MODEL_LIMITS, &mut faults);
        let models: HashSet<_> = source.model_limits.iter().map(|one| one.model.as_str()).collect();
        if models.len() < source.model_limits.len() {
            faults.push(Reason::new("model_limits", "names a model twice"));
        }
        bound_issuers(&source.bound_issuers, &mut faults);
        faults
    }

    fn weight(source: &Source) -> usize {
        let models =
            source.model_limits.iter().map(|one| size_of::<ModelLimits>() + one.model.as_str().len());
        let issuers = source.bound_issuers.iter().map(|bound| {
            size_of::<BoundIssuer>()
                + bound.issuer.len()
                + bound.audiences.iter().map(String::len).sum::<usize>()
        });
        let names = source.slug.len() + source.name.len() + source.time_zone.len();
        names + models.sum::<usize>() + issuers.sum::<usize>()
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
            limits: source.limits,
            model_limits: source.model_limits.into(),
            bound_issuers: source.bound_issuers.into(),
            cache_purges: source.cache_purges,
            calendar: Arc::new(OrgCalendar::new(calendar)),
            closed: false,
        }
    }

    fn close(self) -> Self {
        Self { closed: true, ..self }
    }
}

fn bound_issuers(bound: &[BoundIssuer], faults: &mut Vec<Reason>) {
    const FIELD: &str = "bound_issuers";
    text::at_most(FIELD, bound.len(), MOST_ISSUERS, faults);
    for (place, one) in bound.iter().enumerate() {
        trust::issuer(FIELD, &one.issuer, faults);
        text::at_most(FIELD, one.audiences.len(), MOST_ISSUERS, faults);
        one.audiences.iter().for_each(|audience| text::token(FIELD, audience, faults));
        if bound.iter().take(place).any(|earlier| earlier.issuer == one.issuer) {
            faults.push(Reason::new(FIELD, "names an issuer twice"));
        }
    }
}
