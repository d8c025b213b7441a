//! Says once that something is lost and once that it is back, however often it is tried.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tonic::{Code, Status};

/// Something that can be away.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    since: Mutex<Option<(Instant, bool)>>,
}

impl Outage {
    /// Whether this is news: the first failure, or the first that is `grave`.
    pub(crate) fn begins(&self, grave: bool) -> bool {
        let mut since = self.since.lock();
        let news = since.is_none_or(|(_, was_grave)| grave && !was_grave);
        let (began, was_grave) = since.unwrap_or((Instant::now(), false));
        *since = Some((began, was_grave || grave));
        news
    }

    /// How long it was away; `None` when it was not.
    pub(crate) fn ends(&self) -> Option<Duration> {
        self.since.lock().take().map(|(began, _)| began.elapsed())
    }
}

/// Whether the control plane answered, and said no.
pub(crate) fn is_refusal(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::PermissionDenied | Code::Unauthenticated | Code::FailedPrecondition | Code::InvalidArgument
    )
}

/// What went wrong, down to its cause: a refused connection and a foreign certificate look the same
/// at the top.
pub(crate) fn why(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = if text.is_empty() { more } else { format!("{text}: {more}") };
        }
        cause = error.source();
    }
    if text.is_empty() { status.code().description().to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_and_again_when_it_gets_grave() {
        let outage = Outage::default();
        assert_eq!(outage.ends(), None);
        assert_eq!(
            [false, false, true, false, true].map(|grave| outage.begins(grave)),
            [true, false, true, false, false]
        );
        assert!(outage.ends().is_some());
        assert_eq!(outage.ends(), None);
        assert!(outage.begins(true));
    }
}
