//! Kinds of resources that came after the first protocol, and how releases that do not know one get along with it.

use tidegate_types::OrganizationId;
use tidegate_types::resource::ResourceKind;

use crate::config::VersionedResource;
use crate::versioned::SUPPORTED_FEATURES;

/// A node that says so in `Hello.features` names resources of kinds that it does not know in its
/// acknowledgements. One that does not leaves them out in silence; there are no others of those than
/// [`KINDS_PASSED_OVER`].
pub const NAMES_KINDS: &str = "names_unknown_kinds";

/// Kinds that releases without [`NAMES_KINDS`] may not know.
pub const KINDS_PASSED_OVER: &[ResourceKind] = &[ResourceKind::TrustRule];

/// How the word of `Hello.features` begins by which a node says what kinds it knows. One that does not say it knows
/// none that this release does not.
const KNOWS: &str = "kinds:";

/// Longest name of a kind, longest id: more is not a resource of a later release.
const LONGEST: usize = 200;

/// The word of `Hello.features` that names the kinds that this release knows.
#[must_use]
pub fn known_kinds() -> String {
    KNOWS.to_owned() + &ResourceKind::ALL.map(ResourceKind::as_str).join(",")
}

/// Whether a node with these features knows kinds that this release does not, and may hold resources of them that
/// another control plane sent it.
#[must_use]
pub fn knows_more(features: &[String]) -> bool {
    let named = features.iter().filter_map(|feature| feature.strip_prefix(KNOWS));
    named.flat_map(|kinds| kinds.split(',')).any(|kind| ResourceKind::parse(kind).is_none())
}

/// The text in digests of the key of a resource whose kind only a later release knows; `None` for any other.
#[must_use]
pub fn key_of_unknown_kind(message: &VersionedResource) -> Option<String> {
    let key = message.key.as_ref()?;
    let organization: OrganizationId = key.organization_id.parse().ok()?;
    let is_name =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let fits = is_name(&key.kind) && key.kind.len() <= LONGEST && key.id.len() <= LONGEST;
    (fits && ResourceKind::parse(&key.kind).is_none())
        .then(|| format!("{organization}/{}/{}", key.kind, key.id))
}

/// Differs between releases that may read the same bytes differently: what one of them wrote down as it
/// understood it, another one should fetch anew.
#[must_use]
pub fn reading() -> [u8; 8] {
    let kinds = ResourceKind::ALL.iter().map(|kind| kind.as_str());
    let parts = [env!("CARGO_PKG_VERSION"), include_str!("../../../proto/protocol.lock")];
    // FNV-1a: only accidents are to be told apart.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts.into_iter().chain(SUPPORTED_FEATURES.iter().copied()).chain(kinds) {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash.to_be_bytes()
}
