//! The operator's egress proxy: public https targets are reached through a tunnel of it (`CONNECT`, RFC 9110
//! section 9.3.6). It never sees a request: TLS is between this process and the target.
//!
//! What the address table says holds all the same: names are resolved and vetted here, and the tunnel is asked
//! for by the vetted address. Only for the shared catalogue's own hosts, which no organization chooses, may the
//! operator leave the resolving to the proxy. Private targets that the operator lists are called directly.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use crate::failure::{SendError, SettingsError};
use crate::percent;

/// Most bytes of the proxy's answer to `CONNECT`.
const LARGEST_HEAD: usize = 8 * 1024;

/// Where the proxy is, and how it is asked.
#[derive(Clone)]
pub struct EgressProxy {
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
    /// Value of `proxy-authorization`.
    authorization: Option<Arc<str>>,
    /// Whether it resolves the names of the catalogue's hosts.
    pub(crate) resolves: bool,
}

/// Where a connection leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remote {
    /// To this vetted address.
    At(IpAddr),
    /// Where the proxy found the name: for the shared catalogue's own hosts only.
    Named,
}

impl EgressProxy {
    /// Reads `http://[user:password@]host[:port]`.
    ///
    /// # Errors
    /// [`SettingsError::Proxy`] for what is no such URL. It never quotes it.
    pub fn parse(url: &str, resolves: bool) -> Result<Self, SettingsError> {
        let url = Url::parse(url).map_err(|_| SettingsError::Proxy("it is no URL"))?;
        if url.scheme() != "http" {
            return Err(SettingsError::Proxy("only http:// proxies are spoken to"));
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(SettingsError::Proxy("it has a path, a query or a fragment"));
        }
        let host = url.host_str().ok_or(SettingsError::Proxy("it names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let authorization = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => {
                let password = percent::decode(password.unwrap_or_default());
                let pair = [percent::decode(user), password].join(&b':');
                Some(format!("Basic {}", STANDARD.encode(pair)).into())
            }
        };
        Ok(Self { host: host.into(), port: url.port().unwrap_or(80), authorization, resolves })
    }

    /// A tunnel over this connection to the proxy; `target` is a host or an address.
    pub(crate) async fn tunnel(
        &self,
        mut tcp: TcpStream,
        target: &str,
        port: u16,
    ) -> Result<TcpStream, SendError> {
        let authorization = match &self.authorization {
            Some(value) => format!("proxy-authorization: {value}\r\n"),
            None => String::new(),
        };
        let ask = format!("CONNECT {target}:{port} HTTP/1.1\r\nhost: {target}:{port}\r\n{authorization}\r\n");
        tcp.write_all(ask.as_bytes()).await.map_err(|_| SendError::Connect)?;
        if opened(&mut tcp).await? { Ok(tcp) } else { Err(SendError::Proxy) }
    }
}

/// Reads the proxy's answer, and not a byte more; whether it opened the tunnel.
async fn opened(tcp: &mut TcpStream) -> Result<bool, SendError> {
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == LARGEST_HEAD {
            return Err(SendError::Proxy);
        }
        // A byte at a time: what follows is the target's, and heads are short.
        head.push(tcp.read_u8().await.map_err(|_| SendError::Connect)?);
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut answer = httparse::Response::new(&mut headers);
    let read = answer.parse(&head).is_ok_and(|status| status.is_complete());
    Ok(read && answer.code.is_some_and(|code| (200..300).contains(&code)))
}

/// An address as `CONNECT` names it.
pub(crate) fn authority(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

impl fmt::Debug for EgressProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EgressProxy")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_an_http_url_and_its_password_is_not_shown() {
        let plain = EgressProxy::parse("http://proxy.example:3128", false).unwrap();
        assert_eq!((&*plain.host, plain.port, plain.authorization.is_none()), ("proxy.example", 3128, true));
        let own = EgressProxy::parse("http://us%40er:pa%3Ass@[::1]", true).unwrap();
        assert_eq!((&*own.host, own.port), ("::1", 80));
        // printf 'us@er:pa:ss' | base64
        assert_eq!(own.authorization.as_deref(), Some("Basic dXNAZXI6cGE6c3M="));
        assert!(!format!("{own:?}").contains("dXNA"));
        for wrong in [
            "proxy.example:3128",
            "https://proxy.example",
            "socks5://proxy",
            "http://",
            "http://p/x",
            "http://p?x",
        ] {
            let error = EgressProxy::parse(wrong, false).unwrap_err().to_string();
            assert!(!error.contains("proxy.example"), "{error}");
        }
    }
}
