//! What the doctor found: a line for people, or JSON for programs. Holds no secret: whoever notes something sees
//! to that.

use std::fmt::Write as _;

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it.
    Warning,
    /// It does not work, or must not.
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// The key of the configuration that it is about, and what of it.
    pub(super) check: String,
    pub(super) state: State,
    /// What was seen.
    pub(super) saw: String,
    /// What to do about it.
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

/// All of them, in the order in which they were looked at.
#[derive(Debug, Default, Serialize)]
pub(super) struct Findings {
    /// Whether nothing failed.
    ok: bool,
    checks: Vec<Finding>,
}

impl Findings {
    pub(super) fn ok(&mut self, check: impl Into<String>, saw: impl Into<String>) {
        self.note(check, State::Ok, saw, None);
    }

    pub(super) fn warning(
        &mut self,
        check: impl Into<String>,
        saw: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.note(check, State::Warning, saw, Some(advice.into()));
    }

    pub(super) fn failed(
        &mut self,
        check: impl Into<String>,
        saw: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.note(check, State::Failed, saw, Some(advice.into()));
    }

    fn note(
        &mut self,
        check: impl Into<String>,
        state: State,
        saw: impl Into<String>,
        advice: Option<String>,
    ) {
        self.checks.push(Finding { check: check.into(), state, saw: saw.into(), advice });
        self.ok = self.failures() == 0;
    }

    pub(super) fn failures(&self) -> usize {
        self.count(State::Failed)
    }

    fn count(&self, state: State) -> usize {
        self.checks.iter().filter(|finding| finding.state == state).count()
    }

    /// A line for each, and what to do below it.
    pub(super) fn text(&self) -> String {
        let width = self.checks.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
        let mut text = String::new();
        for Finding { check, state, saw, advice } in &self.checks {
            let state = match state {
                State::Ok => "ok",
                State::Warning => "warning",
                State::Failed => "failed",
            };
            let _infallible = writeln!(text, "{state:<7}  {check:<width$}  {saw}");
            if let Some(advice) = advice {
                let _infallible = writeln!(text, "         {:<width$}  do: {advice}", "");
            }
        }
        let (failed, warnings) = (self.failures(), self.count(State::Warning));
        let _infallible =
            writeln!(text, "{} looked at, {failed} failed, {warnings} warnings", self.checks.len());
        text
    }
}
