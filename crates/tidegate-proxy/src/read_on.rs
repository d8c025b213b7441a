//! Answers that are read to their end after their callers left: bounded in number and time.

use std::sync::Arc;

use crate::gateway::Gateway;

impl Gateway {
    /// Runs `reading` as a task of the gateway. Above the bound it is dropped at once, which
    /// settles it by what was seen; so does the end of the node or of the longest stream.
    pub(crate) fn read_on(self: Arc<Self>, reading: impl Future<Output = ()> + Send + 'static) {
        let running = self.meters.drains.get();
        let has_room = usize::try_from(running).is_ok_and(|running| running < self.settings.max_drains);
        if !has_room || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        self.meters.drains.inc();
        let gateway = self.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = reading => {}
                () = gateway.cut.cancelled() => {}
                () = tokio::time::sleep(gateway.settings.max_stream) => {}
            }
            gateway.meters.drains.dec();
        });
    }
}
