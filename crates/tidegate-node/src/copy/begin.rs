//! Takes a copy into an empty state folder, under an identity that no other node has.

use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;

use prost::Message as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tidegate_limits::Limiter;
use tidegate_proto::config::{Delta, PoolKey};
use tidegate_secrets::copy::{CopyError, Record, Reserve, Verified};
use tidegate_secrets::decision::Certificates;
use tidegate_secrets::pool::PoolSecrets;
use tidegate_types::{Clock, Timestamp};

use super::begun::Begun;
use super::known::Known;
use super::{CopySource, claim};
use crate::error::NodeError;
use crate::identity::Identity;
use crate::node::blocking;
use crate::state::State;
use crate::sync::Seed;

/// A reserve whose certificate ends sooner is of no use.
const LEFT_MILLIS: i64 = 3_600_000;

type Copy = Verified<BufReader<File>>;

/// What a node needs to begin by a copy.
pub(crate) struct Beginning {
    source: CopySource,
    roots: Certificates,
    limiter: Limiter,
    state: Arc<State>,
    clock: Arc<dyn Clock>,
}

/// What lies in a copy beside the configuration.
#[derive(Default)]
struct Held {
    secrets: Vec<Arc<PoolSecrets>>,
    reserves: Vec<Arc<Reserve>>,
}

impl Beginning {
    pub(crate) fn new(
        source: &CopySource,
        roots_pem: &str,
        limiter: &Limiter,
        state: &Arc<State>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, NodeError> {
        let roots: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(roots_pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| NodeError::setting("the control plane's roots", format!("{error:?}")))?;
        Ok(Self {
            source: source.clone(),
            roots: Certificates::new(roots),
            limiter: limiter.clone(),
            state: Arc::clone(state),
            clock: Arc::clone(clock),
        })
    }

    /// Begins by the copy. Where it was not possible the state folder serves nothing, and it can be tried again.
    pub(crate) async fn take(self: &Arc<Self>) -> Result<Identity, NodeError> {
        let mut known = Known::new(&self.source.pool);
        let known = known.hear(&self.limiter, self.clock.now()).await.map_err(|_| {
            NodeError::copy(
                "Redis is away: nobody can tell which copy is the newest, and whose its reserves are",
            )
        })?;
        let this = Arc::clone(self);
        let (copy, held) = blocking(move || this.look(known)).await?;
        let (reserve, begun) = self.claim(&held.reserves).await?;
        let this = Arc::clone(self);
        let identity = blocking(move || this.write(copy, held.secrets, &reserve, begun)).await?;
        tracing::warn!(
            node = %identity.node_id, pool = %identity.pool,
            "the control plane is away: this node begins by the copy of the configuration, under an identity from it"
        );
        Ok(identity)
    }

    fn look(&self, known: Timestamp) -> Result<(Copy, Held), NodeError> {
        let CopySource { folder, class_key, pool, max_age_millis } = &self.source;
        let file = File::open(folder.join(format!("{pool}.copy"))).map_err(NodeError::io("open the copy"))?;
        let mut copy = Verified::read(BufReader::new(file), &self.roots).map_err(NodeError::copy)?;
        copy.admit(pool, self.clock.now(), *max_age_millis, known).map_err(NodeError::copy)?;
        let mut held = Held::default();
        copy.front(class_key, |record| match record {
            Record::Secrets(secrets) => held.secrets.push(secrets),
            Record::Reserve(reserve) => held.reserves.push(reserve),
            Record::Delta(_) => {}
        })
        .map_err(NodeError::copy)?;
        Ok((copy, held))
    }

    /// A reserve that is this node's from now on, or was before it was started again.
    async fn claim(&self, reserves: &[Arc<Reserve>]) -> Result<(Arc<Reserve>, Begun), NodeError> {
        let begun = Begun::ensure(&self.state)?;
        let from = begun.place(reserves.len());
        for reserve in reserves.iter().cycle().skip(from).take(reserves.len()) {
            let identity = Identity::of_reserve(reserve)?;
            if identity.pool != self.source.pool
                || identity.not_after().millis_since(self.clock.now()) < LEFT_MILLIS
            {
                continue;
            }
            match claim::own(&self.limiter, identity.node_id, &begun).await {
                Ok(true) => return Ok((Arc::clone(reserve), begun)),
                Ok(false) => {}
                Err(_) => return Err(NodeError::copy("Redis is away: no reserve can be claimed")),
            }
        }
        Err(NodeError::copy("every reserve of the copy is claimed, or its certificate ends"))
    }

    /// The identity comes last: without it nothing of this counts.
    fn write(
        &self,
        mut copy: Copy,
        secrets: Vec<Arc<PoolSecrets>>,
        reserve: &Reserve,
        begun: Begun,
    ) -> Result<Identity, NodeError> {
        let identity = Identity::of_reserve(reserve)?;
        let mut seed = Seed::begin(Arc::clone(&self.state), identity.node_id)?;
        let header = copy.open(&self.source.class_key, |record| {
            let Record::Delta(bytes) = record else { return Ok(()) };
            let delta = Delta::decode(bytes.as_slice()).map_err(|_| CopyError::Malformed)?;
            match seed.take(&delta) {
                Ok(true) => Ok(()),
                Ok(false) => Err(CopyError::Malformed),
                Err(error) => Err(std::io::Error::other(error.to_string()).into()),
            }
        });
        let issued_at = header.map_err(NodeError::copy)?.issued_at;
        let seal = |secrets: Arc<PoolSecrets>| {
            let sealed = secrets.seal_to_node(identity.node_id, identity.sealing.public());
            sealed.map(|sealed| PoolKey { version: secrets.version, sealed })
        };
        let keys = secrets.into_iter().map(seal).collect::<Result<_, _>>().map_err(NodeError::copy)?;
        if !seed.finish(keys, issued_at)? {
            return Err(NodeError::copy(CopyError::Malformed));
        }
        begun.by(identity.node_id).write(&self.state)?;
        identity.store(&self.state)?;
        Ok(identity)
    }
}
