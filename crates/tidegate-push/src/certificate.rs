//! The control plane's own certificate: made at the start, and anew by the first handshake after a third of its time.
//!
//! Nothing has to run for it, and a clock that is set cannot make anybody sleep past its end.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tidegate_secrets::ca::{self, CertificateAuthority};
use tidegate_types::{Clock, Timestamp};

use crate::PushError;

/// A certificate for the names of this control plane that never comes near its end.
pub(crate) struct OwnCertificate {
    authority: Arc<CertificateAuthority>,
    names: Vec<String>,
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn Clock>,
    shown: Mutex<Shown>,
}

/// What is shown, and for how long.
#[derive(Clone)]
struct Shown {
    certified: Arc<CertifiedKey>,
    from: Timestamp,
    renew_at: Timestamp,
}

impl OwnCertificate {
    /// Makes the first one.
    ///
    /// # Errors
    /// [`PushError::Secrets`] when a name is neither a host name nor an address, [`PushError::Tls`] when TLS cannot use
    /// the key.
    pub(crate) fn new(
        authority: Arc<CertificateAuthority>,
        names: Vec<String>,
        provider: Arc<CryptoProvider>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, PushError> {
        let shown = Mutex::new(Shown::issue(&authority, &names, &provider, clock.now())?);
        Ok(Self { authority, names, provider, clock, shown })
    }

    /// The one that holds now. Where no new one can be made the one before goes on being shown.
    fn current(&self) -> Arc<CertifiedKey> {
        let now = self.clock.now();
        let mut shown = self.shown.lock();
        if !shown.holds(now) {
            match Shown::issue(&self.authority, &self.names, &self.provider, now) {
                Ok(fresh) => {
                    tracing::info!("the control plane has a new certificate");
                    *shown = fresh;
                }
                Err(error) => tracing::error!(%error, "the control plane's certificate could not be renewed"),
            }
        }
        Arc::clone(&shown.certified)
    }
}

impl Shown {
    fn issue(
        authority: &CertificateAuthority,
        names: &[String],
        provider: &CryptoProvider,
        now: Timestamp,
    ) -> Result<Self, PushError> {
        let identity = authority.issue_server(names, now)?;
        let leaf = identity.chain.first().map_or(&[][..], CertificateDer::as_ref);
        let (from, until) = ca::validity(leaf)?;
        let renew_at = from.plus_millis(until.millis_since(from) / 3);
        let certified = Arc::new(CertifiedKey::from_der(identity.chain, identity.key, provider)?);
        Ok(Self { certified, from, renew_at })
    }

    /// Before its beginning it does not hold either: the clock was ahead when it was made.
    fn holds(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.renew_at
    }
}

impl ResolvesServerCert for OwnCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl fmt::Debug for OwnCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnCertificate").field("names", &self.names).finish_non_exhaustive()
    }
}
