//! Identifiers: a prefix that names the kind, and 26 Crockford base-32 characters (a ULID).
//!
//! 48 bits of unix milliseconds, then 80 random bits, so that ids sort by creation time.
//! Source of the encoding: the ULID specification (canonical string representation).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// What an identifier names. Implemented by the marker types in [`kind`].
pub trait IdKind: 'static {
    /// Text before the underscore, for example `org`.
    const PREFIX: &'static str;
}

/// Marker types, one for each kind of identifier.
pub mod kind {
    use super::IdKind;

    /// Declares the marker type of one kind.
    #[derive(Debug, Clone, Copy)]
    pub struct Organization;
    /// A team of an organization.
    #[derive(Debug, Clone, Copy)]
    pub struct Team;
    /// A person with a role.
    #[derive(Debug, Clone, Copy)]
    pub struct Member;
    /// A virtual key.
    #[derive(Debug, Clone, Copy)]
    pub struct Key;
    /// A provider credential.
    #[derive(Debug, Clone, Copy)]
    pub struct Credential;
    /// A provider entry of the catalogue.
    #[derive(Debug, Clone, Copy)]
    pub struct Provider;
    /// A model entry of the catalogue.
    #[derive(Debug, Clone, Copy)]
    pub struct Model;
    /// A model at a provider.
    #[derive(Debug, Clone, Copy)]
    pub struct Offering;
    /// One immutable price of an offering.
    #[derive(Debug, Clone, Copy)]
    pub struct Price;
    /// An organization's own model name.
    #[derive(Debug, Clone, Copy)]
    pub struct Route;
    /// A policy.
    #[derive(Debug, Clone, Copy)]
    pub struct Policy;
    /// A budget.
    #[derive(Debug, Clone, Copy)]
    pub struct Budget;
    /// A service token of the management API.
    #[derive(Debug, Clone, Copy)]
    pub struct ServiceToken;
    /// A signed-in session of the management API.
    #[derive(Debug, Clone, Copy)]
    pub struct Session;
    /// A data-plane node.
    #[derive(Debug, Clone, Copy)]
    pub struct Node;
    /// A rule that lets tokens of an issuer call.
    #[derive(Debug, Clone, Copy)]
    pub struct TrustRule;
    /// One client request.
    #[derive(Debug, Clone, Copy)]
    pub struct Call;
    /// One billing event.
    #[derive(Debug, Clone, Copy)]
    pub struct Event;

    impl IdKind for Organization {
        const PREFIX: &'static str = "org";
    }
    impl IdKind for Team {
        const PREFIX: &'static str = "team";
    }
    impl IdKind for Member {
        const PREFIX: &'static str = "mem";
    }
    impl IdKind for Key {
        const PREFIX: &'static str = "key";
    }
    impl IdKind for Credential {
        const PREFIX: &'static str = "cred";
    }
    impl IdKind for Provider {
        const PREFIX: &'static str = "prov";
    }
    impl IdKind for Model {
        const PREFIX: &'static str = "model";
    }
    impl IdKind for Offering {
        const PREFIX: &'static str = "off";
    }
    impl IdKind for Price {
        const PREFIX: &'static str = "price";
    }
    impl IdKind for Route {
        const PREFIX: &'static str = "route";
    }
    impl IdKind for Policy {
        const PREFIX: &'static str = "pol";
    }
    impl IdKind for Budget {
        const PREFIX: &'static str = "bud";
    }
    impl IdKind for ServiceToken {
        const PREFIX: &'static str = "tok";
    }
    impl IdKind for Session {
        const PREFIX: &'static str = "sess";
    }
    impl IdKind for Node {
        const PREFIX: &'static str = "node";
    }
    impl IdKind for TrustRule {
        const PREFIX: &'static str = "trust";
    }
    impl IdKind for Call {
        const PREFIX: &'static str = "gen";
    }
    impl IdKind for Event {
        const PREFIX: &'static str = "evt";
    }
}

/// An organization's id, `org_…`.
pub type OrganizationId = Id<kind::Organization>;
/// A team's id, `team_…`.
pub type TeamId = Id<kind::Team>;
/// A member's id, `mem_…`.
pub type MemberId = Id<kind::Member>;
/// A virtual key's public id, `key_…`.
pub type KeyId = Id<kind::Key>;
/// A credential's id, `cred_…`.
pub type CredentialId = Id<kind::Credential>;
/// A provider's id, `prov_…`.
pub type ProviderId = Id<kind::Provider>;
/// A model's id, `model_…`.
pub type ModelId = Id<kind::Model>;
/// An offering's id, `off_…`.
pub type OfferingId = Id<kind::Offering>;
/// A price's id, `price_…`.
pub type PriceId = Id<kind::Price>;
/// A route's id, `route_…`.
pub type RouteId = Id<kind::Route>;
/// A policy's id, `pol_…`.
pub type PolicyId = Id<kind::Policy>;
/// A budget's id, `bud_…`.
pub type BudgetId = Id<kind::Budget>;
/// A service token's id, `tok_…`.
pub type ServiceTokenId = Id<kind::ServiceToken>;
/// A session's id, `sess_…`.
pub type SessionId = Id<kind::Session>;
/// A node's id, `node_…`.
pub type NodeId = Id<kind::Node>;
/// A trust rule's id, `trust_…`.
pub type TrustRuleId = Id<kind::TrustRule>;
/// A call's id, `gen_…`: carried by every answer and refusal.
pub type CallId = Id<kind::Call>;
/// A billing event's id, `evt_…`.
pub type EventId = Id<kind::Event>;

