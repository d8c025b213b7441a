//! Enrolment by the token of a Kubernetes service account: who may join which pool.
//!
//! The cluster says whose token it is ([`WorkloadVerifier`], which the executable provides); the
//! operator's list says what that account may join. A pod gets one identity: a token that is not bound
//! to a pod enrols nobody.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use tidegate_types::Secret;
use tonic::Status;

/// Longest token that is shown to the cluster, in bytes.
const LONGEST: usize = 16 * 1024;

/// Whose token it is, as the cluster says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Namespace of the service account.
    pub namespace: String,
    /// The service account.
    pub service_account: String,
    /// The pod that the token is bound to.
    pub pod_uid: Option<String>,
}

/// Why nobody knows whose token it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotVerified {
    /// The cluster does not accept it, or it is for another audience.
    Refused,
    /// The cluster cannot be asked, for this reason.
    Away(String),
}

/// The answer of a [`WorkloadVerifier`].
pub type Verified<'a> = Pin<Box<dyn Future<Output = Result<Workload, NotVerified>> + Send + 'a>>;

/// Asks the cluster whose token it is.
pub trait WorkloadVerifier: Send + Sync {
    /// Whose token it is, if it is good for this control plane.
    fn verify<'a>(&'a self, token: &'a Secret) -> Verified<'a>;
}

/// A service account whose pods may join a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The pool.
    pub pool: String,
    /// Namespace of the service account.
    pub namespace: String,
    /// The service account.
    pub service_account: String,
}

/// Enrolment by service accounts.
#[derive(Clone)]
pub struct Workloads {
    /// Asks the cluster.
    pub verifier: Arc<dyn WorkloadVerifier>,
    /// Who may join what.
    pub allowed: Vec<Allowed>,
}

impl fmt::Debug for Workloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workloads").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

impl Workloads {
    /// The uid of the pod whose token lets it join `pool`.
    pub(crate) async fn pod(&self, token: &str, pool: &str) -> Result<String, Status> {
        let refused = || Status::unauthenticated("the cluster does not accept the service-account token");
        // Three parts, as a signed token has: nothing else is worth a question.
        if token.len() > LONGEST || token.split('.').count() != 3 {
            return Err(refused());
        }
        let workload = match self.verifier.verify(&Secret::new(token)).await {
            Ok(workload) => workload,
            Err(NotVerified::Refused) => return Err(refused()),
            Err(NotVerified::Away(why)) => {
                tracing::warn!(why, "the cluster cannot be asked whose service-account token it is");
                return Err(Status::unavailable("the cluster cannot be asked whose token it is"));
            }
        };
        let may = |allowed: &&Allowed| {
            allowed.pool == pool
                && allowed.namespace == workload.namespace
                && allowed.service_account == workload.service_account
        };
        if self.allowed.iter().find(may).is_none() {
            let Workload { namespace, service_account, .. } = &workload;
            tracing::warn!(namespace, service_account, pool, "a service account may not join this pool");
            return Err(Status::permission_denied("this service account may not join this pool"));
        }
        workload
            .pod_uid
            .filter(|uid| !uid.is_empty() && uid.len() <= 64)
            .ok_or_else(|| Status::permission_denied("the service-account token is not bound to a pod"))
    }
}
