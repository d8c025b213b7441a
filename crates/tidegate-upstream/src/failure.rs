//! What can go wrong on the way out. The one question that counts for money: was it sent?

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// An address behind the host's name may not be called.
    #[error("the address may not be called")]
    Forbidden,
    /// The host's name has no address.
    #[error("the host's name cannot be resolved")]
    Dns,
    /// No connection.
    #[error("no connection")]
    Connect,
    /// The egress proxy opens no tunnel there.
    #[error("the egress proxy opens no tunnel to this target")]
    Proxy,
    /// No TLS session.
    #[error("no TLS session")]
    Tls,
    /// No connection in time.
    #[error("no connection in time")]
    ConnectTimeout,
    /// The connection was gone before the request was taken.
    #[error("the connection closed before the request was taken")]
    Unwritten,
    /// The connection broke after the request was taken, before a complete answer.
    #[error("the connection broke before a complete answer")]
    Broken,
    /// The answer is not HTTP, or larger than allowed.
    #[error("the answer is not well-formed")]
    Garbled,
}

impl SendError {
    /// Whether the provider may have seen the request: then nobody knows what it bills.
    #[must_use]
    pub const fn was_sent(self) -> bool {
        matches!(self, Self::Broken | Self::Garbled)
    }

    /// The failure as a word of a closed list, fit for a label.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden_address",
            Self::Dns => "dns",
            Self::Connect | Self::ConnectTimeout | Self::Unwritten => "connect",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Broken => "broken",
            Self::Garbled => "garbled",
        }
    }
}

/// Why [`crate::Upstreams`] cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The extra CA file holds no certificate, or one that cannot be read.
    #[error("the extra CA certificates cannot be read")]
    ExtraCa,
    /// The egress proxy's URL cannot be used. Never quotes it.
    #[error("the egress proxy cannot be used: {0}")]
    Proxy(&'static str),
    /// The TLS library refused its own settings.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}