/// A typed identifier: 128 bits, shown as `<prefix>_<26 characters>`.
pub struct Id<K> {
    raw: u128,
    kind: PhantomData<fn() -> K>,
}

impl<K: IdKind> Id<K> {
    /// Builds an id from unix milliseconds and randomness (the lowest 80 bits are used).
    #[must_use]
    pub const fn from_parts(unix_ms: u64, random: u128) -> Self {
        Self::from_u128(((unix_ms as u128) << 80) | (random & ((1 << 80) - 1)))
    }

    /// The id with exactly these bits.
    #[must_use]
    pub const fn from_u128(raw: u128) -> Self {
        Self { raw, kind: PhantomData }
    }

    /// The id's bits.
    #[must_use]
    pub const fn to_u128(self) -> u128 {
        self.raw
    }

    /// The same bits as a UUID, as Postgres stores them.
    #[must_use]
    pub const fn to_uuid(self) -> Uuid {
        Uuid::from_u128(self.raw)
    }

    /// The id stored as this UUID.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self::from_u128(uuid.as_u128())
    }

    /// Milliseconds since the unix epoch at which the id was made.
    #[must_use]
    pub const fn unix_ms(self) -> u64 {
        (self.raw >> 80) as u64
    }

    /// The 26 characters without the prefix.
    #[must_use]
    pub fn ulid(self) -> String {
        String::from_utf8_lossy(&encode(self.raw)).into_owned()
    }

    /// The 26 characters without the prefix, as ASCII bytes and without an allocation.
    #[must_use]
    pub fn ulid_bytes(self) -> [u8; 26] {
        encode(self.raw)
    }

    /// Reads the 26 characters without the prefix.
    ///
    /// # Errors
    /// [`IdError`] when the text is not 26 characters of Crockford base 32 within 128 bits.
    pub fn from_ulid(text: &str) -> Result<Self, IdError> {
        decode(text.as_bytes()).map(Self::from_u128).ok_or(IdError { expected: K::PREFIX })
    }
}

impl OrganizationId {
    /// The owner of system-scope resources (catalogue, system credentials). Never a tenant.
    pub const SYSTEM: Self = Self::from_u128(0);
}

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

fn encode(raw: u128) -> [u8; 26] {
    let mut out = [b'0'; 26];
    // Twelve characters of 60 bits each from the end: one register holds what is left of them.
    for (slots, bits) in out.rchunks_mut(12).zip([0, 60, 120]) {
        let mut part = (raw >> bits) as u64;
        for slot in slots.iter_mut().rev() {
            *slot = ALPHABET[(part & 31) as usize];
            part >>= 5;
        }
    }
    out
}

fn decode(text: &[u8]) -> Option<u128> {
    // 26 characters hold 130 bits; the first may use only three of its five.
    if text.len() != 26 || !matches!(text[0], b'0'..=b'7') {
        return None;
    }
    text.iter().try_fold(0u128, |raw, c| {
        let value = VALUES[usize::from(*c)];
        (value < 32).then_some((raw << 5) | u128::from(value))
    })
}

/// The value of each character, whichever case it is in; 32 for those that have none.
const VALUES: [u8; 256] = {
    let mut values = [32; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        values[ALPHABET[value] as usize] = value as u8;
        values[ALPHABET[value].to_ascii_lowercase() as usize] = value as u8;
        value += 1;
    }
    values
};

/// A text that is not an identifier of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {expected}_<26 characters>")]
pub struct IdError {
    /// The prefix that was expected.
    pub expected: &'static str,
}

impl<K: IdKind> FromStr for Id<K> {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = IdError { expected: K::PREFIX };
        let (prefix, rest) = text.split_once('_').ok_or(error)?;
        if prefix != K::PREFIX {
            return Err(error);
        }
        decode(rest.as_bytes()).map(Self::from_u128).ok_or(error)
    }
}

/// An id's text in one piece, without an allocation.
struct Text {
    bytes: [u8; Self::LONGEST + 1 + 26],
    end: usize,
}

impl Text {
    /// The longest prefix that fits.
    const LONGEST: usize = 16;

    fn of<K: IdKind>(id: Id<K>) -> Self {
        let mut bytes = [b'_'; Self::LONGEST + 1 + 26];
        let (prefix, ulid) = (K::PREFIX.as_bytes(), encode(id.raw));
        let end = prefix.len() + 1 + ulid.len();
        if let Some((before, behind)) =
            bytes.get_mut(..end).and_then(|text| text.split_at_mut_checked(prefix.len()))
        {
            before.copy_from_slice(prefix);
            behind[1..].copy_from_slice(&ulid);
        }
        Self { bytes, end }
    }

    fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes.get(..self.end)?).ok()
    }
}

impl<K: IdKind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Text::of(*self).as_str().ok_or(fmt::Error)?)
    }
}

impl<K: IdKind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.raw.cmp(&other.raw)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.raw.hash(state);
    }
}

impl<K: IdKind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = Text::of(*self);
        serializer.serialize_str(text.as_str().ok_or_else(|| serde::ser::Error::custom("a long prefix"))?)
    }
}

impl<'de, K: IdKind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
