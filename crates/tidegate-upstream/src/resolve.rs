//! Names to addresses. The answer is vetted by the caller and used once, never looked up again.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

type Lookup = dyn Fn(Arc<str>) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync;

/// Looks host names up.
#[derive(Clone)]
pub struct Resolver(Arc<Lookup>);

impl Default for Resolver {
    fn default() -> Self {
        Self::system()
    }
}

impl Resolver {
    /// The operating system's resolver.
    #[must_use]
    pub fn system() -> Self {
        Self::new(|host| {
            async move {
                let found = tokio::net::lookup_host((&*host, 0)).await?;
                Ok(found.map(|socket| socket.ip()).collect())
            }
            .boxed()
        })
    }

    /// A resolver of one's own (tests, a private resolver).
    pub fn new(
        lookup: impl Fn(Arc<str>) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(lookup))
    }

    pub(crate) async fn addresses(&self, host: Arc<str>) -> io::Result<Vec<IpAddr>> {
        (self.0)(host).await
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}
