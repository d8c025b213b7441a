//! What a request wishes of the cache, by its headers. Pure.
//!
//! `x-tidegate-cache: on | off`, and of `cache-control` (RFC 9111, section 5.2.1) `no-cache` (ask anew),
//! `no-store` (do not keep the answer) and `max-age` (no older answer). The latter narrow; they switch nothing on.

use http::{HeaderMap, HeaderName, header};
use tidegate_types::usage::RefusalCause;

use crate::refusal::{Refusal, Refused};

/// Of requests: the wish; of answers: what came of it.
pub(crate) const CACHE: HeaderName = HeaderName::from_static("x-tidegate-cache");

/// A request's wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wish {
    /// Switched on or off; `None`: as the rules say.
    pub(crate) on: Option<bool>,
    /// No kept answer.
    pub(crate) anew: bool,
    /// Nothing is to be kept.
    pub(crate) unkept: bool,
    /// Oldest answer that will do, in seconds.
    pub(crate) max_age: Option<u64>,
}

impl Wish {
    /// Reads it.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Refused> {
        let mut wish = Self::default();
        if let Some(value) = headers.get(&CACHE) {
            wish.on = match value.as_bytes() {
                b"on" => Some(true),
                b"off" => Some(false),
                _ => {
                    let message = format!("the header `{CACHE}` must be on or off");
                    return Err(Refusal::new(RefusalCause::BadRequest, message).param("x-tidegate-cache"));
                }
            };
        }
        let directives = headers.get_all(header::CACHE_CONTROL).iter();
        let directives = directives.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
        for directive in directives {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-cache" => wish.anew = true,
                "no-store" => wish.unkept = true,
                // What cannot be read counts as stale (RFC 9111, section 4.2.1).
                "max-age" => wish.max_age = Some(value.trim().trim_matches('"').parse().unwrap_or(0)),
                _ => {}
            }
        }
        Ok(wish)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(pairs: &[(HeaderName, &'static str)]) -> Result<Wish, Refused> {
        let pairs = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        Wish::of(&pairs.collect())
    }

    #[test]
    fn directives_narrow_and_only_the_header_switches() {
        assert_eq!(of(&[]).unwrap(), Wish::default());
        let on = Wish { on: Some(true), ..Wish::default() };
        assert_eq!(of(&[(CACHE, "on")]).unwrap(), on);
        assert_eq!(of(&[(CACHE, "off")]).unwrap().on, Some(false));
        let all = of(&[(CACHE, "on"), (header::CACHE_CONTROL, "No-Cache, no-store , max-age=\"30\"")]);
        assert_eq!(all.unwrap(), Wish { anew: true, unkept: true, max_age: Some(30), ..on });
        let odd = of(&[(header::CACHE_CONTROL, "max-age=soon, stale-ok")]).unwrap();
        assert_eq!(odd, Wish { max_age: Some(0), ..Wish::default() });
        assert!(of(&[(CACHE, "maybe")]).is_err());
    }
}
