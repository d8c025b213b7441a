//! A provider's base URL, parsed once, with its pool of connections.

use std::net::IpAddr;
use std::sync::Arc;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use url::{Host, Url};

use crate::pool::Pool;

/// Why a text is not a base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not an absolute http or https URL.
    #[error("not an absolute http or https URL")]
    NotHttp,
    /// Carries a user name or password.
    #[error("a base URL carries no user name or password")]
    UserInfo,
    /// Carries a query or a fragment.
    #[error("a base URL carries no query and no fragment")]
    Query,
    /// The host is not a plain name or a plain address (octal, hex, decimal, escaped, trailing dot).
    #[error("the host must be a plain name or a plain address")]
    Host,
}

/// Where a provider lives.
#[derive(Debug)]
pub struct Endpoint {
    pub(crate) https: bool,
    pub(crate) host: Arc<str>,
    pub(crate) literal: Option<IpAddr>,
    pub(crate) port: u16,
    pub(crate) host_header: HeaderValue,
    authority: Authority,
    prefix: Box<str>,
    pub(crate) pool: Pool,
}

impl Endpoint {
    /// Reads a base URL such as `https://api.openai.com/v1`.
    ///
    /// # Errors
    /// [`EndpointError`] when it is not one.
    pub fn parse(base_url: &str) -> Result<Self, EndpointError> {
        let url = Url::parse(base_url).map_err(|_| EndpointError::NotHttp)?;
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(EndpointError::NotHttp),
        };
        if !url.username().is_empty() || url.password().is_some() || base_url.contains('@') {
            return Err(EndpointError::UserInfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(EndpointError::Query);
        }
        let (host, literal) = plain_host(&url, base_url)?;
        let port = url.port_or_known_default().ok_or(EndpointError::NotHttp)?;
        let authority_text = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.clone(),
        };
        let authority: Authority = authority_text.parse().map_err(|_| EndpointError::Host)?;
        let host_header = HeaderValue::from_str(&authority_text).map_err(|_| EndpointError::Host)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Self {
            https,
            host: bare.into(),
            literal,
            port,
            host_header,
            authority,
            prefix: url.path().trim_end_matches('/').into(),
            pool: Pool::default(),
        })
    }

    /// The path of an operation: the base URL's path and `tail` (which begins with `/`).
    /// `None` when `tail` is not a path.
    #[must_use]
    pub fn path(&self, tail: &str) -> Option<PathAndQuery> {
        let whole = if self.prefix.is_empty() { tail.to_owned() } else { [&*self.prefix, tail].concat() };
        PathAndQuery::try_from(whole).ok()
    }

    /// The absolute form that HTTP/2 wants.
    pub(crate) fn absolute(&self, path: PathAndQuery) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(if self.https { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).unwrap_or_default()
    }
}

/// The URL parser turns `0x7f.1`, `2130706433` and `%31` into addresses: only what was
/// written plainly counts.
fn plain_host(url: &Url, written: &str) -> Result<(String, Option<IpAddr>), EndpointError> {
    let host = url.host().ok_or(EndpointError::Host)?;
    let text = host.to_string();
    let rest = written.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '\\']).next().unwrap_or("");
    let written_host = match (&host, authority.rfind(']')) {
        (Host::Ipv6(_), Some(end)) => authority.get(..=end).unwrap_or(""),
        _ => authority.split(':').next().unwrap_or(""),
    };
    let plain = match host {
        Host::Domain(name) => {
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_')
                && !name.ends_with('.')
                && name.eq_ignore_ascii_case(written_host)
        }
        Host::Ipv4(_) => written_host == text,
        Host::Ipv6(_) => written_host.starts_with('['),
    };
    let literal = match host {
        Host::Domain(_) => None,
        Host::Ipv4(v4) => Some(IpAddr::V4(v4)),
        Host::Ipv6(v6) => Some(IpAddr::V6(v6)),
    };
    if plain { Ok((text, literal)) } else { Err(EndpointError::Host) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_base_url_is_read_once() {
        let endpoint = Endpoint::parse("https://api.openai.com/v1/").unwrap();
        assert!(endpoint.https);
        assert_eq!((&*endpoint.host, endpoint.port), ("api.openai.com", 443));
        assert_eq!(endpoint.path("/chat/completions").unwrap(), "/v1/chat/completions");
        let local = Endpoint::parse("http://127.0.0.1:8000").unwrap();
        assert_eq!(local.host_header, "127.0.0.1:8000");
        assert_eq!(local.path("/v1/messages").unwrap(), "/v1/messages");
        let six = Endpoint::parse("http://[::1]:8000").unwrap();
        assert_eq!((&*six.host, six.literal), ("::1", Some("::1".parse().unwrap())));
    }

    #[test]
    fn hidden_addresses_and_extras_are_refused() {
        for text in [
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://0x7f.1/",
            "http://127.0.0.1./",
            "http://%31%32%37.0.0.1/",
            "http://①②⑦.0.0.1/",
            "http://localhost./",
            "http://127。0。0。1/",
            "https://exa%6dple.com/",
            "https://пример.example/",
        ] {
            assert_eq!(Endpoint::parse(text).err(), Some(EndpointError::Host), "{text}");
        }
        for text in
            ["ftp://host/", "file:///etc/passwd", "//host", "host", "gopher://host/", "unix:/run/x", ""]
        {
            assert_eq!(Endpoint::parse(text).err(), Some(EndpointError::NotHttp), "{text}");
        }
        for text in [
            "https://user@host/",
            "https://user:pw@host/",
            "https://good.example@127.0.0.1/",
            "https://@host",
        ] {
            assert_eq!(Endpoint::parse(text).err(), Some(EndpointError::UserInfo), "{text}");
        }
        for text in ["https://host/?a=b", "https://host/#x"] {
            assert_eq!(Endpoint::parse(text).err(), Some(EndpointError::Query), "{text}");
        }
    }
}
