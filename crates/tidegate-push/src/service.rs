//! The config service: lets a node in, and gives its stream a session of its own.

use std::sync::Arc;

use tidegate_proto::config::config_service_server::ConfigService;
use tidegate_proto::config::{ControlMessage, NodeMessage};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

use crate::admission::Admission;
use crate::peer;
use crate::session::{self, Shared};

/// Messages that may wait for a node that is slow to read.
const WAITING: usize = 2;

/// The service behind `Stream`.
pub(crate) struct Configuration {
    pub(crate) shared: Arc<Shared>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) tracker: TaskTracker,
    pub(crate) stop: CancellationToken,
}

#[tonic::async_trait]
impl ConfigService for Configuration {
    type StreamStream = ReceiverStream<Result<ControlMessage, Status>>;

    async fn stream(
        &self,
        request: Request<Streaming<NodeMessage>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let identity = peer::identity(&request)?;
        if self.stop.is_cancelled() {
            return Err(Status::unavailable("the control plane is draining; reconnect"));
        }
        let admitted = self.admission.take(self.shared.clock.now());
        admitted
            .map_err(|ms| Status::resource_exhausted(format!("too many nodes at once; retry in {ms} ms")))?;
        let node = self.shared.nodes.admit(identity).await?;
        let (out, messages) = mpsc::channel(WAITING);
        let session =
            session::run(Arc::clone(&self.shared), node, request.into_inner(), out, self.stop.child_token());
        self.tracker.spawn(session);
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}
