//! An organization's calendar with the current window of each period remembered, so that a call
//! does no calendar arithmetic. Nothing here reads a clock.

use parking_lot::RwLock;
use tidegate_types::Timestamp;
use tidegate_types::window::{Calendar, Window, WindowSpec};

/// A calendar and the windows it answered last, one for each recurring period.
#[derive(Debug)]
pub(crate) struct OrgCalendar {
    calendar: Calendar,
    current: [RwLock<Option<Window>>; 7],
}

impl OrgCalendar {
    pub(crate) fn new(calendar: Calendar) -> Self {
        Self { calendar, current: Default::default() }
    }

    /// The window of `spec` that contains `at`; `None` outside a fixed term.
    pub(crate) fn window(&self, spec: WindowSpec, at: Timestamp) -> Option<Window> {
        let WindowSpec::Recurring { every } = spec else { return self.calendar.window(spec, at) };
        let slot = self.current.get(every as usize)?;
        if let Some(window) = *slot.read()
            && window.start <= at
            && at < window.end
        {
            return Some(window);
        }
        let window = self.calendar.window(spec, at)?;
        *slot.write() = Some(window);
        Some(window)
    }
}
