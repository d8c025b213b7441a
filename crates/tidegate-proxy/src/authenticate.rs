//! Who calls: the virtual key or the signed token of a request, checked in memory.
//!
//! An unknown id, a bad checksum and a wrong secret cost the same work and no I/O.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, header};
use tidegate_policy::View;
use tidegate_secrets::caller_token;
use tidegate_secrets::virtual_key::{self, PresentedKey};
use tidegate_types::Timestamp;
use tidegate_types::usage::RefusalCause;

use crate::account::Arrival;
use crate::caller_token::{PRINCIPAL, bearer};
use crate::gateway::Gateway;
use crate::known_limits::KnownLimits;
use crate::refusal::{Refusal, Refused};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// Whether a request brings a key at all.
pub(crate) fn carries_key(headers: &HeaderMap) -> bool {
    [header::AUTHORIZATION, X_API_KEY, X_GOOG_API_KEY].iter().any(|name| headers.contains_key(name))
}

/// Whoever holds the secret of a key, with the one snapshot that this request sees. Made here only.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) view: View,
    /// Whose token it was; none for those who brought a key.
    principal: Option<Box<str>>,
}

/// Finds the key that the headers carry and checks its secret. Whether it may be used now is
/// [`Caller::admit`]'s question: a known key's refusal is recorded.
pub(crate) fn authenticate(
    gateway: &Gateway,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Caller, Refused> {
    let text = presented(headers)?
        .ok_or_else(|| unauthenticated("no API key; send `Authorization: Bearer <key>`"))?;
    if caller_token::looks_like_one(text) {
        let (view, principal) = bearer(gateway, text, headers, now)?;
        return Ok(Caller { view, principal: Some(principal) });
    }
    let peppers = gateway.vault.peppers().ok_or_else(|| {
        Refusal::new(RefusalCause::Unavailable, "this node cannot check keys yet")
            .code("not_ready")
            .retry_after(1_000)
    })?;
    let view = virtual_key::parse(text).and_then(|key| gateway.config.view(key.id()).map(|view| (key, view)));
    let genuine = match view {
        Some((key, view)) => is_genuine(key, &view, &peppers, now).then_some(view),
        None => {
            // The same work for an id that nobody has.
            let _ = virtual_key::matches_nobody(text, &peppers);
            None
        }
    };
    genuine.map(|view| Caller { view, principal: None }).ok_or_else(|| unauthenticated(unknown(text)))
}

/// Whoever asks the gateway itself, and may. Their limits are noted for the answer, also when they may not.
pub(crate) fn enter(
    gateway: &Gateway,
    arrival: Arrival,
    headers: &HeaderMap,
    known: &mut KnownLimits,
) -> Result<Caller, Refused> {
    let caller = authenticate(gateway, headers, arrival.at)?;
    *known = KnownLimits::of(&caller.view);
    caller.admit(arrival.at, arrival.peer)?;
    Ok(caller)
}

impl Caller {
    /// Tags that are put on every call of this caller, `(name, value)`; they override request tags of the same
    /// name. A principal was proven: no key's tag stands in its place.
    pub(crate) fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        let principal = self.principal.as_deref().map(|principal| (PRINCIPAL, principal));
        let own = self.view.key().tags().filter(move |(name, _)| principal.is_none() || *name != PRINCIPAL);
        principal.into_iter().chain(own)
    }

    /// Whether the key may be used now, from this address.
    pub(crate) fn admit(&self, now: Timestamp, peer: IpAddr) -> Result<(), Refused> {
        Ok(self.view.admit(now, peer)?)
    }
}

fn is_genuine(key: PresentedKey<'_>, view: &View, peppers: &virtual_key::Peppers, now: Timestamp) -> bool {
    // Every secret is compared, so that the time does not tell which one fits.
    let record = view.key();
    record.secrets(now).fold(false, |found, kept| found | key.matches(kept, peppers))
}

/// The key's text from any of its headers. The same key twice is normal (Google's clients),
/// two different ones are refused.
fn presented(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    let mut found = None;
    for name in [header::AUTHORIZATION, X_API_KEY, X_GOOG_API_KEY] {
        for value in headers.get_all(name) {
            let text = value
                .to_str()
                .map_err(|_| unauthenticated("the API key holds characters that no key has"))?;
            let key = without_scheme(text);
            match found {
                None => found = Some(key),
                Some(other) if other == key => {}
                Some(_) => return Err(unauthenticated("two different API keys were sent; send one")),
            }
        }
    }
    Ok(found.filter(|key| !key.is_empty()))
}

/// `Bearer <key>`, `bearer <key>` or the bare key.
fn without_scheme(text: &str) -> &str {
    let text = text.trim_matches([' ', '\t']);
    match text.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => key.trim_start_matches(' '),
        None if text.eq_ignore_ascii_case("bearer") => "",
        _ => text,
    }
}

/// What is wrong with a key that nobody has, by its form alone: nothing here tells which ids exist.
fn unknown(text: &str) -> &'static str {
    match text.split_once('_') {
        Some(("tg", _)) if virtual_key::parse(text).is_some() => "this API key is not known",
        Some(("tg", _)) => "this API key is cut off or mistyped: its checksum does not fit",
        Some(("tgs" | "tgj", _)) => "this token is for the management API; calls take a virtual key (`tg_…`)",
        _ => "this is no virtual key: those of this gateway begin with `tg_`",
    }
}

fn unauthenticated(message: &'static str) -> Refused {
    Refusal::new(RefusalCause::Unauthenticated, message).code("invalid_api_key")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn a_key_is_found_wherever_clients_put_it() {
        for pairs in [
            &[("authorization", "Bearer k")][..],
            &[("authorization", "bearer  k")],
            &[("authorization", "k")],
            &[("x-api-key", "k")],
            &[("x-goog-api-key", "k")],
            &[("x-goog-api-key", "k"), ("authorization", "Bearer k"), ("x-api-key", "k")],
        ] {
            assert_eq!(presented(&headers(pairs)).unwrap(), Some("k"), "{pairs:?}");
        }
        assert_eq!(presented(&headers(&[])).unwrap(), None);
        assert_eq!(presented(&headers(&[("authorization", "Bearer ")])).unwrap(), None);
    }

    #[test]
    fn different_keys_are_refused() {
        assert!(presented(&headers(&[("authorization", "Bearer a"), ("x-api-key", "b")])).is_err());
        assert!(
            presented(&headers(&[("authorization", "Bearer a"), ("authorization", "Bearer b")])).is_err()
        );
    }
}
