//! One issuer's keys: its discovery document (OpenID Connect Discovery 1.0 section 4), then its JWK set.

use std::time::Duration;

use serde::Deserialize;
use tidegate_secrets::caller_token::jwks;
use tidegate_types::OrganizationId;
use tidegate_types::resource::IssuerKey;
use tidegate_upstream::Upstreams;

/// Most bytes of a discovery document or a set of keys.
const MOST_BYTES: usize = 256 * 1024;

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// The issuer's published keys.
///
/// # Errors
/// A word of a closed list: `status`, `discovery` (no such document), `issuer` (it names another issuer),
/// `keys` (none that could be used), or that of the connector (`url`, `timeout`, `denied`, …).
pub(crate) async fn keys(
    upstreams: &Upstreams,
    owner: OrganizationId,
    issuer: &str,
    time_out: Duration,
) -> Result<Vec<IssuerKey>, &'static str> {
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let document = get(upstreams, owner, &url, time_out).await?;
    let discovery: Discovery = serde_json::from_slice(&document).map_err(|_| "discovery")?;
    // Section 4.3: else one issuer could speak for another.
    if discovery.issuer != issuer {
        return Err("issuer");
    }
    let set = get(upstreams, owner, &discovery.jwks_uri, time_out).await?;
    jwks::read(&set).map_err(|_| "keys")
}

async fn get(
    upstreams: &Upstreams,
    owner: OrganizationId,
    url: &str,
    time_out: Duration,
) -> Result<Vec<u8>, &'static str> {
    let fetched = upstreams.fetch(owner, url, MOST_BYTES, time_out).await?;
    if fetched.status == 200 { Ok(fetched.body.to_vec()) } else { Err("status") }
}
