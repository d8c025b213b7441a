//! Who is calling: read from the certificate that TLS has verified, and from nothing else.

use tidegate_secrets::ca::{NodeIdentity, node_identity};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Request, Status};

/// The node that the caller's certificate names.
pub(crate) fn identity<T>(request: &Request<T>) -> Result<NodeIdentity, Status> {
    let certificates =
        request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>().and_then(TlsConnectInfo::peer_certs);
    let leaf = certificates.as_ref().and_then(|chain| chain.first());
    let leaf =
        leaf.ok_or_else(|| Status::unauthenticated("a client certificate is required; enroll first"))?;
    node_identity(leaf).map_err(|_| Status::unauthenticated("the certificate is not a node's"))
}
