//! Budget windows: half-open spans of time, aligned to the calendar of an organization's time zone.

use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// How often a budget starts afresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// Each minute.
    Minute,
    /// Each hour.
    Hour,
    /// Each day at midnight.
    Day,
    /// Each week at midnight of the organization's first day of the week.
    Week,
    /// Each month at midnight of the first.
    Month,
    /// Each quarter of the calendar year.
    Quarter,
    /// Each year at midnight of 1 January.
    Year,
}

/// What a budget's limit covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WindowSpec {
    /// Starts afresh on the calendar.
    Recurring {
        /// How often.
        every: Every,
    },
    /// One fixed term, `[start, end)`.
    Fixed {
        /// First instant.
        start: Timestamp,
        /// First instant after the term.
        end: Timestamp,
    },
    /// For ever: `{"lifetime": true}`.
    Lifetime {
        /// Always true.
        lifetime: True,
    },
}

/// The literal `true`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct True;

impl Serialize for True {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(true)
    }
}
impl<'de> Deserialize<'de> for True {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bool::deserialize(deserializer)?
            .then_some(Self)
            .ok_or_else(|| serde::de::Error::custom("must be true"))
    }
}

/// A span of time `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// First instant.
    pub start: Timestamp,
    /// First instant after the window.
    pub end: Timestamp,
}

/// First day of an organization's week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum WeekStart {
    /// ISO 8601 weeks.
    #[default]
    Monday,
    /// Weeks that begin on Sunday.
    Sunday,
    /// Weeks that begin on Saturday.
    Saturday,
}

/// An organization's calendar: time zone and first day of the week.
#[derive(Debug, Clone)]
pub struct Calendar {
    zone: TimeZone,
    week_start: WeekStart,
}

/// The time zone's name is not in the IANA database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown time zone; use an IANA name such as Europe/Berlin")]
pub struct UnknownTimeZone;

impl Calendar {
    /// The calendar of an IANA time zone (the database is compiled in).
    ///
    /// # Errors
    /// [`UnknownTimeZone`] when the database has no such name.
    pub fn new(zone: &str, week_start: WeekStart) -> Result<Self, UnknownTimeZone> {
        let zone = TimeZone::get(zone).map_err(|_| UnknownTimeZone)?;
        Ok(Self { zone, week_start })
    }

    /// UTC with weeks from Monday.
    #[must_use]
    pub const fn utc() -> Self {
        Self { zone: TimeZone::UTC, week_start: WeekStart::Monday }
    }

    /// The window of `spec` that contains `at`; `None` outside a fixed term.
    #[must_use]
    pub fn window(&self, spec: WindowSpec, at: Timestamp) -> Option<Window> {
        match spec {
            WindowSpec::Recurring { every } => self.recurring(every, at),
            WindowSpec::Fixed { start, end } => (start <= at && at < end).then_some(Window { start, end }),
            WindowSpec::Lifetime { .. } => {
                Some(Window { start: Timestamp::from_micros(0), end: Timestamp::from_micros(i64::MAX) })
            }
        }
    }

    fn recurring(&self, every: Every, at: Timestamp) -> Option<Window> {
        if every == Every::Minute {
            return Some(fixed_length(MINUTE, 0, at));
        }
        let instant = jiff::Timestamp::from_microsecond(at.as_micros()).ok()?;
        if every == Every::Hour {
            return Some(self.hour(instant, at));
        }
        let local = instant.to_zoned(self.zone.clone()).datetime();
        let (start, end) = self.civil_bounds(every, local)?;
        let window = Window { start: self.instant(start)?, end: self.instant(end)? };
        Some(window)
    }

    /// The hour on the zone's clock, as India's begins at half past of the world's. Where the clock
    /// is put forward or back by less than an hour, the hour ends there and another begins.
    fn hour(&self, instant: jiff::Timestamp, at: Timestamp) -> Window {
        let offset = i64::from(self.zone.to_offset(instant).seconds()).saturating_mul(1_000_000);
        let mut window = fixed_length(HOUR, offset, at);
        let micros = |moved: jiff::tz::TimeZoneTransition<'_>| {
            Timestamp::from_micros(moved.timestamp().as_microsecond())
        };
        // `preceding` excludes its instant.
        let after = instant.checked_add(1.nanosecond()).unwrap_or(instant);
        if let Some(moved) = self.zone.preceding(after).next().map(micros) {
            window.start = window.start.max(moved);
        }
        if let Some(moved) = self.zone.following(instant).next().map(micros) {
            window.end = window.end.min(moved);
        }
        window
    }

    fn civil_bounds(&self, every: Every, local: DateTime) -> Option<(DateTime, DateTime)> {
        let day = local.date();
        let (first, span) = match every {
            Every::Minute | Every::Hour | Every::Day => (day, 1.day()),
            Every::Week => {
                let first_day = match self.week_start {
                    WeekStart::Monday => Weekday::Monday,
                    WeekStart::Sunday => Weekday::Sunday,
                    WeekStart::Saturday => Weekday::Saturday,
                };
                let back = i64::from(day.weekday().since(first_day));
                (day.checked_sub(back.days()).ok()?, 7.days())
            }
            Every::Month => (day.first_of_month(), 1.month()),
            Every::Quarter => {
                let month = (day.month() - 1) / 3 * 3 + 1;
                (day.with().month(month).day(1).build().ok()?, 3.months())
            }
            Every::Year => (day.first_of_year(), 1.year()),
        };
        let next = first.checked_add(span).ok()?;
        Some((
            first.to_datetime(jiff::civil::Time::midnight()),
            next.to_datetime(jiff::civil::Time::midnight()),
        ))
    }

    fn instant(&self, local: DateTime) -> Option<Timestamp> {
        let zoned: Zoned = self.zone.to_zoned(local).ok()?;
        Some(Timestamp::from_micros(zoned.timestamp().as_microsecond()))
    }
}

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 3_600_000_000;

/// Minutes and hours are lengths, not calendar entries. `offset`: of the zone's clock, microseconds.
fn fixed_length(length: i64, offset: i64, at: Timestamp) -> Window {
    let local = at.as_micros().saturating_add(offset);
    let start = at.as_micros().saturating_sub(local.rem_euclid(length));
    Window { start: Timestamp::from_micros(start), end: Timestamp::from_micros(start.saturating_add(length)) }
}
