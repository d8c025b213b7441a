//! Checks of names and texts that several kinds share.

use crate::reason::Reason;

/// A name for people: 1 to 200 bytes without control characters.
pub(crate) fn name(field: &'static str, text: &str, faults: &mut Vec<Reason>) {
    if text.trim().is_empty() {
        faults.push(Reason::new(field, "is empty"));
    }
    if text.len() > 200 {
        faults.push(Reason::new(field, "is longer than 200 bytes"));
    }
    if text.chars().any(char::is_control) {
        faults.push(Reason::new(field, "has control characters"));
    }
}

/// A name that travels in requests: 1 to 200 visible ASCII characters.
pub(crate) fn token(field: &'static str, text: &str, faults: &mut Vec<Reason>) {
    if text.is_empty() || text.len() > 200 || !text.bytes().all(|b| b.is_ascii_graphic()) {
        faults.push(Reason::new(field, "must be 1 to 200 visible ASCII characters"));
    }
}

/// A count of which there may be at most `most`.
pub(crate) fn at_most(field: &'static str, count: usize, most: usize, faults: &mut Vec<Reason>) {
    if count > most {
        faults.push(Reason::new(field, format!("has {count} entries; the most is {most}")));
    }
}
