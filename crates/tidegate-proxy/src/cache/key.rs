//! Under which key an answer is kept: a keyed hash of everything that it depends on. Pure.
//!
//! The key of the hash is the organization's own, so that nobody's keys meet anybody else's, and a key tells
//! nothing of what was asked. What it covers is said once: [`Asked`].

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::Sha256;
use tidegate_dialect::fingerprint;
use tidegate_dialect::read::{CallBody, Way};
use tidegate_types::resource::CacheSharing;
use tidegate_types::usage::Surface;
use tidegate_types::{KeyId, ModelId, OrganizationId, RouteId, TeamId};

/// Keeps these hashes apart from everything else that is made with the organization's key.
const PURPOSE: &[u8] = b"tidegate response cache 1\0";

/// A key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CacheKey([u8; 32]);

/// What an answer depends on.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) organization: OrganizationId,
    /// How often the organization's cache was purged.
    pub(crate) purges: u64,
    /// Who shares it.
    pub(crate) sharing: CacheSharing,
    pub(crate) team: TeamId,
    pub(crate) key: KeyId,
    pub(crate) surface: Surface,
    /// The provider or route that the path names.
    pub(crate) through: Option<&'a str>,
    /// The route, and how often its part was purged.
    pub(crate) route: Option<(RouteId, u64)>,
    /// What the name of the model means now: for a route the target that was drawn.
    pub(crate) model: ModelId,
    /// Whether providers' cache markers are put in.
    pub(crate) markers: bool,
    /// The headers of the request that go on to a provider of the same dialect.
    pub(crate) forwarded: &'a HeaderMap,
    pub(crate) body: &'a CallBody,
}

impl CacheKey {
    /// The key; `None` where the body must be asked anew each time.
    pub(crate) fn of(secret: &[u8; 32], asked: &Asked<'_>) -> Option<Self> {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
        mac.update(PURPOSE);
        mac.update(&asked.organization.to_u128().to_be_bytes());
        mac.update(&asked.purges.to_be_bytes());
        let (sharing, sharer) = match asked.sharing {
            CacheSharing::Organization => (0, 0),
            CacheSharing::Team => (1, asked.team.to_u128()),
            CacheSharing::Key => (2, asked.key.to_u128()),
        };
        mac.update(&[sharing]);
        mac.update(&sharer.to_be_bytes());
        let (route, purges) = asked.route.map_or((0, 0), |(route, purges)| (route.to_u128(), purges));
        mac.update(&route.to_be_bytes());
        mac.update(&purges.to_be_bytes());
        mac.update(&asked.model.to_u128().to_be_bytes());
        let body = asked.body;
        let way = match body.way {
            Way::Usual => 0,
            Way::Compact => 1,
            Way::Edit => 2,
        };
        mac.update(&[
            u8::from(body.stream),
            u8::from(body.counting),
            way,
            body.spec,
            u8::from(asked.markers),
        ]);
        let mut text = |text: &[u8]| {
            mac.update(&(text.len() as u64).to_be_bytes());
            mac.update(text);
        };
        text(asked.surface.as_str().as_bytes());
        text(asked.through.unwrap_or_default().as_bytes());
        text(body.model.as_bytes());
        for (name, value) in asked.forwarded {
            text(name.as_str().as_bytes());
            text(value.as_bytes());
        }
        text(b"");
        let whole = fingerprint::feed(body, &mut |piece| mac.update(piece));
        whole.then(|| Self(mac.finalize().into_bytes().into()))
    }
}

impl std::fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CacheKey")
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderValue;
    use tidegate_dialect::read::{self, Outside};
    use tidegate_types::resource::DialectName;

    use super::*;

    fn body(text: &str) -> CallBody {
        read::call(DialectName::OpenaiChat, Outside::default(), Bytes::copy_from_slice(text.as_bytes()))
            .unwrap()
    }

    #[test]
    fn every_fact_is_in_the_key() {
        let plain = body(r#"{"model":"m","messages":[]}"#);
        let (none, mut beta) = (HeaderMap::new(), HeaderMap::new());
        beta.insert("anthropic-beta", HeaderValue::from_static("x"));
        let asked = Asked {
            organization: OrganizationId::from_u128(1),
            purges: 0,
            sharing: CacheSharing::Organization,
            team: TeamId::from_u128(1),
            key: KeyId::from_u128(1),
            surface: Surface::OpenaiChat,
            through: None,
            route: None,
            model: ModelId::from_u128(1),
            markers: false,
            forwarded: &none,
            body: &plain,
        };
        let of = |asked: &Asked<'_>| CacheKey::of(&[7; 32], asked).unwrap();
        let (alias, streamed) =
            (body(r#"{"model":"n","messages":[]}"#), body(r#"{"model":"m","messages":[],"stream":true}"#));
        let warm = body(r#"{"model":"m","messages":[],"temperature":1}"#);
        let mut compact = plain.clone();
        compact.way = Way::Compact;
        let route = RouteId::from_u128(1);
        let mut keys = vec![
            of(&asked),
            CacheKey::of(&[8; 32], &asked).unwrap(),
            of(&Asked { organization: OrganizationId::from_u128(2), ..asked }),
            of(&Asked { purges: 1, ..asked }),
            of(&Asked { sharing: CacheSharing::Team, ..asked }),
            of(&Asked { sharing: CacheSharing::Key, ..asked }),
            of(&Asked { sharing: CacheSharing::Team, team: TeamId::from_u128(2), ..asked }),
            of(&Asked { sharing: CacheSharing::Key, key: KeyId::from_u128(2), ..asked }),
            of(&Asked { surface: Surface::OpenaiResponses, ..asked }),
            of(&Asked { through: Some("r"), ..asked }),
            of(&Asked { route: Some((route, 0)), ..asked }),
            of(&Asked { route: Some((route, 1)), ..asked }),
            of(&Asked { model: ModelId::from_u128(2), ..asked }),
            of(&Asked { markers: true, ..asked }),
            of(&Asked { forwarded: &beta, ..asked }),
        ];
        keys.extend([&alias, &streamed, &warm, &compact].map(|body| of(&Asked { body, ..asked })));
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key), "the change number {at} is not in the key");
        }
        // Among whom nothing is shared does not matter where the whole organization shares.
        let other = Asked { team: TeamId::from_u128(2), key: KeyId::from_u128(2), ..asked };
        assert!(of(&other) == of(&asked));
    }
}
