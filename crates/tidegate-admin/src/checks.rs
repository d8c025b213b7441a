//! Checks of what a body says, beyond its form. All findings of a body are collected, so that
//! a client hears of every wrong field at once.

use tidegate_types::Timestamp;
use tidegate_types::resource::CacheRules;
use tidegate_types::window::{Calendar, WeekStart};

use crate::problem::{FieldError, Problem};

/// Findings about one body.
#[derive(Debug, Default)]
pub(crate) struct Checks(Vec<FieldError>);

impl Checks {
    /// Notes a finding unless `holds`.
    pub(crate) fn that(
        &mut self,
        holds: bool,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> &mut Self {
        if !holds {
            self.0.push(FieldError { field: field.into(), message: message.into() });
        }
        self
    }

    /// A name for people: 1 to 128 characters, no control characters, no space at the ends.
    pub(crate) fn name(&mut self, field: &str, text: &str) -> &mut Self {
        let printable = !text.chars().any(char::is_control);
        let holds = (1..=128).contains(&text.chars().count()) && printable && text.trim() == text;
        self.that(holds, field, "must be 1 to 128 printable characters without spaces at the ends")
    }

    /// A short free text: at most `most` characters, no control characters.
    pub(crate) fn text(&mut self, field: &str, text: &str, most: usize) -> &mut Self {
        let holds = text.chars().count() <= most && !text.chars().any(char::is_control);
        self.that(holds, field, format!("must be at most {most} printable characters"))
    }

    /// An address that the control plane calls: http or https, at most 2,048 characters, without user name
    /// and fragment. Where it leads is vetted when it is called.
    pub(crate) fn target_url(&mut self, field: &str, url: &str) -> &mut Self {
        let web = url.starts_with("https://") || url.starts_with("http://");
        let plain = !url.contains(['@', '#', '\\', ' ']);
        let holds = web && plain && url.parse::<http::Uri>().is_ok_and(|url| url.host().is_some());
        self.text(field, url, 2_048).that(holds, field, "must be an https URL without user name and fragment")
    }

    /// `^[a-z0-9][a-z0-9-]{0,62}$`.
    pub(crate) fn slug(&mut self, field: &str, text: &str) -> &mut Self {
        let holds = text.parse::<tidegate_types::ProviderSlug>().is_ok();
        self.that(holds, field, "must be 1 to 63 of a-z, 0-9 and -, not starting with -")
    }

    /// Rules of the response cache.
    pub(crate) fn cache(&mut self, rules: &CacheRules) -> &mut Self {
        for (field, reason) in rules.faults() {
            self.that(false, field, reason);
        }
        self
    }

    /// An IANA time zone.
    pub(crate) fn time_zone(&mut self, field: &str, text: &str) -> &mut Self {
        self.that(
            Calendar::new(text, WeekStart::Monday).is_ok(),
            field,
            "must be an IANA time zone such as Europe/Berlin",
        )
    }

    /// Something that looks like an e-mail address, at most 254 characters.
    pub(crate) fn email(&mut self, field: &str, text: &str) -> &mut Self {
        self.that(is_email(text), field, "must be an e-mail address")
    }

    /// A time that lies ahead.
    pub(crate) fn ahead(&mut self, field: &str, at: Option<Timestamp>, now: Timestamp) -> &mut Self {
        self.that(at.is_none_or(|at| at > now), field, "must lie in the future")
    }

    /// A list of at most `most` entries.
    pub(crate) fn at_most<T>(&mut self, field: &str, list: &[T], most: usize) -> &mut Self {
        self.that(list.len() <= most, field, format!("must have at most {most} entries"))
    }

    /// Models as `creator/name` or `creator/*`.
    pub(crate) fn model_patterns(&mut self, field: &str, patterns: &[String]) -> &mut Self {
        self.at_most(field, patterns, 500);
        for (index, pattern) in patterns.iter().enumerate() {
            let holds = match pattern.strip_suffix("/*") {
                Some(creator) => creator.parse::<tidegate_types::ProviderSlug>().is_ok(),
                None => pattern.parse::<tidegate_types::ModelName>().is_ok(),
            };
            self.that(holds, format!("{field}[{index}]"), "must be creator/name or creator/*");
        }
        self
    }

    /// Refuses with 422 when something was found.
    pub(crate) fn done(&mut self) -> Result<(), Problem> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut problem =
            Problem::unprocessable("validation_failed", "The request has fields that cannot be accepted.");
        problem.errors = std::mem::take(&mut self.0);
        Err(problem)
    }
}

/// Whether a text looks like an e-mail address.
pub(crate) fn is_email(text: &str) -> bool {
    let plain = text.len() <= 254 && text.bytes().all(|b| b.is_ascii_graphic());
    let parts = text.split_once('@');
    plain
        && parts
            .is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.') && !domain.contains('@'))
}

/// The form under which an e-mail address is stored and compared.
pub(crate) fn normal_email(text: &str) -> String {
    text.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_is_reported_at_once() {
        let mut checks = Checks::default();
        checks
            .name("name", " x")
            .slug("slug", "-")
            .time_zone("time_zone", "Mars/Olympus")
            .email("email", "nobody");
        checks.model_patterns("models", &["openai/*".into(), "nonsense".into()]);
        let fields: Vec<_> = checks.done().unwrap_err().errors.into_iter().map(|error| error.field).collect();
        assert_eq!(fields, ["name", "slug", "time_zone", "email", "models[1]"]);
    }
}
