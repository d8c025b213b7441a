//! How long certificates may still be used: judged in one way, whosever they are.

use tidegate_types::Timestamp;

use super::finding::Findings;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A certificate, and what is said of it.
pub(super) struct Certificate<'c> {
    pub(super) check: &'c str,
    /// What is valid, or is not: the beginning of a sentence.
    pub(super) whose: String,
    /// From when until when.
    pub(super) valid: (Timestamp, Timestamp),
    /// With fewer days left somebody should look at it.
    pub(super) soon_days: i64,
    /// What to do then.
    pub(super) soon: &'c str,
    /// What to do when it is not valid.
    pub(super) over: &'c str,
    /// Whether it is replaced by itself even then.
    pub(super) replaced: bool,
}

impl Certificate<'_> {
    /// Notes how it is at this time. It is over from its last moment on.
    pub(super) fn judge(&self, now: Timestamp, findings: &mut Findings) {
        let ((from, until), whose) = (self.valid, &self.whose);
        let left = until.millis_since(now);
        let saw = match left / DAY_MS {
            0 | 1 => format!("{whose} is valid for {} hours", left / HOUR_MS),
            days => format!("{whose} is valid for {days} days"),
        };
        if left <= 0 || from > now {
            let saw = format!("{whose} is not valid now");
            match self.replaced {
                true => findings.warning(self.check, saw, self.over),
                false => findings.failed(self.check, saw, self.over),
            }
        } else if left < self.soon_days * DAY_MS {
            findings.warning(self.check, saw, self.soon);
        } else {
            findings.ok(self.check, saw);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    /// How many failures and warnings there are with so many milliseconds left, and what was seen.
    fn judged(left: i64, replaced: bool) -> (usize, usize, String) {
        let (soon, over) = ("soon", "over");
        let valid = (NOW.plus_millis(-DAY_MS), NOW.plus_millis(left));
        let one =
            Certificate { check: "check", whose: "it".to_owned(), valid, soon_days: 2, soon, over, replaced };
        let mut findings = Findings::default();
        one.judge(NOW, &mut findings);
        let text = findings.text();
        (findings.failures(), text.matches("warning  ").count(), text)
    }

    /// A certificate of a chosen age cannot be had for the asking.
    #[test]
    fn a_certificate_is_over_from_its_last_moment_on() {
        for left in [-2 * DAY_MS, -HOUR_MS / 2, -1, 0] {
            assert_eq!((judged(left, false).0, judged(left, false).1), (1, 0), "{left}");
            assert_eq!((judged(left, true).0, judged(left, true).1), (0, 1), "{left}");
        }
        for (left, warnings, saw) in [
            (1, 1, "it is valid for 0 hours"),
            (2 * DAY_MS - 1, 1, "it is valid for 47 hours"),
            (2 * DAY_MS, 0, "it is valid for 2 days"),
        ] {
            let (failures, warned, text) = judged(left, true);
            assert_eq!((failures, warned), (0, warnings), "{text}");
            assert!(text.contains(saw), "{text}");
        }
    }

    #[test]
    fn a_certificate_that_is_not_valid_yet_is_not_valid() {
        let (soon, over) = ("soon", "over");
        let valid = (NOW.plus_millis(1), NOW.plus_millis(90 * DAY_MS));
        let one = Certificate {
            check: "check",
            whose: "it".to_owned(),
            valid,
            soon_days: 2,
            soon,
            over,
            replaced: false,
        };
        let mut findings = Findings::default();
        one.judge(NOW, &mut findings);
        assert_eq!(findings.failures(), 1, "{}", findings.text());
    }
}
